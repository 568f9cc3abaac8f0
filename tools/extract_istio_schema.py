"""Extract the CustomResourceDefinitions that the sandbox's istioctl installs from those of Istio's API module.

    python tools/extract_istio_schema.py kubernetes/customresourcedefinitions.gen.yaml \
        > sandbox/istioctl/data/crds.json

Field names, types, enums and required fields are kept. Dropped are all descriptions, and the rules in CEL
(x-kubernetes-validations), which the sandbox's API does not evaluate: what they demand, durations and such, the
mesh's own validation does. All versions of a kind have the same schema, so it is kept once.

Output: a list of {"names", "group", "versions", "columns", "labels", "schema"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KINDS = (
    *("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar"),
    *("PeerAuthentication", "AuthorizationPolicy", "Telemetry"),
)
_DROPPED = ("description", "x-kubernetes-validations")


def stripped(schema: Any, *, names: bool = False) -> Any:
    """A schema without what is dropped; under `properties` the keys are `names` of fields and all stay."""
    if isinstance(schema, dict):
        return {
            key: stripped(value, names=key == "properties" and not names)
            for key, value in schema.items()
            if names or key not in _DROPPED
        }
    if isinstance(schema, list):
        return [stripped(item) for item in schema]
    return schema


def extracted(crd: dict[str, Any]) -> dict[str, Any]:
    spec = crd["spec"]
    schemas = [version["schema"]["openAPIV3Schema"] for version in spec["versions"]]
    if any(schema != schemas[0] for schema in schemas):
        raise SystemExit(f"{crd['metadata']['name']}: the versions' schemas differ")
    columns = spec["versions"][0].get("additionalPrinterColumns") or []
    return {
        "group": spec["group"],
        "names": spec["names"],
        "versions": [version["name"] for version in spec["versions"]],
        "columns": [{key: column[key] for key in ("name", "type", "jsonPath")} for column in columns],
        "labels": crd["metadata"]["labels"],
        "schema": stripped(schemas[0]),
    }


def main(path: Path) -> None:
    documents = filter(None, yaml.safe_load_all(path.read_text(encoding="utf-8")))
    found = {document["spec"]["names"]["kind"]: document for document in documents}
    json.dump([extracted(found[kind]) for kind in KINDS], sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

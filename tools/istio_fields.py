"""Write the table of every field of Istio's rules, and whether the sandbox does it or refuses it.

    python -m tools.istio_fields > docs/istio-fields.md

The fields are those of the packaged schemas (see tools/extract_istio_schema.py), what is done of them is in
`sandbox.mesh.supported_fields`. There is nothing between: what is not supported is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from sandbox.istioctl.manifests import crds
from sandbox.mesh.supported_fields import SUPPORTED, VALUES

_HEAD = """\
# Istio's rules, field by field

What the sandbox does with each field of Istio's reference. A field that is refused is refused when the object is
applied, by its path; none is ignored. On a real cluster Istio decides.

A `*` stands for any key of a map; lists have no part of their own in a path. Made by `tools/istio_fields.py`.
"""


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, schema) of every field that holds a value, in the schema's order."""
    while schema.get("type") == "array":
        schema = schema["items"]
    below = dict(schema.get("properties") or {})
    if isinstance(schema.get("additionalProperties"), dict):
        below["*"] = schema["additionalProperties"]
    if not below:
        yield path, schema
    for name, inner in below.items():
        yield from leaves(inner, f"{path}.{name}" if path else name)


def fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind, path, schema) of every field in the specs of the kinds that the sandbox knows."""
    for crd in crds():
        kind = crd["spec"]["names"]["kind"]
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path, schema in leaves(spec):
            yield kind, path, schema


def table() -> str:
    lines = [_HEAD]
    heading = ""
    for kind, path, schema in fields():
        if kind != heading:
            heading = kind
            lines += [f"## {kind}", "", "| field | sandbox | values |", "|---|---|---|"]
        supported = path in SUPPORTED[kind]
        values = _values(kind, path, schema) if supported else ""
        lines.append(f"| `{path}` | {'supported' if supported else 'refused'} | {values} |")
    return "\n".join(lines).replace("\n## ", "\n\n## ").replace("\n\n\n", "\n\n") + "\n"


def _values(kind: str, path: str, schema: dict[str, Any]) -> str:
    """The values that are taken, and of those that Istio has the ones that are refused."""
    taken = VALUES.get((kind, path))
    if taken is None:
        return ""
    refused = [value for value in schema.get("enum") or [] if value not in taken]
    said = ", ".join(f"`{value}`" for value in sorted(taken, key=str))
    return said + (f"; refused: {', '.join(f'`{value}`' for value in refused)}" if refused else "; others refused")


if __name__ == "__main__":
    sys.stdout.write(table())

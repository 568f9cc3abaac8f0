"""Extract the protobuf field numbers of Kubernetes' kinds from the Go source of its API types.

    python tools/extract_protobuf.py PATH/TO/k8s.io/api PATH/TO/k8s.io/apimachinery \
        > workshop/sandbox/api/data/protobuf.json

kubectl sends what its typed clients make (`create deployment`, `auth can-i`, `drain`) as protobuf, so the API
must read it. Struct tags such as `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"` have all
there is to know beside the types, which workshop/sandbox/schema has. Only facts are taken.

One type a line, its fields as words in the order of their numbers: `-` for a number that is not used, `@Type`
for a struct that is inline in JSON, a trailing `!` where an empty value means something (a pointer in Go, or a
field that is never left out).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

PACKAGES = {
    "io.k8s.api.apps.v1": "apps/v1",
    "io.k8s.api.authentication.v1": "authentication/v1",
    "io.k8s.api.authorization.v1": "authorization/v1",
    "io.k8s.api.autoscaling.v1": "autoscaling/v1",
    "io.k8s.api.autoscaling.v2": "autoscaling/v2",
    "io.k8s.api.coordination.v1": "coordination/v1",
    "io.k8s.api.core.v1": "core/v1",
    "io.k8s.api.discovery.v1": "discovery/v1",
    "io.k8s.api.events.v1": "events/v1",
    "io.k8s.api.policy.v1": "policy/v1",
    "io.k8s.api.rbac.v1": "rbac/v1",
    "io.k8s.api.admissionregistration.v1": "admissionregistration/v1",
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1"

_STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(
    r"""^\s+(?:\w+\s+)?(?P<type>[\w.*\[\]]+)\s+`json:"(?P<json>[^"]*)"[^`]*protobuf:"\w+,(?P<number>\d+),""",
    re.MULTILINE,
)


def main(api: Path, machinery: Path) -> str:
    sources = {package: api / folder / "types.go" for package, folder in PACKAGES.items()}
    sources[META] = machinery / "pkg/apis/meta/v1/types.go"
    lines = []
    for package, source in sorted(sources.items()):
        for name, body in _STRUCT.findall(source.read_text(encoding="utf-8")):
            if fields := _fields(body, package):
                lines.append(f"{json.dumps(f'{package}.{name}')}: {json.dumps(' '.join(fields))}")
    return "{\n" + ",\n".join(lines) + "\n}"


def _fields(body: str, package: str) -> list[str]:
    found = {int(match["number"]): _word(match, package) for match in _FIELD.finditer(body)}
    return [found.get(number, "-") for number in range(1, max(found, default=0) + 1)]


def _word(match: re.Match[str], package: str) -> str:
    name, _, options = match["json"].partition(",")
    if options == "inline" or not name:
        inner = match["type"].lstrip("*")
        return f"@{META}.{inner[len('metav1.') :]}" if inner.startswith("metav1.") else f"@{package}.{inner}"
    return name + ("!" if match["type"].startswith("*") or "omitempty" not in options else "")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""Extract the descriptors of Kubernetes' protobuf messages from the sources of its API types.

    python tools/extract_protobuf.py PATH/TO/k8s.io/api PATH/TO/k8s.io/apimachinery \
        > sandbox/api/data/kubernetes.binpb

kubectl sends what its typed clients make (`create deployment`, `auth can-i`) as protobuf, so the API
must read it. protoc (of the package grpcio-tools, which only this needs) compiles the .proto files beside the Go
types. These say `optional` of every field; what JSON makes of a field is in the tags of the Go struct alone, so
that is put into the descriptors, which are proto3 for it:

- `optional` are fields where an empty value means something: a pointer in Go, a field that is never left out, or
  one of a message that is not a struct in JSON (a time);
- a field's JSON name is that of its tag, and empty for a struct that is inline in JSON.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

GROUPS = (
    *("admissionregistration/v1", "apps/v1", "authentication/v1", "authorization/v1", "autoscaling/v1"),
    *("autoscaling/v2", "batch/v1", "coordination/v1", "core/v1", "discovery/v1", "policy/v1", "rbac/v1"),
)

_STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(
    r"""^\s+(?:\w+\s+)?(?P<type>[\w.*\[\]]+)\s+`json:"(?P<json>[^"]*)"[^`]*protobuf:"\w+,(?P<number>\d+),""",
    re.MULTILINE,
)


def main(api: Path, machinery: Path) -> bytes:
    roots = {"k8s.io/api": api, "k8s.io/apimachinery": machinery}
    command = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", "--descriptor_set_out=/dev/stdout"]
    command += [f"-I{name}={folder}" for name, folder in roots.items()]
    command += [f"k8s.io/api/{group}/generated.proto" for group in GROUPS]
    compiled = FileDescriptorSet.FromString(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for file in compiled.file:
        file.syntax = "proto3"
        root = "/".join(file.name.split("/")[:2])
        structs = _structs(roots[root] / file.name[len(root) + 1 :].replace("generated.proto", "types.go"))
        for message in file.message_type:
            _as_in_json(message, structs.get(message.name, {}))
    return compiled.SerializeToString()


def _structs(source: Path) -> dict[str, dict[int, re.Match[str]]]:
    """Fields by number, of each struct."""
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    return {
        name: {int(field["number"]): field for field in _FIELD.finditer(body)}
        for name, body in _STRUCT.findall(text)
    }


def _as_in_json(message: DescriptorProto, fields: dict[int, re.Match[str]]) -> None:
    for field in message.field:
        means_something = True
        if (tag := fields.get(field.number)) is not None:
            field.json_name, _, options = tag["json"].partition(",")
            means_something = bool(field.json_name) and (tag["type"].startswith("*") or "omitempty" not in options)
        if means_something and field.label != FieldDescriptorProto.LABEL_REPEATED:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


if __name__ == "__main__":
    sys.stdout.buffer.write(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""The OpenAPI v2 document, in the one form kubectl asks for: protobuf.

kubectl still wants it for one thing: before it sends a `List` it looks up each item's kind there and checks the
item against it. The server checks the same again, and better, so here a kind may look like anything; the
document only says which kinds there are. Message and field numbers are gnostic's (OpenAPIv2.proto).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sandbox.core.cluster import Resource

ACCEPTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What kubectl asks for; the @ may not stand in the answer's media type."""
MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_SWAGGER, _INFO, _PATHS, _DEFINITIONS = 1, 2, 8, 9
_TITLE, _VERSION = 1, 2
_NAME, _VALUE = 1, 2
_ADDITIONAL_PROPERTIES = 1
_SCHEMA_EXTENSION = 31
_YAML = 2


def openapi_v2(resources: Iterable[Resource]) -> bytes:
    """What /openapi/v2 answers to whoever asks for `ACCEPTED`."""
    info = _field(_TITLE, b"Kubernetes") + _field(_VERSION, b"v1")
    definitions = b"".join(_field(_ADDITIONAL_PROPERTIES, _definition(resource)) for resource in resources)
    return _field(_SWAGGER, b"2.0") + _field(_INFO, info) + _field(_PATHS, b"") + _field(_DEFINITIONS, definitions)


def _definition(resource: Resource) -> bytes:
    """A schema without a type, which allows everything, with the kind it is for as an extension."""
    identity = [{"group": resource.group, "version": resource.version, "kind": resource.kind}]
    value = _field(_YAML, json.dumps(identity).encode())  # JSON is YAML
    extension = _field(_NAME, b"x-kubernetes-group-version-kind") + _field(_VALUE, value)
    name = f"{resource.plural}.{resource.group}.{resource.version}".encode()
    return _field(_NAME, name) + _field(_VALUE, _field(_SCHEMA_EXTENSION, extension))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

"""Extract the field numbers of Envoy's configuration messages from an Envoy binary.

    python tools/extract_xds_schema.py PATH-OF-ENVOY > workshop/sandbox/mesh/xds/schema.json

Envoy carries the descriptors of all its Protocol Buffers (serialized FileDescriptorProto) in its read-only data.
This finds them, follows the messages below `ROOTS`, and writes what an encoder needs to know of each field:
its number, its type, and whether it repeats. Taking them from the binary that will read the configuration
means that the two cannot disagree.

Output: {"messages": {message: {field: "NUMBER[*] TYPE"}}, "enums": {enum: {value: number}}}, where `*` marks a
repeated field, TYPE is a scalar type's name, `enum:NAME`, or a message's name; a map is `map:KEY:TYPE`.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILTERS = "envoy.extensions.filters"
ROOTS = (
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    f"{_FILTERS}.http.router.v3.Router",
    f"{_FILTERS}.listener.http_inspector.v3.HttpInspector",
    f"{_FILTERS}.listener.proxy_protocol.v3.ProxyProtocol",
    f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
    f"{_FILTERS}.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
)
UNUSED = (
    "envoy.config.core.v3.GrpcService",
    "envoy.config.trace.v3.Tracing",
    "envoy.config.listener.v3.UdpListenerConfig",
    "envoy.config.core.v3.Http3ProtocolOptions",
    "xds.type.matcher.v3.Matcher",
)
"""Messages that the sandbox has no use for and that would pull in many others; fields of theirs are left out."""

_LENGTH_DELIMITED = 2
_REPEATED = 3
_MESSAGE, _ENUM = 11, 14
_SCALARS = {
    **{1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool"},
    **{9: "string", 12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64"},
}
_FILE_NAME = re.compile(rb"\n([\x05-\x7f])((?:envoy|xds|google|udpa|validate)/[\w/.]+?\.proto)")


def _varint(data: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a serialized message: numbers and raw values (int or bytes)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == _LENGTH_DELIMITED:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def _first(data: bytes, number: int, default: Any = b"") -> Any:
    return next((value for found, value in _fields(data) if found == number), default)


def _all(data: bytes, number: int) -> list[bytes]:
    return [value for found, value in _fields(data) if found == number]


def file_descriptors(binary: Path) -> dict[str, bytes]:
    """Serialized FileDescriptorProto by file name. A descriptor ends where its known fields (1 to 14) end."""
    found: dict[str, bytes] = {}
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        for match in _FILE_NAME.finditer(image):
            if len(match[2]) != match[1][0]:
                continue
            at = match.start()
            while True:
                tag, after = _varint(image, at)
                if not 1 <= tag >> 3 <= 14 or tag & 7 not in (0, _LENGTH_DELIMITED):
                    break
                value, after = _varint(image, after)
                at = after + value if tag & 7 == _LENGTH_DELIMITED else after
            found.setdefault(match[2].decode(), image[match.start() : at])
    return found


class Types:
    """All messages and enums of a set of files, by full name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.messages: dict[str, bytes] = {}
        self.enums: dict[str, bytes] = {}
        for data in files.values():
            package = _first(data, 2).decode()
            for message in _all(data, 4):
                self._message(package, message)
            self._enums(package, _all(data, 5))

    def _message(self, scope: str, data: bytes) -> None:
        name = f"{scope}.{_first(data, 1).decode()}"
        self.messages[name] = data
        self._enums(name, _all(data, 4))
        for nested in _all(data, 3):
            self._message(name, nested)

    def _enums(self, scope: str, enums: list[bytes]) -> None:
        for data in enums:
            self.enums[f"{scope}.{_first(data, 1).decode()}"] = data

    def closure(self, roots: tuple[str, ...]) -> dict[str, dict[str, dict[str, Any]]]:
        messages: dict[str, dict[str, Any]] = {}
        enums: dict[str, dict[str, Any]] = {}
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name in messages or name.startswith("google.protobuf."):
                continue
            messages[name] = {}
            for field in sorted(_all(self.messages[name], 2), key=lambda data: _first(data, 3)):
                described = self._field(field, waiting, enums)
                if described:
                    messages[name][_first(field, 1).decode()] = described
        return {"messages": dict(sorted(messages.items())), "enums": dict(sorted(enums.items()))}

    def _field(self, field: bytes, waiting: list[str], enums: dict[str, dict[str, Any]]) -> str:
        number, repeated = _first(field, 3), _first(field, 4, 0) == _REPEATED
        kind, name = self._type(field, enums)
        options = _first(self.messages.get(name, b""), 7)
        if _first(options, 7, 0):  # MessageOptions.map_entry
            key, value = sorted(_all(self.messages[name], 2), key=lambda data: _first(data, 3))
            (key_kind, _), (kind, name) = self._type(key, enums), self._type(value, enums)
            kind, repeated = f"map:{key_kind}:{kind}", False
        if name in UNUSED or _deprecated(field):
            return ""
        if name:
            waiting.append(name)
        return f"{number}{'*' if repeated else ''} {kind}"

    def _type(self, field: bytes, enums: dict[str, dict[str, Any]]) -> tuple[str, str]:
        """A field's type as written, and the message's name if it is one."""
        number, name = _first(field, 5), _first(field, 6).decode().lstrip(".")
        if number == _MESSAGE:
            return name, name
        if number == _ENUM:
            enums[name] = {_first(v, 1).decode(): _first(v, 2, 0) for v in _all(self.enums[name], 2)}
            return f"enum:{name}", ""
        return _SCALARS[number], ""


def _deprecated(field: bytes) -> bool:
    return bool(_first(_first(field, 8), 3, 0))


if __name__ == "__main__":
    extracted = Types(file_descriptors(Path(sys.argv[1]))).closure(ROOTS)
    json.dump(extracted, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")

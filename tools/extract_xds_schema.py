"""Extract the descriptors of Envoy's configuration messages, or of what spans are sent in, from an Envoy binary.

    python tools/extract_xds_schema.py PATH-OF-ENVOY > sandbox/mesh/xds/envoy.binpb
    python tools/extract_xds_schema.py PATH-OF-ENVOY otlp > sandbox/jaeger/otlp.binpb

Envoy carries the descriptors of all its Protocol Buffers (serialized FileDescriptorProto) in its read-only data.
This finds them and writes the files that define `ROOTS` (or `OTLP`), and those they import, as one
FileDescriptorSet. Taking
them from the binary that will read the configuration means that the two cannot disagree.
"""

from __future__ import annotations

import mmap
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_FILTERS = "envoy/extensions/filters"
ROOTS = (
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/config/trace/v3/opentelemetry.proto",
    "envoy/config/trace/v3/zipkin.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/access_loggers/stats/v3/stats.proto",
    "envoy/extensions/path/match/uri_template/v3/uri_template_match.proto",
    "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
    "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/service/discovery/v3/discovery.proto",
    f"{_FILTERS}/http/cors/v3/cors.proto",
    f"{_FILTERS}/http/fault/v3/fault.proto",
    f"{_FILTERS}/http/lua/v3/lua.proto",
    f"{_FILTERS}/http/rbac/v3/rbac.proto",
    f"{_FILTERS}/http/router/v3/router.proto",
    f"{_FILTERS}/listener/http_inspector/v3/http_inspector.proto",
    f"{_FILTERS}/listener/proxy_protocol/v3/proxy_protocol.proto",
    f"{_FILTERS}/listener/tls_inspector/v3/tls_inspector.proto",
    f"{_FILTERS}/network/http_connection_manager/v3/http_connection_manager.proto",
    f"{_FILTERS}/network/rbac/v3/rbac.proto",
    f"{_FILTERS}/network/set_filter_state/v3/set_filter_state.proto",
    f"{_FILTERS}/network/tcp_proxy/v3/tcp_proxy.proto",
)
OTLP = ("opentelemetry/proto/collector/trace/v1/trace_service.proto",)

_LENGTH_DELIMITED = 2
_NAME = 1
_FILE_NAME = re.compile(rb"\n([\x05-\x7f])((?:envoy|opentelemetry|xds|udpa|google|validate)/[\w/.]+?\.proto)")


def file_descriptors(binary: Path) -> dict[str, FileDescriptorProto]:
    """By file name; of several copies the first."""
    found: dict[str, FileDescriptorProto] = {}
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        for match in _FILE_NAME.finditer(image):
            name = match[2].decode()
            if len(name) == match[1][0] and name not in found:
                end = _end(image, match.end())
                found[name] = FileDescriptorProto.FromString(image[match.start() : end])
    return found


def _end(image: mmap.mmap, at: int) -> int:
    """Where a descriptor ends, `at` being behind its name: its fields are numbered 2 to 14."""
    while True:
        tag, after = _varint(image, at)
        if not _NAME < tag >> 3 <= 14 or tag & 7 not in (0, _LENGTH_DELIMITED):
            return at
        value, after = _varint(image, after)
        at = after + value if tag & 7 == _LENGTH_DELIMITED else after


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def closure(files: dict[str, FileDescriptorProto], roots: Iterable[str]) -> FileDescriptorSet:
    """`roots` and what they import, each after its own imports."""
    ordered: dict[str, FileDescriptorProto] = {}

    def add(name: str) -> None:
        if name not in ordered:
            for dependency in files[name].dependency:
                add(dependency)
            ordered[name] = files[name]

    for root in roots:
        add(root)
    return FileDescriptorSet(file=ordered.values())


if __name__ == "__main__":
    wanted = OTLP if sys.argv[2:] == ["otlp"] else ROOTS
    sys.stdout.buffer.write(closure(file_descriptors(Path(sys.argv[1])), wanted).SerializeToString())

"""Spans as OpenTelemetry sends them (OTLP): Protocol Buffers, by gRPC or HTTP.

How they become Jaeger's is OpenTelemetry's own translation: the kind, the status and the scope are tags, what is
said of the resource is the process's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib import resources
from sys import intern
from typing import Any

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from grpclib.const import Cardinality
from grpclib.const import Handler as Method
from grpclib.server import Stream

from sandbox.jaeger.spans import Later, Span, Value

_PACKAGE = "opentelemetry.proto.collector.trace.v1"
_METHOD = f"/{_PACKAGE}.TraceService/Export"
_REQUEST, _RESPONSE = f"{_PACKAGE}.ExportTraceServiceRequest", f"{_PACKAGE}.ExportTraceServiceResponse"

_KINDS = ("", "internal", "server", "client", "producer", "consumer")
_STATUS = ("", "OK", "ERROR")
_SERVICE = "service.name"
_UNKNOWN = "OTLPResourceNoServiceName"


@cache
def _message(name: str) -> type[Message]:
    packaged = (resources.files(__package__) / "otlp.binpb").read_bytes()
    pool = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(packaged).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


class Receiver:
    """The service that takes them by gRPC: one of a grpclib server's."""

    def __init__(self, take: Callable[[list[Span]], None]) -> None:
        self._take = take

    def __mapping__(self) -> dict[str, Method]:
        return {_METHOD: Method(self._export, Cardinality.UNARY_UNARY, _message(_REQUEST), _message(_RESPONSE))}

    async def _export(self, stream: Stream[Any, Message]) -> None:
        request = await stream.recv_message()
        if request is not None:
            self._take(list(spans(request)))
            await stream.send_message(_message(_RESPONSE)())


def decode(body: bytes) -> list[Span]:
    """Of a request's body. Raises ValueError for what is none."""
    try:
        return list(spans(_message(_REQUEST).FromString(body)))
    except DecodeError as error:
        raise ValueError(f"not an ExportTraceServiceRequest: {error}") from error


def spans(request: Any) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        process = dict(_attributes(of_resource.resource.attributes))
        service = str(process.pop(_SERVICE, "") or _UNKNOWN)
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope
            said = {"otel.scope.name": scope.name, "otel.scope.version": scope.version}
            tags = {name: value for name, value in said.items() if value}
            for span in of_scope.spans:
                yield _span(span, service, process, tags)


def _span(span: Any, service: str, process: Mapping[str, Value], scope: Mapping[str, Value]) -> Span:
    begun, kind = span.start_time_unix_nano, _KINDS[span.kind] if span.kind < len(_KINDS) else ""
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        service,
        intern(span.name),
        begun // 1000,
        max(span.end_time_unix_nano - begun, 0) // 1000,
        kind,
        Later(partial(_tags, span, kind, scope)),
        process,
        tuple(map(_log, span.events)) if span.events else (),
    )


def _log(event: Any) -> tuple[int, Mapping[str, Value]]:
    return event.time_unix_nano // 1000, {"event": event.name, **dict(_attributes(event.attributes))}


def _tags(span: Any, kind: str, scope: Mapping[str, Value]) -> Mapping[str, Value]:
    tags = {**dict(_attributes(span.attributes)), **scope}
    if kind:
        tags["span.kind"] = kind
    if status := _STATUS[span.status.code] if span.status.code < len(_STATUS) else "":
        tags["otel.status_code"] = status
    if status == "ERROR":
        tags["error"] = True
    if span.status.message:
        tags["otel.status_description"] = span.status.message
    return tags


def _attributes(attributes: Iterable[Any]) -> Iterator[tuple[str, Value]]:
    for one in attributes:
        value = one.value
        if (kind := value.WhichOneof("value")) == "string_value":
            yield intern(one.key), intern(value.string_value)
        elif kind in ("bool_value", "int_value", "double_value"):
            yield intern(one.key), getattr(value, kind)
        elif kind is not None:
            yield intern(one.key), str(getattr(value, kind)).strip()

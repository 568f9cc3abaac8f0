"""Spans as Zipkin's clients send them: its API's version 2 as JSON, which is what Envoy does."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Any

import msgspec

from sandbox.jaeger.spans import Span, Value

_UNKNOWN = "unknown-service"


class _Endpoint(msgspec.Struct):
    serviceName: str = ""
    ipv4: str = ""
    ipv6: str = ""
    port: int = 0


class _Annotation(msgspec.Struct):
    timestamp: int = 0
    value: str = ""


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str
    id: str
    parent_id: str = ""
    kind: str = ""
    name: str = ""
    timestamp: int = 0
    duration: int = 0
    local_endpoint: _Endpoint | None = None
    remote_endpoint: _Endpoint | None = None
    annotations: list[_Annotation] = []
    tags: dict[str, str] = {}


_DECODER = msgspec.json.Decoder(list[_Span])


def decode(body: bytes) -> list[Span]:
    """Of a request's body. Raises ValueError for what is none."""
    return [_span(one) for one in _DECODER.decode(body)]


def _span(one: _Span) -> Span:
    here = one.local_endpoint or _Endpoint()
    tags: dict[str, Value] = {intern(name): intern(value) for name, value in one.tags.items()}
    if "error" in tags:
        tags["error"] = tags["error"] != "false"
    tags.update(_peer(one.remote_endpoint))
    kind = one.kind.lower()
    if kind:
        tags["span.kind"] = intern(kind)
    process: dict[str, Value] = {"ip": intern(here.ipv4)} if here.ipv4 else {}
    return Span(
        _id(one.trace_id, 32),
        _id(one.id, 16),
        _id(one.parent_id, 16) if one.parent_id else "",
        intern(here.serviceName) or _UNKNOWN,
        intern(one.name),
        one.timestamp,
        one.duration,
        kind,
        tags,
        process,
        tuple((note.timestamp, {"event": note.value}) for note in one.annotations),
    )


def _id(text: str, digits: int) -> str:
    """Raises ValueError."""
    if not text or len(text) > digits:
        raise ValueError(f"{text!r} is not an id of at most {digits} hexadecimal digits")
    try:
        return f"{int(text, 16):0{digits}x}"
    except ValueError:
        raise ValueError(f"{text!r} is not an id of at most {digits} hexadecimal digits") from None


def _peer(there: _Endpoint | None) -> Iterator[tuple[str, Any]]:
    if there is not None:
        said = (("peer.service", there.serviceName), ("net.peer.ip", there.ipv4 or there.ipv6))
        yield from (one for one in said if one[1])
        if there.port:
            yield "net.peer.port", there.port

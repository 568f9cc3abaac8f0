"""Spans as they come in, and the traces that they make up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.jaeger import otlp, zipkin
from sandbox.jaeger.spans import Span, SpanStore
from tests.kit.laws import LAW

IDS = st.integers(1, 6).map(lambda number: f"{number:016x}")
TRACES = st.integers(1, 5).map(lambda number: f"{number:032x}")
SPANS = st.builds(
    Span,
    trace=TRACES,
    id=IDS,
    parent=st.just("") | IDS,
    service=st.sampled_from(("a", "b")),
    operation=st.just("o"),
    start=st.integers(0, 50),
    duration=st.integers(0, 50),
    kind=st.sampled_from(("client", "server")),
)


@LAW
@given(st.lists(SPANS, max_size=40), st.integers(1, 3), st.integers(1, 12))
def test_what_is_kept_is_within_its_limits_and_the_latest(spans: list[Span], traces: int, most: int) -> None:
    store = SpanStore(traces, most)
    store.add(spans)
    kept = [trace.id for trace in store.traces()]
    began = list(dict.fromkeys(span.trace for span in spans))
    assert len(kept) <= traces
    assert kept == began[::-1][: len(kept)]
    assert len(store) == len(list(store.spans()))
    assert len(store) <= most or len(kept) == 1


@LAW
@given(st.lists(SPANS.map(lambda span: span), min_size=1, max_size=12))
def test_a_tree_has_every_span_once_below_its_parent(spans: list[Span]) -> None:
    """Also of spans that are each other's parents."""
    store = SpanStore()
    store.add(spans)
    for trace in store.traces():
        rows = list(trace.tree())
        assert sorted(map(id, trace.spans)) == sorted(id(span) for _, span in rows)
        above: list[Span] = []
        for depth, span in rows:
            del above[depth:]
            if depth:
                assert above[-1].id == span.parent
            above.append(span)


def test_a_span_that_comes_twice_is_one_and_a_shared_one_is_two() -> None:
    """Zipkin's clients and servers may share a span."""
    store = SpanStore()
    one = Span("1" * 32, "2" * 16, "", "a", "o", 1, 5, "client")
    server = Span("1" * 32, "2" * 16, "", "b", "o", 2, 3, "server")
    assert store.add([one, one, server]) == 3
    found = store.find("1" * 32)
    assert found is not None
    assert found.spans == (one, server)
    assert (found.start, found.duration, found.root) == (1, 5, one)


# Zipkin (https://zipkin.io/zipkin-api/, version 2)


def zipkin_span(**more: Any) -> bytes:
    span = {"traceId": "abc", "id": "d", "name": "get /", "timestamp": 5, "duration": 7, **more}
    return json.dumps([span]).encode()


def test_a_span_of_zipkins() -> None:
    (span,) = zipkin.decode(
        zipkin_span(
            parentId="e",
            kind="SERVER",
            localEndpoint={"serviceName": "ratings.bookinfo", "ipv4": "10.0.0.1", "port": 0},
            remoteEndpoint={"ipv4": "10.0.0.2", "port": 80},
            annotations=[{"timestamp": 6, "value": "sr"}],
            tags={"http.status_code": "503", "error": "true"},
        )
    )
    assert span == Span(
        trace="abc".zfill(32),
        id="d".zfill(16),
        parent="e".zfill(16),
        service="ratings.bookinfo",
        operation="get /",
        start=5,
        duration=7,
        kind="server",
        tags={
            "http.status_code": "503",
            "error": True,
            "net.peer.ip": "10.0.0.2",
            "net.peer.port": 80,
            "span.kind": "server",
        },
        process={"ip": "10.0.0.1"},
        logs=((6, {"event": "sr"}),),
    )
    assert span.failed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        zipkin_span(traceId="x"),
        zipkin_span(traceId=""),
        zipkin_span(id="1" * 17),
        zipkin_span(timestamp="soon"),
        zipkin_span(tags={"a": 1}),
        b"\xff",
    ],
)
def test_what_is_no_span_of_zipkins(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        zipkin.decode(body)


# OpenTelemetry (https://opentelemetry.io/docs/specs/otlp/)


def test_a_span_of_opentelemetrys() -> None:
    message: Any = otlp._message(otlp._REQUEST)()
    of_resource = message.resource_spans.add()
    for key, value in (("service.name", "reviews.bookinfo"), ("host.name", "h")):
        of_resource.resource.attributes.add(key=key).value.string_value = value
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = "envoy"
    span = of_scope.spans.add(
        trace_id=bytes(15) + b"\1",
        span_id=bytes(7) + b"\2",
        parent_span_id=bytes(7) + b"\3",
        name="o",
        kind=3,
        start_time_unix_nano=5_999,
        end_time_unix_nano=8_000,
    )
    span.attributes.add(key="a").value.int_value = 1
    span.attributes.add(key="b").value.bool_value = True
    span.attributes.add(key="c").value.double_value = 0.5
    span.attributes.add(key="d").value.array_value.values.add().string_value = "x"
    span.status.code = 2
    span.status.message = "gone"
    span.events.add(time_unix_nano=6_000, name="retry").attributes.add(key="n").value.int_value = 2
    (found,) = otlp.decode(message.SerializeToString())
    assert (found.trace, found.id, found.parent) == ("1".zfill(32), "2".zfill(16), "3".zfill(16))
    assert (found.service, found.operation, found.kind, found.start, found.duration) == (
        "reviews.bookinfo",
        "o",
        "client",
        5,
        2,
    )
    assert found.process == {"host.name": "h"}
    assert found.logs == ((6, {"event": "retry", "n": 2}),)
    assert str(found.tags["d"]).startswith("values")
    assert found.tags == {
        "d": found.tags["d"],
        "a": 1,
        "b": True,
        "c": 0.5,
        "otel.scope.name": "envoy",
        "span.kind": "client",
        "otel.status_code": "ERROR",
        "otel.status_description": "gone",
        "error": True,
    }
    with pytest.raises(ValueError, match="not an ExportTraceServiceRequest"):
        otlp.decode(b"\xff\xff")

"""Jaeger in a pod: the ports and the form of configuration of the release's own add-on
(samples/addons/jaeger.yaml)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grpclib.client import Channel, UnaryUnaryMethod

from sandbox.images.jaeger import Config, read_config
from sandbox.images.program import ProgramError
from sandbox.jaeger import otlp
from tests.sandbox.node.conftest import Place, container

IMAGE = "docker.io/jaegertracing/jaeger:2.17.0"
CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query, remote_sampling, healthcheckv2]
  pipelines: {traces: {receivers: [otlp, jaeger, zipkin], processors: [batch], exporters: [some]}}
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8889}}}}]}}
extensions:
  jaeger_query: {base_path: /jaeger}
  healthcheckv2: {http: {endpoint: "0.0.0.0:13133"}}
receivers:
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}, http: }}
  zipkin: {endpoint: "0.0.0.0:9412"}
"""
SPAN = {"traceId": "1" * 32, "id": "2" * 16, "timestamp": 1, "localEndpoint": {"serviceName": "a"}}


def test_what_a_configuration_says() -> None:
    ports = {"otlp/grpc": 4317, "otlp/http": 4318, "zipkin": 9412, "health": 13133, "metrics": 8889}
    assert read_config(CONFIG) == Config("/jaeger", ports, ("receivers.jaeger", "extensions.remote_sampling"))
    little = "service: {extensions: [], pipelines: {traces: {receivers: [zipkin]}}}"
    assert read_config(little) == Config("", {"zipkin": 9411}, ())


@pytest.mark.parametrize("text", ["", "- a", "service: 5", "{", "service: {extensions: [], pipelines: {}}"])
def test_what_is_no_configuration(text: str) -> None:
    with pytest.raises(ProgramError, match="failed to get config"):
        read_config(text)


async def ask(place: Place, port: int, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
    network = place.run("jaeger").network
    headers = {"content-type": kind} if kind else {}
    reply = await network.http.request(
        "POST" if body else "GET", f"http://{network.ip}:{port}{path}", headers, body
    )
    return reply.status, reply.body.decode()


async def services(place: Place) -> Any:
    _, body = await ask(place, 16686, "/jaeger/api/services")
    return json.loads(body)["data"]


async def test_what_comes_in_by_every_way_is_found(place: Place) -> None:
    files = {"metadata": {"name": "jaeger", "namespace": "default"}, "data": {"config.yaml": CONFIG}}
    place.cluster.create("configmaps", files, manager="test")
    mounted = {"name": "c", "mountPath": "/jaeger-configuration"}
    arguments = ["--config", "/jaeger-configuration/config.yaml"]
    one = container(IMAGE, args=arguments, volumeMounts=[mounted])
    one["readinessProbe"] = {"httpGet": {"path": "/status", "port": 13133}, "periodSeconds": 1}
    await place.serving("jaeger", one, volumes=[{"name": "c", "configMap": {"name": "jaeger"}}])
    assert "not supported by the sandbox's Jaeger: receivers.jaeger" in await place.log("jaeger")
    assert await services(place) == []

    assert await ask(place, 9412, "/api/v2/spans", json.dumps([SPAN]).encode(), "application/json") == (202, "")
    request: Any = otlp._message(otlp._REQUEST)()
    for name in ("b", "c"):
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.add(key="service.name").value.string_value = name
        of_resource.scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    kind = "application/x-protobuf"
    assert (await ask(place, 4318, "/v1/traces", request.SerializeToString(), kind))[0] == 200
    del request.resource_spans[:]
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = "d"
    of_resource.scope_spans.add().spans.add(trace_id=b"\4" * 16, span_id=b"\2" * 8)
    async with Channel(place.run("jaeger").network.ip, 4317) as channel:
        export: Any = UnaryUnaryMethod(channel, otlp._METHOD, type(request), otlp._message(otlp._RESPONSE))
        await export(request)
    assert await services(place) == ["a", "c", "d"]  # b's span came as c's once more
    status, counted = await ask(place, 8889, "/metrics")
    assert status == 200
    assert 'otelcol_receiver_accepted_spans_total{receiver="otlp",transport="grpc"} 1\n' in counted
    assert 'otelcol_receiver_accepted_spans_total{receiver="zipkin",transport="http"} 1\n' in counted

    for port, path, body, kind, expected, said in (
        (9412, "/api/v1/spans", b"[]", "application/json", 404, "which has POST /api/v2/spans"),
        (9412, "/api/v2/spans", b"[1]", "application/json", 400, "Expected `object`"),
        (9412, "/api/v2/spans", b"x", "application/x-thrift", 400, "application/x-thrift: not supported"),
        (4318, "/v1/traces", b"{}", "application/json", 415, "application/json: not supported by the sandbox"),
        (4318, "/v1/logs", b"{}", "application/json", 404, "which has POST /v1/traces"),
        (13133, "/", b"", "", 404, "which has /status"),
    ):
        got, text = await ask(place, port, path, body, kind)
        assert (got, said in text) == (expected, True), (path, text)


async def test_what_it_does_not_know_is_refused(place: Place) -> None:
    place.start("flags", container(IMAGE, args=["--query.base-path=/x"]), restartPolicy="Never")
    place.start("file", container(IMAGE, args=["--config=/nowhere"]), restartPolicy="Never")
    for name, said in (("flags", "flag not supported by the sandbox's jaeger"), ("file", "open /nowhere")):
        await place.until(lambda name=name: place.state(name).get("terminated"))
        assert said in "\n".join(await place.log(name))

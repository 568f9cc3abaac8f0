"""Access logs: what the mesh's ConfigMap asks for, whose lines are whose, and what a real Envoy writes. The text is
Istio's (pilot/pkg/model/telemetry_logging.go; istio.io/latest/docs/tasks/observability/logs/access-log/)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sandbox.core.cluster import ApiError
from sandbox.mesh import mesh_config
from sandbox.mesh.access_logs import AccessLogPipe, LoggedListeners
from sandbox.mesh.mesh_config import OFF, AccessLog
from sandbox.mesh.registry import Proxy

from .world import World, eventually

INSTALLED = """defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
defaultProviders:
  metrics:
  - prometheus
enablePrometheusMerge: true
rootNamespace: istio-system
trustDomain: cluster.local"""
"""As a real 1.31.1 (shared/real/objects/configmaps.yaml)."""

CONFIGURED = [
    ("", OFF),
    (INSTALLED, OFF),
    (f"accessLogFile: /dev/stdout\n{INSTALLED}", AccessLog("/dev/stdout")),
    ("accessLogFile: /dev/stdout\naccessLogEncoding: JSON", AccessLog("/dev/stdout", "JSON")),
    ('accessLogFile: ""', OFF),
    ("accessLogFile: /dev/stderr\naccessLogFormat: '%PROTOCOL%'", AccessLog("/dev/stderr", "TEXT", "%PROTOCOL%")),
]
REFUSED = [
    ("accessLogFile: /tmp/log", "accessLogFile: /tmp/log: not supported by the sandbox"),
    ("accessLogEncoding: XML", "accessLogEncoding: 'XML' is not one of TEXT, JSON"),
    ("accessLogEncoding: JSON\naccessLogFormat: x", "accessLogFormat: 'x' is no JSON object"),
    ("accessLogFile: 1", "accessLogFile: 1 is not a text"),
    ("trustDomain: mine", "trustDomain: not supported by the sandbox"),
    ("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", "outboundTrafficPolicy: not supported by the sandbox"),
    ("{", "not YAML"),
    ("- a", "not a MeshConfig"),
]


@pytest.mark.parametrize(("text", "wanted"), CONFIGURED)
def test_what_is_asked_for(text: str, wanted: AccessLog) -> None:
    assert mesh_config.read(text).access_log == wanted


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_a_mesh_cannot_be_like(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        mesh_config.read(text)


def test_every_line_goes_to_whose_it_is(tmp_path: Path) -> None:
    pipe = AccessLogPipe(tmp_path)
    found: dict[str, bytes] = {"a.x": b"", "b.x": b""}
    for name in found:
        pipe.attach(name, lambda line, name=name: found.update({name: found[name] + line}))  # type: ignore[misc]
    pipe.take(b"\x1fa.x\x1fone a.x/outbound|80||h -\n\x1fb.x\x1ftwo\nmore of")
    pipe.take(b' it\n\x1fc.x\x1fnobody\n{"n":1,"sandbox.proxy":"a.x","c":"a.x/inbound|80||"}\n\x1fa.x\x1fhal')
    assert found["a.x"] == b'one outbound|80||h -\n{"n":1,"c":"inbound|80||"}\n'
    assert found["b.x"] == b"two\nmore of it\n"


def test_chains_are_the_same_objects_while_the_log_that_is_wanted_is() -> None:
    proxy = Proxy("sidecar", "p", "shop", "127.64.16.8", {})
    connections = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"}
    chain = {"name": "tcp", "filters": [{"name": "tcp", "typed_config": connections}]}
    opened = [{"name": "p.shop/outbound", "traffic_direction": "OUTBOUND", "filter_chains": [chain]}]
    logged = LoggedListeners(proxy)

    def chain_with(wanted: AccessLog) -> object:
        (listener,) = logged.of(opened, wanted)
        return listener["filter_chains"][0]

    first = chain_with(OFF)
    assert chain_with(OFF) is first
    assert chain_with(AccessLog("/dev/stdout")) is not first


async def test_requests_are_logged_while_the_mesh_says_so(world: World) -> None:
    service = world.service("reviews", {"http": 9080})
    await world.pod("reviews-v1", "reviews", "v1")
    proxy = await world.sidecar("client")
    client = world.client(proxy, service["spec"]["clusterIP"], 9080)
    lines: list[bytes] = []
    world.mesh.data_plane.access_logs.attach(proxy.id, lines.append)
    world.namespace("istio-system")

    def configure(text: str) -> None:
        def change(obj: dict) -> None:  # type: ignore[type-arg]
            obj["data"] = {"mesh": text}

        metadata = {"name": "istio", "namespace": "istio-system"}
        if world.cluster.edit("configmaps", "istio-system", "istio", change, manager="test") is None:
            world.cluster.create("configmaps", {"metadata": metadata, "data": {"mesh": text}}, manager="test")

    async def asked() -> bool:
        await client.get("/ratings?a=1", "reviews:9080", user_agent="test")
        return bool(lines)

    configure("accessLogFile: /dev/stdout")
    await eventually(asked)
    assert re.fullmatch(
        rb'\[\d{4}-\d\d-\d\dT[\d:.]+Z\] "GET /ratings\?a=1 HTTP/1.1" 200 - via_upstream - "-" 0 \d+ \d+ \d+ "-" '
        rb'"test" "[0-9a-f-]{36}" "reviews:9080" "127[\d.]+:9080" '
        rb"outbound\|9080\|\|reviews\.default\.svc\.cluster\.local "
        rb"127[\d.]+:\d+ 127[\d.]+:9080 127[\d.]+:40000 - default\n",
        lines[0],
    ), lines[0]
    configure("accessLogFile: /dev/stdout\naccessLogEncoding: JSON")

    async def as_json() -> bool:
        lines.clear()
        return await asked() and lines[0].startswith(b"{")

    await eventually(as_json)
    found = json.loads(lines[0])
    assert (found["path"], found["response_code"], found["user_agent"]) == ("/ratings?a=1", 200, "test")
    assert found["upstream_cluster"] == "outbound|9080||reviews.default.svc.cluster.local"
    assert len(found) == 24
    configure(INSTALLED)

    async def silent() -> bool:
        listeners = await world.mesh.data_plane.admin("/config_dump?resource=dynamic_listeners")
        return "access_loggers.file" not in listeners

    await eventually(silent)
    with pytest.raises(ApiError, match=r"data\[mesh\]: trustDomain: not supported by the sandbox"):
        configure("trustDomain: mine")

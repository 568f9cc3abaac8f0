"""Spans of a real Envoy: whose they are, what they say, and how many requests have one.

Operations and tags are Envoy's and istiod's (pilot/pkg/networking/core/tracing.go, route.GetRouteOperation).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from grpclib.server import Server

from sandbox.core.cluster import Object
from sandbox.jaeger import otlp, zipkin
from sandbox.jaeger.spans import Span, SpanStore
from sandbox.mesh.control_plane import TELEMETRIES
from sandbox.mesh.mesh_config import MeshConfig
from sandbox.mesh.registry import Proxy, Registry
from sandbox.mesh.tracing import OFF, TracedListeners, of_proxy
from workshop.traffic.verdict import judge, plan

from .conftest import running
from .world import World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PORT = 9080
COLLECTOR = "collector.default.svc.cluster.local"
PROVIDERS = [
    {"name": "grpc", "opentelemetry": {"service": COLLECTOR, "port": 4317}},
    {"name": "http", "opentelemetry": {"service": COLLECTOR, "port": 4318, "http": {"path": "/v1/traces"}}},
    {"name": "zipkin", "zipkin": {"service": COLLECTOR, "port": 9411}},
    {"name": "nowhere", "zipkin": {"service": "nobody.default.svc.cluster.local", "port": 9411}},
]
TRACE, PARENT = "0123456789abcdef0123456789abcd", "fedcba9876543210"
ASKED_FOR = {"x-client-trace-id": "mine"}
"""A header by which a client has its request traced whatever the percentage is (Envoy docs, tracing)."""


class Traced:
    """A client in the mesh, a service that it asks, and what takes spans in all ways they are sent."""

    def __init__(self, world: World, proxy: Proxy, address: str) -> None:
        self.world, self.proxy, self.address = world, proxy, address
        self.store = SpanStore()

    @staticmethod
    @contextlib.asynccontextmanager
    async def of(world: World) -> AsyncIterator[Traced]:
        service = world.service("reviews", {"http": PORT})
        await world.pod("reviews-v1", "reviews", "v1")
        world.namespace("istio-system")
        proxy = await world.sidecar("client-1", app="client")
        made = Traced(world, proxy, service["spec"]["clusterIP"])
        world.service("collector", {"grpc-otel": 4317, "http-otel": 4318, "http-zipkin": 9411})
        at = world._pod_object("collector", {"app": "collector"}, "default")
        world._publish_endpoints("default", "collector")
        grpc = Server([otlp.Receiver(made._take)])
        await grpc.start(at, 4317)
        http = web.AppRunner(made._receiver())
        await http.setup()
        for port in (4318, 9411):
            await web.TCPSite(http, at, port).start()
        config = {"metadata": {"name": "istio", "namespace": "istio-system"}}
        mesh = json.dumps({"extensionProviders": PROVIDERS})
        world.cluster.create("configmaps", {**config, "data": {"mesh": mesh}}, manager="test")
        try:
            yield made
        finally:
            grpc.close()
            await http.cleanup()

    def _take(self, spans: list[Span]) -> None:
        self.store.add(spans)

    def _receiver(self) -> web.Application:
        async def of_otlp(request: web.Request) -> web.Response:
            self._take(otlp.decode(await request.read()))
            return web.Response()

        async def of_zipkin(request: web.Request) -> web.Response:
            self.headers = dict(request.headers)
            self._take(zipkin.decode(await request.read()))
            return web.Response(status=202)

        application = web.Application()
        application.router.add_post("/v1/traces", of_otlp)
        application.router.add_post("/api/v2/spans", of_zipkin)
        return application

    def say(self, **tracing: Any) -> None:
        """The one Telemetry that there is."""
        spec: Object = {"tracing": [tracing]}
        metadata = {"name": "only", "namespace": "default"}
        if self.world.cluster.find(TELEMETRIES, "default", "only") is None:
            self.world.cluster.create(TELEMETRIES, {"metadata": metadata, "spec": spec}, manager="test")
        else:
            change = lambda obj: obj.update(spec=spec)  # noqa: E731
            self.world.cluster.edit(TELEMETRIES, "default", "only", change, manager="test")

    async def ask(self, path: str, count: int = 1, **headers: str) -> int:
        """On a connection of its own, for an open one goes by what it was opened with; the last answer's status."""
        client = self.world.client(self.proxy, self.address, PORT)
        status = 0
        for _ in range(count):
            status, _, _ = await client.get(path, "reviews:9080", **headers)
        client.close()
        return status

    def spans(self, path: str) -> list[Span]:
        return [span for span in self.store.spans() if str(span.tags["http.url"]).endswith(path)]

    async def span(self, path: str, **headers: str) -> Span:
        """Of a request whose path is one of its own."""
        await self.ask(path, **headers)

        async def come() -> bool:
            return bool(self.spans(path))

        await eventually(come)
        (found,) = self.spans(path)
        return found

    async def until_traced(self, path: str, **tags: str) -> None:
        """Until spans come that say so. Of these requests each has one, whatever the percentage is."""

        async def come() -> bool:
            await self.ask(path, **ASKED_FOR)
            return any(tags.items() <= span.tags.items() for span in self.spans(path))

        await eventually(come)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    async with running(tmp_path_factory.mktemp("traced")) as world, Traced.of(world) as made:
        yield made


def tag(value: str) -> dict[str, Any]:
    return {"customTags": {"mark": {"literal": {"value": value}}}}


SAID = {
    "component": "proxy",
    "downstream_cluster": "-",
    "http.method": "GET",
    "http.protocol": "HTTP/1.1",
    "http.status_code": "200",
    "istio.canonical_revision": "latest",
    "istio.canonical_service": "unknown",
    "istio.cluster_id": "Kubernetes",
    "istio.mesh_id": "cluster.local",
    "istio.namespace": "default",
    "request_size": "0",
    "response_flags": "-",
    "span.kind": "client",
    "upstream_cluster": f"outbound|{PORT}||reviews.default.svc.cluster.local",
    "upstream_cluster.name": f"outbound|{PORT}||reviews.default.svc.cluster.local;",
}
"""Of a request that is answered; other tags of Envoy's are each request's own."""


@pytest.mark.parametrize(
    ("provider", "headers"),
    [
        ("grpc", {"traceparent": f"00-{TRACE}01-{PARENT}-01"}),
        ("http", {"traceparent": f"00-{TRACE}02-{PARENT}-01"}),
        ("zipkin", {"x-b3-traceid": f"{TRACE}03", "x-b3-spanid": PARENT, "x-b3-sampled": "1"}),
    ],
)
async def test_a_span_is_the_proxys_own(mesh: Traced, provider: str, headers: dict[str, str]) -> None:
    mesh.say(providers=[{"name": provider}], randomSamplingPercentage=100, **tag(provider))
    await mesh.until_traced(f"/until-{provider}", mark=provider)
    span = await mesh.span(f"/{provider}?a=1", **headers)
    trace = headers.get("x-b3-traceid") or headers["traceparent"].split("-")[1]
    assert (span.trace, span.parent, span.kind) == (trace, PARENT, "client")
    assert (span.service, span.operation) == ("client.default", f"reviews.default.svc.cluster.local:{PORT}/*")
    assert SAID.items() <= span.tags.items()
    assert span.tags["mark"] == provider
    node = f"sidecar~{mesh.proxy.address}~client-1.default~default.svc.cluster.local"
    assert span.tags["node_id"] == node
    assert str(span.tags["http.url"]) == f"http://reviews:9080/{provider}?a=1"
    assert span.tags["guid:x-request-id"]
    if provider == "zipkin":
        assert span.process == {"ip": mesh.proxy.address}
        assert mesh.headers["Host"] == COLLECTOR
        assert not [name for name in mesh.headers if name.lower().startswith("x-sandbox")]


async def test_operations_are_called_by_where_requests_go(mesh: Traced) -> None:
    """By the rule's name, where there is not one destination. What goes nowhere has no cluster."""
    mesh.say(providers=[{"name": "grpc"}], randomSamplingPercentage=100, **tag("operations"))
    to = {"destination": {"host": "reviews"}}
    rules = [
        {"match": [{"uri": {"exact": "/exact"}}], "route": [to]},
        {"match": [{"uri": {"prefix": "/pre"}}], "route": [to]},
        {"match": [{"uri": {"regex": "/r.g"}}], "route": [to]},
        {"match": [{"uri": {"exact": "/both"}}], "route": [{**to, "weight": 50}, {**to, "weight": 50}]},
        {"match": [{"uri": {"regex": "/(direct|told)"}}], "directResponse": {"status": 418}},
    ]
    mesh.world.apply("virtualservices", "shown", {"hosts": ["reviews"], "http": rules})

    async def in_effect() -> bool:
        return await mesh.ask("/told") == 418

    await eventually(in_effect)
    await mesh.until_traced("/pre-until", mark="operations")
    host = f"reviews.default.svc.cluster.local:{PORT}"
    expected = {
        "/exact": f"{host}/exact",
        "/prefixed": f"{host}/pre*",
        "/reg": f"{host}/r.g",
        "/both": f"shown:{PORT}/both",
    }
    for path, operation in expected.items():
        assert (await mesh.span(path)).operation == operation
    direct = await mesh.span("/direct")
    assert direct.operation == f"shown:{PORT}/(direct|told)"
    assert [name for name in direct.tags if name.startswith("upstream")] == []
    mesh.world.cluster.delete("virtualservices.networking.istio.io", "default", "shown")


async def test_as_many_requests_have_a_span_as_are_to_have_one(mesh: Traced) -> None:
    """0 and 100 % to the request, others by a plan for a deviation of 0.2 (workshop/traffic/verdict.py)."""
    wanted = plan({"traced": 0.5, "not": 0.5}, 0.2)
    for mark, percent, asked in (("most", 100, 60), ("some", 50, wanted.n), ("none", 0, 60)):
        mesh.say(providers=[{"name": "grpc"}], randomSamplingPercentage=percent, **tag(mark))
        await mesh.until_traced(f"/before-{mark}", mark=mark)
        await mesh.ask(f"/{mark}", asked)
        # What comes last through the same tracer has all before it gone.
        await mesh.span(f"/after-{mark}", **ASKED_FOR)
        found = len(mesh.spans(f"/{mark}"))
        if percent == 50:
            assert judge(wanted, {"traced": found, "not": asked - found}).kind == "pass"
        else:
            assert found == asked * percent // 100


async def test_what_is_switched_off_or_leads_nowhere_is_not_traced(mesh: Traced) -> None:
    for tracing in (
        {"providers": [{"name": "grpc"}], "disableSpanReporting": True},
        {"providers": [{"name": "nowhere"}]},
        {"providers": [{"name": "unknown"}]},
    ):
        mesh.say(**tracing)

        async def silent() -> bool:
            dump = await mesh.world.mesh.data_plane.admin("/config_dump?resource=dynamic_listeners")
            return '"tracing"' not in dump

        await eventually(silent)


async def test_without_tracing_a_proxy_has_the_listeners_it_had() -> None:
    proxy = Proxy("sidecar", "a", "shop", "127.64.1.1", {})
    assert of_proxy(proxy, (), MeshConfig(), Registry(())) is OFF
    opened = [{"name": "a.shop/outbound", "filter_chains": []}]
    assert TracedListeners("a.shop").of(opened, OFF) is opened

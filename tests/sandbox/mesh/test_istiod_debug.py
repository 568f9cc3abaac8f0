"""What a real istioctl's `proxy-status` asks istiod, over gRPC: plainly and by TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from typing import Any

import pytest
from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError

from sandbox.mesh.istio_annotations import StatsInclusion
from sandbox.mesh.istiod_debug import PLAIN_PORT, TLS_PORT
from sandbox.mesh.proxy_admin import AdminView
from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.ads import CLUSTERS, LISTENERS

from .test_refusals import istiod
from .world import World

_DISCOVERY = "envoy.service.discovery.v3"


async def ask(address: str, type_url: str, names: Sequence[str] = (), *, tls: bool = False) -> Any:
    """As istioctl does: the question has a nonce of its own, and the answer is acknowledged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    channel = Channel(address, TLS_PORT, ssl=context) if tls else Channel(address, PLAIN_PORT)
    request, response = (
        envoy_messages.message_class(f"{_DISCOVERY}.{name}") for name in ("DiscoveryRequest", "DiscoveryResponse")
    )
    path = f"/{_DISCOVERY}.AggregatedDiscoveryService/StreamAggregatedResources"
    try:
        async with channel.request(path, Cardinality.STREAM_STREAM, request, response) as stream:
            question: Any = request()
            question.type_url, question.response_nonce = type_url, "2026-11-29 03:00:00 +0000 UTC m=+0.1"
            question.resource_names.extend(names)
            await stream.send_message(question)
            answer: Any = await stream.recv_message()
            question.response_nonce = answer.nonce
            await stream.send_message(question, end=True)
            assert await stream.recv_message() is None
            return answer
    finally:
        channel.close()


async def test_istiod_says_who_is_connected_and_what_they_are_to_have(world: World) -> None:
    world.service("reviews", {"http": 9080})
    proxy = await world.sidecar("client", app="client")
    made, _ = istiod(world)
    await made.start()
    address = made.container.ip
    for tls in (False, True):
        answer = await ask(address, "istio.io/debug/syncz", tls=tls)
        assert json.loads(answer.control_plane.identifier)["ID"] == "istiod"
        (resource,) = answer.resources
        assert resource.type_url.endswith("/envoy.service.status.v3.ClientConfig")
        assert proxy.id.encode() in resource.value
        assert resource.value.count(b"type.googleapis.com/envoy.config.") == 4
    dump = {
        resource.type_url.rpartition(".")[2]: resource.value
        for resource in (await ask(address, "istio.io/debug/config_dump", [proxy.id])).resources
    }
    assert set(dump) == {"ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump", "EndpointsConfigDump"}
    for kind, message, name in (
        (CLUSTERS, "ClustersConfigDump", b"outbound|9080||reviews.default.svc.cluster.local"),
        (CLUSTERS, "ClustersConfigDump", b"PassthroughCluster"),
        (LISTENERS, "ListenersConfigDump", b"outbound"),
    ):
        assert f"type.googleapis.com/{kind}".encode() in dump[message]
        assert name in dump[message]
    assert proxy.id.encode() not in b"".join(dump.values())
    assert b"PRIVATE KEY" not in b"".join(dump.values())
    # What the proxy says that it has is the same, which `proxy-status POD` looks at.
    _, said = await AdminView(world.mesh.data_plane, proxy, StatsInclusion()).get("config_dump")
    has = {config["@type"].rpartition(".")[2]: config for config in json.loads(said)["configs"]}
    clusters = [one["cluster"] for one in has["ClustersConfigDump"]["dynamic_active_clusters"]]
    listeners = [one["active_state"]["listener"] for one in has["ListenersConfigDump"]["dynamic_listeners"]]
    assert {"virtualInbound", "outbound"} <= {one["name"] for one in listeners}
    for kind, message, found in (
        (CLUSTERS, "ClustersConfigDump", clusters),
        (LISTENERS, "ListenersConfigDump", listeners),
    ):
        for one in found:
            written = {key: value for key, value in one.items() if key != "@type"}
            assert envoy_messages.encode(kind, written).SerializeToString() in dump[message], one["name"]
    (told,) = (await ask(address, "istio.io/debug", ["syncz"])).resources
    assert [each["proxy"] for each in json.loads(told.value)] == [proxy.id]
    for asked, status in (
        (("istio.io/debug", ["configz"]), Status.UNIMPLEMENTED),
        (("istio.io/debug/config_dump", ["nobody.default"]), Status.NOT_FOUND),
        ((f"type.googleapis.com/{CLUSTERS}", []), Status.UNIMPLEMENTED),
    ):
        with pytest.raises(GRPCError) as refused:
            await ask(address, *asked)
        assert refused.value.status == status
    await made.stop(0)
    with pytest.raises(ConnectionRefusedError):
        await ask(address, "istio.io/debug/syncz")

"""What comes to a pod with a sidecar, by a real Envoy: the pod's programs are inside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from sandbox.core.addresses import inside
from sandbox.mesh.control_plane import PEER_AUTHENTICATIONS
from sandbox.mesh.registry import Proxy

from .world import NO_ANNOTATIONS, World, eventually


async def pod(world: World, *, port: int = 9080, annotations: Mapping[str, str] = NO_ANNOTATIONS) -> Proxy:
    """In the mesh, with a program that listens at a port."""
    proxy = await world.sidecar("web", app="web", annotations=annotations)
    await world.serve("web", "v1", inside(proxy.address), port)
    return proxy


async def answered(world: World, proxy: Proxy, port: int) -> dict[str, str] | None:
    """The headers of what a plain client gets; None when its connection is closed."""
    client = world.outside(proxy.address, port)
    try:
        _, headers, _ = await client.get("/", "web")
        return headers
    except (OSError, asyncio.IncompleteReadError):
        return None
    finally:
        client.close()


async def test_a_port_that_only_the_program_knows_passes_through_the_proxy_as_soon_as_it_listens(
    world: World,
) -> None:
    proxy = await pod(world, annotations={"sidecar.istio.io/statsInclusionPrefixes": "http.Inbound"})
    assert await answered(world, proxy, 9080) is None
    proxy.ports.add(9080)
    world.mesh.data_plane.reconsider(proxy)
    await eventually(lambda: answered(world, proxy, 9080))
    stats = await world.mesh.data_plane.admin("/stats?filter=InboundPassthroughCluster.*downstream_rq_2xx")
    assert f"http.{proxy.id}/InboundPassthroughCluster;.downstream_rq_2xx: " in stats


async def test_a_service_makes_it_a_cluster_with_the_pool_of_its_rule(world: World) -> None:
    proxy = await pod(world, port=20080)
    world.service("web", {"http": 80})
    rule = {"host": "web", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}}}
    world.apply("destinationrules", "web", rule)
    limit = f"{proxy.id}/inbound|80||::default_priority::max_connections::7"

    async def limited() -> bool:
        return limit in await world.mesh.data_plane.admin("/clusters")

    await eventually(limited)
    await eventually(lambda: answered(world, proxy, 20080))
    assert (await answered(world, proxy, 20080) or {})["server"] == "istio-envoy"


async def test_strict_is_also_for_a_port_that_passes_through(world: World) -> None:
    proxy = await pod(world)
    proxy.ports.add(9080)
    world.mesh.data_plane.reconsider(proxy)
    await eventually(lambda: answered(world, proxy, 9080))
    spec = {"selector": {"matchLabels": {"app": "web"}}, "portLevelMtls": {"9080": {"mode": "STRICT"}}}
    policy = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    world.cluster.create(PEER_AUTHENTICATIONS, policy, manager="test")

    async def refused() -> bool:
        return await answered(world, proxy, 9080) is None

    await eventually(refused)


async def test_only_services_that_have_a_pod_with_a_sidecar_are_spoken_to_with_tls(world: World) -> None:
    """A context of TLS has its price, for each proxy and service."""
    client = await world.sidecar("client")
    world.service("web", {"http": 9080})
    cluster = f"{client.id}/outbound|9080||web.default.svc.cluster.local"

    async def encrypted() -> bool | None:
        made = world.mesh.data_plane.configuration(client).clusters.get(cluster)
        return None if made is None else "transport_socket_matches" in made

    await world.pod("plain", "web")
    await eventually(lambda: has(encrypted, False))
    await world.sidecar("web", app="web", **{"security.istio.io/tlsMode": "istio"})
    world._publish_endpoints("default", "web")
    await eventually(lambda: has(encrypted, True))


async def has(found: Callable[[], Awaitable[bool | None]], wanted: bool) -> bool:
    return await found() is wanted

"""Limits and ejection, by real concurrent requests through a sidecar."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

from sandbox.mesh.registry import Proxy

from .world import OF_DESTINATIONS, World, eventually

POOL = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 1}}
EJECTION = {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "3m", "maxEjectionPercent": 100}


class Breaker:
    """Service `httpbin` with one pod, and a client of it in the mesh."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> Breaker:
        self.address = self.world.service("httpbin", {"http": 8000})["spec"]["clusterIP"]
        await self.world.pod("httpbin", "httpbin", port=8000)
        self.proxy: Proxy = await self.world.sidecar("client", annotations=OF_DESTINATIONS)
        return self

    def apply(self, **policy: Any) -> None:
        self.world.apply("destinationrules", "httpbin", {"host": "httpbin", "trafficPolicy": policy})

    def delete(self) -> None:
        self.world.cluster.delete("destinationrules.networking.istio.io", "default", "httpbin")

    async def load(self, connections: int, each: int = 60, path: str = "/") -> Counter[int]:
        """Statuses of what several clients get, each on a connection of its own."""
        found: Counter[int] = Counter()

        async def one() -> None:
            client = self.world.client(self.proxy, self.address, 8000)
            for _ in range(each):
                found[(await client.get(path, "httpbin:8000"))[0]] += 1
            client.close()

        await asyncio.gather(*(one() for _ in range(connections)))
        return found

    async def counter(self, name: str) -> int:
        stats = await self.world.mesh.data_plane.admin("/stats?filter=httpbin")
        found = re.search(rf"^cluster\.{self.proxy.id}/outbound\|8000\|\|\S+\.{name}: (\d+)$", stats, re.M)
        return int(found[1]) if found else 0

    async def status(self, **headers: str) -> int:
        client = self.world.client(self.proxy, self.address, 8000)
        status, _, _ = await client.get("/", "httpbin:8000", **headers)
        client.close()
        return status

    async def limited(self) -> bool:
        before = await self.counter("upstream_rq_pending_overflow")
        await self.load(8, 3)
        return await self.counter("upstream_rq_pending_overflow") > before


async def test_a_circuit_breaker_trips_with_more_connections_and_the_proxy_counts_it(world: World) -> None:
    breaker = await Breaker(world).start()
    assert await breaker.load(3) == {200: 180}
    breaker.apply(connectionPool=POOL, outlierDetection=EJECTION)
    await eventually(breaker.limited)
    shares = {}
    for connections in (1, 2, 3):
        before = await breaker.counter("upstream_rq_pending_overflow")
        found = await breaker.load(connections)
        assert set(found) <= {200, 503}
        assert await breaker.counter("upstream_rq_pending_overflow") - before == found[503]
        shares[connections] = found[503] / found.total()
    assert shares[1] == 0 <= shares[2] < shares[3]
    pid = world.mesh.data_plane.pid
    breaker.delete()

    async def lifted() -> bool:
        return not await breaker.limited()

    await eventually(lifted)
    assert await breaker.load(3) == {200: 180}
    assert world.mesh.data_plane.pid == pid
    assert world.mesh.data_plane.refused == {}


async def test_an_error_ejects_the_only_pod_until_the_rule_changes_or_goes(world: World) -> None:
    breaker = await Breaker(world).start()

    async def ejected() -> bool:
        await breaker.status(x_answer="500")
        return await breaker.status() == 503

    async def back() -> bool:
        return await breaker.status() == 200

    assert await back()
    breaker.apply(outlierDetection=EJECTION)
    await eventually(ejected)
    assert await breaker.load(1, 5) == {503: 5}
    breaker.apply(outlierDetection={**EJECTION, "baseEjectionTime": "2m"})
    await eventually(back)
    await eventually(ejected)
    breaker.delete()
    await eventually(back)
    assert not await ejected()

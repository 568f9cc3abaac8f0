"""Istio's metrics of one proxy: what a real Envoy has counted, with the names and labels of
https://istio.io/latest/docs/reference/config/metrics/. Both sides of a request are in the conformance cases."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

from sandbox.mesh.proxy_statistics import Wanted
from sandbox.prometheus.exposition import labels, samples

from .test_proxy_admin import running
from .world import World, eventually

REQUESTS, ERRORS = 40, 7


async def told(world: World, pod: str) -> dict[str, Counter[tuple[str, ...]]]:
    """Samples by name, and in it by service, version, code and flags."""
    page = await world.mesh.statistics.page(world.mesh.data_plane.proxies[f"{pod}.default"])
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for series, value, _ in samples(page, {}):
        known = dict(labels(series).mapping)
        name = known.pop("__name__")
        if not name.startswith("istio_"):
            continue
        wanted = (
            "destination_service_name",
            "destination_canonical_revision",
            "response_code",
            "response_flags",
            "le",
        )
        found.setdefault(name, Counter())[tuple(known[label] for label in wanted if label in known)] += value
    return found


async def test_every_request_is_counted_once_by_where_it_went_and_how_it_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "envoy") as world:
        address = world.service("reviews", {"http": 9080})["spec"]["clusterIP"]
        await world.pod("reviews-v1", "reviews", "v1")
        client = world.client(await world.sidecar("client"), address, 9080)
        other = world.client(await world.sidecar("client-2"), address, 9080)
        assert (await other.get("/", "reviews"))[0] == 200
        for number in range(REQUESTS):
            wish = {"x_answer": "503"} if number < ERRORS else {}
            await client.get("/", ("reviews", "reviews.default:9080")[number % 2], **wish)
        found = await told(world, "client")
        well, badly = ("reviews", "v1", "200", "-"), ("reviews", "v1", "503", "-")
        assert found["istio_requests_total"] == {well: REQUESTS - ERRORS, badly: ERRORS}
        for metric in ("request_duration_milliseconds", "request_bytes", "response_bytes"):
            assert found[f"istio_{metric}_count"] == found["istio_requests_total"]
            assert found[f"istio_{metric}_bucket"][*well, "+Inf"] == REQUESTS - ERRORS
        limits = [float(key[-1]) for key in found["istio_request_bytes_bucket"] if key[:-1] == well]
        assert limits == sorted(limits)
        durations = {float(key[-1]) for key in found["istio_request_duration_milliseconds_bucket"]}
        assert durations >= {0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 3600000, float("inf")}
        # All who ask at the same time are told the same; another's requests are not this one's.
        both = await asyncio.gather(told(world, "client"), told(world, "client-2"))
        assert [sum(one["istio_requests_total"].values()) for one in both] == [REQUESTS, 1]
        proxy = world.mesh.data_plane.proxies["client.default"]
        assert await world.mesh.statistics.page(proxy, Wanted(re.compile("istio.*ratings"))) == ""
        assert "_total" not in await world.mesh.statistics.page(proxy, Wanted(kind="Histograms"))


async def test_what_was_counted_for_a_pod_is_not_its_successors(tmp_path: Path) -> None:
    async with running(tmp_path / "envoy") as world:
        address = world.service("reviews", {"http": 9080})["spec"]["clusterIP"]
        await world.pod("reviews-v1", "reviews", "v1")
        before = await world.sidecar("client")
        assert (await world.client(before, address, 9080).get("/", "reviews"))[0] == 200
        assert (await told(world, "client"))["istio_requests_total"].total() == 1
        await world.mesh.data_plane.unregister(before)
        world.cluster.delete("pods", "default", "client", grace_seconds=0)
        again = await world.sidecar("client")
        assert again.address != before.address
        assert "istio_requests_total" not in await told(world, "client")


async def test_what_was_counted_outlasts_the_listeners_that_counted_it(tmp_path: Path) -> None:
    """Envoy frees the statistics of a listener that has been replaced, unless they have a name of their own."""
    async with running(tmp_path / "envoy") as world:
        address = world.service("reviews", {"http": 9080})["spec"]["clusterIP"]
        await world.pod("reviews-v1", "reviews", "v1")
        client = world.client(await world.sidecar("client"), address, 9080)
        assert (await client.get("/", "reviews"))[0] == 200
        before = await told(world, "client")
        client.close()
        world.namespace("istio-system")
        mesh = {
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": "accessLogFile: /dev/stdout"},
        }
        world.cluster.create("configmaps", mesh, manager="test")

        async def replaced() -> bool:
            listeners = await world.mesh.data_plane.admin("/config_dump?resource=dynamic_listeners")
            draining = await world.mesh.data_plane.admin(
                "/stats?filter=listener_manager.total_(filter_chains|listeners)_draining"
            )
            return "FileAccessLog" in listeners and all(line.endswith(": 0") for line in draining.splitlines())

        await eventually(replaced)
        assert await told(world, "client") == before


async def test_a_connection_that_nobody_looks_into_is_counted_when_it_is_there_and_when_it_ends(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "envoy") as world:
        address = world.service("store", {"tcp": 27017})["spec"]["clusterIP"]
        await world.serve_tcp("store-0", "store", 27017, b"hello")
        proxy = await world.sidecar("client")
        streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def greeted() -> bool:
            reader, writer = await world.client(proxy, address, 27017)._dial()
            streams.append((reader, writer))
            return await reader.read(5) == b"hello"

        await eventually(greeted)
        reader, writer = streams[-1]
        writer.write(b"1234")
        assert await reader.readexactly(4) == b"1234"
        key = ("store", "v1", "-")

        async def seen(**expected: int) -> None:
            async def so() -> bool:
                found = await told(world, "client")
                return {name: found.get(f"istio_tcp_{name}_total", {}).get(key, 0) for name in expected} == expected

            await eventually(so)

        await seen(connections_opened=1, connections_closed=0)
        writer.close()
        await seen(connections_opened=1, connections_closed=1, received_bytes=4, sent_bytes=9)

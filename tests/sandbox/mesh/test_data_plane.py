"""One Envoy for everybody: refusals, crashes, proxies that end, and who outlives whom."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sandbox.images.container_files import Files
from sandbox.images.program import Container, Streams
from sandbox.mesh import envoy_clusters
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.envoy_clusters import assignment
from sandbox.mesh.istio import STATUS_PORT
from sandbox.mesh.listeners import forward
from sandbox.mesh.mesh_programs import ProxyAgent
from sandbox.mesh.xds.ads import CLUSTERS, LISTENERS, Configuration

from .test_sidecars import DESTINATION_RULE, reviews, split, versions
from .world import World, eventually


async def test_a_refusal_is_noticed_and_the_rest_takes_effect(world: World) -> None:
    client = await reviews(world)
    plane = world.mesh.data_plane
    bad = {**envoy_clusters.eds("bad"), "type": "STATIC"}
    await plane.publish({"test": Configuration({"bad": bad})})
    assert [(kind, name) for kind, name in plane.refused] == [(CLUSTERS, "bad")]
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(0, 100))

    async def all_to_v2() -> bool:
        return set(await versions(client)) == {"v2"}

    await eventually(all_to_v2)
    await plane.publish({"test": Configuration({"bad": {**envoy_clusters.shared()[0], "name": "bad"}})})
    assert not plane.refused


async def test_an_address_in_use_is_a_refusal(world: World) -> None:
    await world.sidecar("client")
    with socket.create_server((world.network.node_address(0), 0)) as other:
        taken = forward("taken", [other.getsockname()], envoy_clusters.PASSTHROUGH)
        await world.mesh.data_plane.publish({"test": Configuration(listeners={"taken": taken})})
    assert "Address already in use" in world.mesh.data_plane.refused[LISTENERS, "taken"]


async def test_what_envoy_keeps_for_later_is_limited_by_processor_and_not_by_thread(world: World) -> None:
    """Restartable sequences are in Linux since 4.18; without them there is no such cache."""
    await world.sidecar("client")
    said = await world.mesh.data_plane.admin("/memory/tcmalloc")
    found = re.search(r"(\d+) \(.*\) per-CPU slab bytes used", said)
    assert found
    assert int(found[1]) > 0


async def test_a_large_configuration_passes_the_flow_control(world: World) -> None:
    await world.sidecar("client")
    names = [f"cluster-{number}-{'x' * 200}" for number in range(1000)]
    made = {name: envoy_clusters.eds(name) for name in names}
    nowhere = {name: assignment(name, []) for name in names}
    await world.mesh.data_plane.publish({"test": Configuration(made, nowhere)})
    assert not world.mesh.data_plane.refused
    known = await world.mesh.data_plane.admin("/clusters")
    assert all(f"{name}::" in known for name in names)


async def test_envoy_starts_again_after_a_crash_and_gets_everything_anew(world: World) -> None:
    client = await reviews(world)
    assert await versions(client)
    first = world.mesh.data_plane.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    client.close()

    async def back() -> bool:
        try:
            return set(await versions(client, 4)) <= {"v1", "v2"}
        except (OSError, EOFError):
            client.close()
            return False

    await eventually(back)
    assert world.mesh.data_plane.pid != first


async def test_a_proxy_that_ends_takes_nobody_any_more_and_leaves_nothing(world: World) -> None:
    proxy = await world.sidecar("client")
    await world.mesh.data_plane.unregister(proxy)

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection(proxy.address, 15001)
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # it was queued at a socket that closed
            return False
        writer.close()
        return False

    await eventually(refused)
    again = await world.sidecar("other")
    assert again.id in {name.partition("/")[0] for name in await _listeners(world.mesh.data_plane)}


async def test_an_agent_whose_end_is_cut_off_leaves_its_port(world: World) -> None:
    """By its pod's grace, as on a busy machine: another pod may have the address next."""
    await world.sidecar("client")
    pod, plane = world.cluster.get("pods", "default", "client"), world.mesh.data_plane
    pod["metadata"]["name"] = "other"
    network: Any = SimpleNamespace(ip=world.network.pods.take(), served={}, serving=None)
    container = Container(pod, {"name": "istio-proxy", "image": "proxyv2"}, {}, Files(), network, Streams())
    agent = ProxyAgent(container, plane, "sidecar", world.mesh.statistics)
    await agent.start()
    assert plane.pid is not None
    os.kill(plane.pid, signal.SIGSTOP)
    try:
        ending = asyncio.create_task(agent.stop(1))
        await asyncio.sleep(0)
        assert "other.default" not in plane.proxies
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        socket.create_server((network.ip, STATUS_PORT)).close()
    finally:
        os.kill(plane.pid, signal.SIGCONT)


async def _listeners(plane: DataPlane) -> list[str]:
    return [line.partition("::")[0] for line in (await plane.admin("/listeners")).splitlines()]


_PARENT = """
import asyncio, sys
from pathlib import Path
from sandbox.mesh.envoy import Envoy

async def main():
    envoy = Envoy(Path(sys.argv[1]))
    await envoy.start()
    print(envoy.pid, flush=True)
    await envoy.wait()

asyncio.run(main())
"""


async def test_envoy_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    envoy = int(await parent.stdout.readline())
    assert _alive(envoy)
    parent.kill()
    await parent.wait()

    async def gone() -> bool:
        return not _alive(envoy)

    await eventually(gone)


def _alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state not in "ZX"


async def test_the_control_plane_may_go_and_what_is_in_effect_stays(world: World) -> None:
    client = await reviews(world)
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(0, 100))

    async def all_to(version: str) -> bool:
        return set(await versions(client)) == {version}

    await eventually(lambda: all_to("v2"))
    await world.mesh.control_plane.stop()
    world.apply("virtualservices", "reviews", split(100, 0))
    assert await all_to("v2")
    world.mesh.control_plane.start()
    await eventually(lambda: all_to("v1"))

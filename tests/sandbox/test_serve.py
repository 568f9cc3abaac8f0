"""When a sandbox counts as idle: neither asked for anything nor passed by traffic."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from sandbox.server.client_files import Entry, kubeconfig
from sandbox.server.serve import until_idle
from sandbox.server.stacks import ManagedStacks, reserve

SECONDS = 0.12


class Sandbox:
    """Its APIs were asked for the last time when it came into being. `passes` is what a look at traffic finds."""

    def __init__(self, *passes: int) -> None:
        self.since, self.passes, self.looks = time.monotonic(), list(passes), 0
        self.looked = 0.0

    def idle(self) -> float:
        return time.monotonic() - self.since

    async def traffic(self) -> int:
        self.looks += 1
        if self.passes:
            self.looked = time.monotonic()
            return self.passes.pop(0)
        return 9


async def test_without_traffic_requests_decide() -> None:
    quiet = Sandbox(*([0] * 100))
    await until_idle(quiet.idle, quiet.traffic, SECONDS)
    assert quiet.idle() >= SECONDS
    assert quiet.looks <= 7


async def test_traffic_counts_from_when_it_was_last_seen() -> None:
    used = Sandbox(*range(1, 10))
    await until_idle(used.idle, used.traffic, SECONDS)
    assert not used.passes
    assert time.monotonic() - used.looked >= SECONDS


async def test_while_there_are_requests_nobody_looks_at_traffic() -> None:
    busy = Sandbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * SECONDS):
            await until_idle(lambda: 0.0, busy.traffic, SECONDS)
    assert not busy.looks


async def test_as_long_as_it_is_to_last_it_is_not_idle() -> None:
    quiet = Sandbox(*([0] * 100))
    until = time.monotonic() + 3 * SECONDS
    await until_idle(quiet.idle, quiet.traffic, SECONDS, lambda: until - time.monotonic())
    assert time.monotonic() >= until


WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: "docker.io/mccutchen/go-httpbin:2.18.3", ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8080}]}
"""


async def test_what_passes_a_load_balancer_is_traffic(tmp_path: Path) -> None:
    reserved = reserve(tmp_path)
    path = tmp_path / "kubeconfig"
    path.write_bytes(kubeconfig(Entry("c", "u", reserved.access)))

    def kubectl(*words: str, stdin: str = "") -> str:
        command = [str(Path(sys.executable).parent / "kubectl"), f"--kubeconfig={path}"]
        done = subprocess.run(
            [*command, f"--cache-dir={tmp_path}/cache", *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def use() -> None:
        kubectl("apply", "-f", "-", stdin=WEB)
        kubectl("wait", "--for=condition=Ready", "pod/web")
        kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/web")
        address = json.loads(kubectl("get", "service", "web", "-o", "json"))["status"]["loadBalancer"]["ingress"][0]
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://{address['ip']}:8080/get", timeout=60).close()
                return
            except OSError:  # until Envoy runs
                assert time.monotonic() < deadline
                time.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        stacks = ManagedStacks(tmp_path, group)
        stacks.on_demand("c", tmp_path, reserved)
        await asyncio.to_thread(kubectl, "get", "nodes")
        (stack,) = stacks.running
        assert await stack.traffic() == 0
        await asyncio.to_thread(use)
        passed = await stack.traffic()
        assert passed > 0
        assert await stack.traffic() == passed, "looking is no traffic"
        stacks.cancel()

"""startupProbe, readinessProbe and livenessProbe, really performed, and whether a container is well by them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sandbox.core.addresses import listen_port
from sandbox.core.cluster import Object
from sandbox.network.http_client import Connection
from sandbox.network.http_reply import Reply
from sandbox.network.pod_network import PodNetwork

Execute = Callable[[list[str]], Awaitable[tuple[int, str]]]
"""Runs a command in the container: exit status and output."""


class Outcome(NamedTuple):
    ok: bool
    message: str = ""


class Prober:
    """One container's probes. They come from the node, as any request: of a pod in the mesh they are for its agent,
    and what the injection has left as it was meets the sidecar."""

    def __init__(self, container: Object, network: PodNetwork, execute: Execute) -> None:
        self._container, self._ip, self._execute = container, network.ip, execute

    async def watch(self, probe: Object, report: Callable[[bool, str], None]) -> None:
        """Perform a probe for ever; report each time its verdict is confirmed, with the last message.

        A verdict is confirmed after successThreshold or failureThreshold outcomes in a row; a single failure
        before that is not reported.
        """
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        in_row, last = 0, None
        while True:
            outcome = await self.once(probe)
            in_row = in_row + 1 if outcome.ok == last else 1
            last = outcome.ok
            threshold = probe.get("successThreshold", 1) if outcome.ok else probe.get("failureThreshold", 3)
            if in_row >= threshold:
                report(outcome.ok, outcome.message)
            await asyncio.sleep(probe.get("periodSeconds", 10))

    async def once(self, probe: Object) -> Outcome:
        limit = probe.get("timeoutSeconds", 1)
        try:
            async with asyncio.timeout(limit):
                if get := probe.get("httpGet"):
                    return await self._http(get)
                if tcp := probe.get("tcpSocket"):
                    return await self._tcp(tcp)
                status, output = await self._execute(probe["exec"]["command"])
                return Outcome(status == 0, output)
        except TimeoutError:
            return Outcome(False, f"context deadline exceeded: no answer within {limit} s")
        except OSError as error:
            return Outcome(False, f"dial tcp {self._ip}: connect: {error.strerror or error}")

    def _at(self, action: Object, port: int) -> tuple[str, int]:
        return action.get("host") or self._ip, listen_port(port)

    def _port(self, port: int | str) -> int:
        if isinstance(port, int):
            return port
        ports = self._container.get("ports") or ()
        for one in ports:
            if one.get("name") == port:
                return int(one["containerPort"])
        if not port.isdecimal():
            raise OSError(0, f"couldn't find port: {port}")
        return int(port)

    async def _tcp(self, tcp: Object) -> Outcome:
        _, writer = await asyncio.open_connection(*self._at(tcp, self._port(tcp["port"])))
        writer.close()
        return Outcome(True)

    async def _http(self, get: Object) -> Outcome:
        port = self._port(get["port"])
        headers = {"Host": f"{self._ip}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {header["name"]: header["value"] for header in get.get("httpHeaders") or ()}
        lines = [f"GET {get.get('path') or '/'} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        message = ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(unread=lambda _: True), *self._at(get, port)
        )
        reply = Reply("GET")
        try:
            await connection.exchange(message, reply)
        finally:
            connection.close()
        return Outcome(200 <= reply.status < 400, f"HTTP probe failed with statuscode: {reply.status}")


Report = Callable[["Health", str, str], None]
"""Gets the kind of probe that failed ("" when one succeeded) and what it said."""


class Health:
    """First `begun` (the startup probe), then `watch`: readiness and liveness until `stop`."""

    def __init__(self, container: Object, prober: Prober, report: Report) -> None:
        self._container, self._prober, self._report = container, prober, report
        self._watches: list[asyncio.Task[None]] = []
        self.ready = not container.get("readinessProbe")

    async def begun(self) -> bool:
        """Wait for the startup probe's verdict."""
        probe = self._container.get("startupProbe")
        if not probe:
            return True
        verdict: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

        def decide(ok: bool, message: str) -> None:
            if not verdict.done():
                verdict.set_result((ok, message))

        watch = asyncio.create_task(self._prober.watch(probe, decide))
        try:
            ok, message = await verdict
        finally:
            watch.cancel()
        if not ok:
            self._report(self, "Startup", message)
        return ok

    def watch(self) -> None:
        for field, report in (("readinessProbe", self._on_readiness), ("livenessProbe", self._on_liveness)):
            if probe := self._container.get(field):
                self._watches.append(asyncio.create_task(self._prober.watch(probe, report)))

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    def _on_readiness(self, ok: bool, message: str) -> None:
        self.ready = ok
        self._report(self, "" if ok else "Readiness", message)

    def _on_liveness(self, ok: bool, message: str) -> None:
        if not ok:
            self._report(self, "Liveness", message)

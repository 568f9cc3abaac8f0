"""The sandbox's data plane: one Envoy, told by several parts of the sandbox what they want of it.

A part is named by who wants it: the load balancers, a proxy, what the proxies share. When a proxy goes, its part
goes with it, whether or not a control plane is there to notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import aiohttp
from yarl import URL

from sandbox.mesh.access_logs import AccessLogPipe
from sandbox.mesh.envoy import ADMIN_SOCKET, DRAIN_SECONDS, XDS_SOCKET, Envoy
from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds import grpc_server
from sandbox.mesh.xds.ads import CLUSTERS, ENDPOINTS, KINDS, LISTENERS, ROUTES, Ads, Configuration, Kind, Resource
from sandbox.mesh.xds.grpc_server import short_path

log = logging.getLogger(__name__)

_START_SECONDS = 10
_RESTART_SECONDS = 1.0

TYPES: Mapping[str, Kind] = {"CDS": CLUSTERS, "LDS": LISTENERS, "EDS": ENDPOINTS, "RDS": ROUTES}
"""The kinds of resources that a proxy gets, by the names of their discovery services."""

Status = Literal["SYNCED", "ERROR", "NOT_SENT"]
"""Envoy's (ConfigStatus)."""


class DataPlane:
    """`directory` is for Envoy alone: its sockets, log and first configuration.

    A `lazy` one does not start Envoy before there is a listener or a proxy.
    """

    def __init__(self, directory: Path, *, lazy: bool = False) -> None:
        self.proxies: dict[str, Proxy] = {}
        self.changed: list[Callable[[], None]] = []
        """Called when a proxy came or went."""
        self.refusing: list[Callable[[Proxy, str, str], None]] = []
        """Called when Envoy refuses something of a proxy's: which, the discovery service and the reason."""
        self.access_logs = AccessLogPipe(directory)
        self._envoy = Envoy(directory)
        self._needed = asyncio.Event()
        if not lazy:
            self._needed.set()
        self._ads = Ads(self._refused)
        self._parts: dict[str, Configuration] = {}
        self._changes: dict[Kind, dict[str, Resource | None]] = {kind: {} for kind in KINDS}
        """What Envoy is to be told next."""
        self._publishing = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._dropped: tuple[int | None, int] = (None, 0)
        """Envoy's process, and how many flushes of its it had dropped when it was asked last."""
        self._live: set[str] = set()
        self._forgetting: set[asyncio.Task[None]] = set()
        self._progress = asyncio.Condition()

    def configuration(self, proxy: Proxy) -> Configuration:
        """What a proxy is to have."""
        return self._parts.get(proxy.id, Configuration())

    @property
    def refused(self) -> Mapping[tuple[Kind, str], str]:
        """What Envoy did not take (kind and name), and why."""
        return self._ads.refused

    def status(self, proxy: Proxy) -> Mapping[str, Status]:
        """Of each discovery service, whether Envoy has taken what the proxy was given last."""
        part = self.configuration(proxy)
        return {service: self._status(kind, part.of(kind)) for service, kind in TYPES.items()}

    def _status(self, kind: Kind, names: Iterable[str]) -> Status:
        taken = [(kind, name) not in self._ads.refused for name in names]
        return "NOT_SENT" if not taken else "SYNCED" if all(taken) else "ERROR"

    def _refused(self, kind: Kind, name: str, why: str) -> None:
        proxy = self.proxies.get(name.partition("/")[0])
        if proxy is not None:
            service = next(service for service, known in TYPES.items() if known == kind)
            for callback in self.refusing:
                callback(proxy, service, why)

    @property
    def pid(self) -> int | None:
        """Envoy's process."""
        return self._envoy.pid

    async def run(self) -> None:
        """Keep Envoy running until cancelled. Should it crash, it starts again and gets everything anew."""
        await self._needed.wait()
        self._envoy.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = await grpc_server.serve(self._envoy.directory / XDS_SOCKET, self._ads.handle)
        try:
            while True:
                await self._envoy.start()
                status = await self._envoy.wait()
                log.error("Envoy ended with status %s; starting it again", status)
                await asyncio.sleep(_RESTART_SECONDS)
        finally:
            await self._envoy.stop()
            server.close()
            self.access_logs.close()

    async def publish(self, parts: Mapping[str, Configuration]) -> None:
        """Replace these parts; returns when Envoy has put them into effect (at once when it does not run).

        Several calls at a time are put together into one change.
        """
        for name, part in parts.items():
            self._replace(name, part)
        if any(part.listeners for part in parts.values()):
            self._needed.set()
        await self._apply()
        async with self._progress:
            self._live.update(name for name in parts if name in self._parts)
            self._progress.notify_all()

    def _replace(self, name: str, part: Configuration) -> None:
        """Have this part; what is not the same object as before may be another resource."""
        before = self._parts.get(name) or Configuration()
        self._parts[name] = part
        for kind, changes in self._changes.items():
            was, now = before.of(kind), part.of(kind)
            if was is now:
                continue
            for resource_name, resource in now.items():
                if was.get(resource_name) is not resource:
                    changes[resource_name] = resource
            for resource_name in was:
                if resource_name not in now:
                    changes[resource_name] = None

    async def _apply(self) -> None:
        """Returns when all there is to tell is in effect, by whomever it was told."""
        async with self._publishing:
            changes, self._changes = self._changes, {kind: {} for kind in KINDS}
            await self._ads.publish(changes)

    def register(self, proxy: Proxy) -> None:
        """A proxy has started: the control plane, if there is one, will configure it."""
        self.proxies[proxy.id] = proxy
        self._needed.set()
        self._tell()

    def reconsider(self, proxy: Proxy) -> None:
        """A proxy that is there has another port."""
        if self.proxies.get(proxy.id) is proxy:
            self._tell()

    async def unregister(self, proxy: Proxy) -> None:
        """A proxy ends: returns when its listeners are closed.

        What it needs to answer requests on open connections stays for as long as these drain.
        """
        if self.proxies.get(proxy.id) is not proxy:
            return
        del self.proxies[proxy.id]
        self._live.discard(proxy.id)
        self._tell()
        part = self._parts.get(proxy.id)
        if part is not None:
            draining = replace(part, listeners={})
            self._replace(proxy.id, draining)
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._forget, proxy.id, draining)
            await self._apply()

    def _forget(self, name: str, draining: Configuration) -> None:
        """The proxy has drained, unless one of the same name has come in its place."""
        if self._parts.get(name) is draining:
            self._replace(name, Configuration())
            del self._parts[name]
            task = asyncio.get_running_loop().create_task(self._apply())
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    def _tell(self) -> None:
        for callback in self.changed:
            callback()

    async def live(self, proxy: Proxy) -> None:
        """Wait until the proxy's configuration is in effect and Envoy runs: for ever without a control plane."""
        async with self._progress:
            await self._progress.wait_for(lambda: proxy.id in self._live)
        part = self._parts.get(proxy.id)
        for listener in part.listeners.values() if part else ():
            address = listener["address"]["socket_address"]
            await _accepts(address["address"], address["port_value"])

    async def admin(self, path: str, method: str = "GET") -> str:
        """What Envoy's own interface answers to a request of `path`. Raises OSError when Envoy does not run.

        Statistics are complete: everything that Envoy recorded before the call is counted.
        """
        with short_path(self._envoy.directory / ADMIN_SOCKET) as socket:
            connector = aiohttp.UnixConnector(socket)
            async with aiohttp.ClientSession(connector=connector, base_url="http://envoy") as session:
                if path.partition("?")[0].startswith("/stats"):
                    async with self._flushing:
                        await self._flush(session)
                async with session.request(method, URL(path, encoded=True)) as got:
                    return await got.text()

    async def _flush(self, session: aiohttp.ClientSession) -> None:
        """Have Envoy put its histograms together; one call at a time. Raises OSError without Envoy.

        Its worker threads collect values by themselves; a flush, which asking for statistics begins but does not
        wait for (`stats_flush_on_admin`), brings them together. What tells is the count of flushes that were
        dropped because one was under way: when it has not grown since the question before, be that an earlier
        call's, the last question began a flush; when it has not grown since that, that flush is done.
        """
        pid, begun = self.pid, False
        before = self._dropped[1] if self._dropped[0] == pid else await _dropped(session)
        while True:
            after = await _dropped(session)
            self._dropped = pid, after
            if after == before and begun:
                return
            begun = begun or after == before
            before = after


async def _accepts(address: str, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return
        await asyncio.sleep(0.02)


_DROPPED = URL("/stats?type=Counters&filter=^server%5C.dropped_stat_flushes$", encoded=True)


async def _dropped(session: aiohttp.ClientSession) -> int:
    async with session.get(_DROPPED) as got:
        return int((await got.text()).rpartition(":")[2])

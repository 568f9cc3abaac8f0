"""What a proxy's agent answers at its status port: whether the proxy is ready, the application's probes, figures.

Kubelets ask here instead of the application, whose ports mutual TLS may keep them out of. The agent is in the pod,
so it asks the application itself, past the proxy. Prometheus finds the proxy's figures here and, where the pod has
some of its own, those as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

from aiohttp import web

from sandbox.core.cluster import Object
from sandbox.images.program import Container
from sandbox.mesh.istio import HEALTH_PATH, STATS_PORT, STATUS_PORT
from sandbox.mesh.proxy_admin import AdminView
from sandbox.network.http_client import BadReply, Connection
from sandbox.network.http_reply import Reply

PROBERS_VARIABLE = "ISTIO_KUBE_APP_PROBERS"
SCRAPING_VARIABLE = "ISTIO_PROMETHEUS_ANNOTATIONS"

_SCRAPE_SECONDS = 5.0
_NOT_PASSED_ON = ("connection", "host", "content-length", "transfer-encoding")


class AgentStatus:
    """Serves from `start` to `stop`; `ready` is for the agent to set."""

    def __init__(self, container: Container, admin: AdminView) -> None:
        self.ready = False
        self._container, self._admin = container, admin
        self._probers: Mapping[str, Object] = json.loads(container.env.get(PROBERS_VARIABLE) or "{}")
        self._scraping: Mapping[str, str] = json.loads(container.env.get(SCRAPING_VARIABLE) or "{}")
        self._server = web.Server(self._answer, access_log=None)
        self._listeners: list[asyncio.Server] = []

    async def start(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        for port in (STATUS_PORT, STATS_PORT):
            address = self._container.ip, port
            listener = await loop.create_server(self._server, *address, backlog=64, start_serving=False)
            self._listeners.append(listener)
            await listener.start_serving()

    async def stop(self) -> None:
        if self._listeners:
            for listener in self._listeners:
                listener.close()
            await self._server.shutdown(timeout=0.001)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == HEALTH_PATH:
            return web.Response(status=200 if self.ready else 503)
        if request.path == "/stats/prometheus":
            return web.Response(text=await self._statistics(request.query_string))
        if not request.path.startswith("/app-health/"):
            return web.Response(status=404, text="404 page not found\n")
        prober = self._probers.get(request.path)
        if prober is None:
            return web.Response(status=400, text=f"app prober config does not exists for {request.path}")
        limit = prober.get("timeoutSeconds") or 1
        try:
            async with asyncio.timeout(limit):
                if "tcpSocket" in prober:
                    await self._knock(prober["tcpSocket"]["port"])
                    return web.Response()
                return await self._ask(prober["httpGet"], request)
        except (OSError, TimeoutError, BadReply):
            return web.Response(status=500)

    def _inside(self, port: int) -> tuple[str, int]:
        """Where what the pod's own containers serve at `port` is found in the pod."""
        return self._container.network.inside(port)

    async def _knock(self, port: int) -> None:
        _, writer = await asyncio.open_connection(*self._inside(port))
        writer.close()

    async def _ask(self, action: Object, request: web.BaseRequest) -> web.Response:
        """What the application answers a kubelet, with the kubelet's own headers. A redirect is well, too."""
        port = action["port"]
        host = request.headers.get("Host", "").replace(f":{STATUS_PORT}", f":{port}")
        passed = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        reply = await self._get(port, str(action.get("path") or "/"), {"Host": host, **passed})
        return web.Response(status=200 if 300 <= reply.status < 400 else reply.status, body=reply.body)

    async def _get(self, port: int, path: str, headers: Mapping[str, str]) -> Reply:
        path = path if path.startswith("/") else f"/{path}"
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._inside(port))
        reply = Reply("GET")
        try:
            await connection.exchange("\r\n".join([*lines, "Connection: close", "", ""]).encode(), reply)
        finally:
            connection.close()
        return reply

    async def _statistics(self, query: str) -> str:
        """The proxy's, then the application's; whichever cannot be had is left out."""
        found = ""
        with contextlib.suppress(OSError):
            status, found = await self._admin.get(f"/stats/prometheus?{query}")
            found = found if status == 200 else ""
        if self._scraping:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                async with asyncio.timeout(_SCRAPE_SECONDS):
                    port = int(self._scraping.get("port") or 80)
                    headers = {"Host": f"localhost:{port}", "Accept": "text/plain"}
                    reply = await self._get(port, self._scraping.get("path") or "/metrics", headers)
                if reply.status == 200:
                    found += reply.body.decode(errors="replace")
        return found

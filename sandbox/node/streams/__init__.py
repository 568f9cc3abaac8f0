"""What kubectl streams from and to pods: logs, exec, attach and port-forward.

Over WebSockets, which kubectl prefers since 1.31; its older SPDY upgrade is refused. What is wrong with
a request is said before that, because after any refusal kubectl tries SPDY, and shows what came back last.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from sandbox.core.cluster import ApiError, Object
from sandbox.node.pod_run import PodRun
from sandbox.node.streams import terminals
from sandbox.node.streams.log_requests import serve_log
from sandbox.node.streams.port_forward import serve_port_forward


class StreamServer:
    """Serves the streaming subresources of the pods that `find` finds running."""

    def __init__(self, find: Callable[[Object], PodRun | None]) -> None:
        self._find = find

    async def handle(self, request: web.Request, pod: Object, subresource: str) -> web.StreamResponse:
        """Raises ApiError, before anything was answered."""
        run = self._find(pod)
        if run is None:
            name = pod["metadata"]["name"]
            where = pod["spec"].get("nodeName")
            why = f"pod {name} does not have a host assigned" if not where else f"pod {name} is not running"
            raise ApiError(400, "BadRequest", why)
        if subresource == "log":
            return await serve_log(request, run)
        if subresource == "exec":
            return await terminals.serve_exec(request, run)
        if subresource == "attach":
            return await terminals.serve_attach(request, run)
        return await serve_port_forward(request, run)

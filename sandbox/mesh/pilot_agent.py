"""A proxy's container (`proxyv2`): the proxy's life, and what can be run in there to look at the proxy."""

from __future__ import annotations

from urllib.parse import urlsplit

from sandbox.images.program import Container, Program, ProgramError, Streams
from sandbox.mesh.admin_view import AdminView
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.proxies import Proxy
from sandbox.mesh.proxy_statistics import Inclusion, inclusion

ADMIN_PORT = 15000
_LOCAL = ("localhost", "127.0.0.1")
_CURL_FLAGS = ("-s", "-S", "-sS", "-Ss", "-f", "-fs", "-sf", "-fsS", "--silent", "--show-error", "--fail")


class ProxyAgent(Program):
    """A proxy of the mesh. It is ready when Envoy takes connections for it."""

    def __init__(self, container: Container, data_plane: DataPlane, role: str) -> None:
        super().__init__(container)
        self._data_plane = data_plane
        self._proxy = Proxy(
            "gateway" if role == "router" else "sidecar",
            container.pod_name,
            container.namespace,
            container.ip,
            dict(container.labels),
        )
        self._admin = AdminView(data_plane, self._proxy.id, _inclusion(container))

    async def start(self) -> None:
        self.container.log(f"info\tproxy {self._proxy.id} ({self._proxy.kind}) at {self._proxy.address}")
        self._data_plane.register(self._proxy)
        await self._data_plane.live(self._proxy)
        self.container.log("info\tEnvoy proxy is ready")

    async def stop(self, grace: float) -> None:
        await self._data_plane.unregister(self._proxy)

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """`pilot-agent request GET PATH`, and `curl` of the same path at localhost:15000."""
        name = command[0].rpartition("/")[2] if command else ""
        if name == "pilot-agent":
            return await self._pilot_agent(command[1:], streams)
        if name == "curl":
            return await self._curl(command[1:], streams)
        return None

    async def _pilot_agent(self, arguments: list[str], streams: Streams) -> int:
        words = [word for word in arguments if word != f"--debug-port={ADMIN_PORT}"]
        if len(words) != 3 or words[:2] != ["request", "GET"]:
            streams.err(b"Error: the sandbox's pilot-agent only knows: pilot-agent request GET PATH\n")
            return 1
        status, body = await self._admin.get(words[2])
        if status >= 400 and status != 404:
            streams.err(f"Error: received unsuccessful status code {status}: {body}\n".encode())
            return 1
        streams.out(f"{body}\n".encode())
        return 0

    async def _curl(self, arguments: list[str], streams: Streams) -> int | None:
        """None when it is not for the proxy's own port, or asks for more than an answer."""
        urls = [word for word in arguments if word not in _CURL_FLAGS]
        if len(urls) != 1 or urls[0].startswith("-"):
            return None
        url = urlsplit(urls[0] if "://" in urls[0] else f"http://{urls[0]}")
        if url.hostname not in _LOCAL or url.port != ADMIN_PORT:
            return None
        status, body = await self._admin.get(f"{url.path}?{url.query}")
        fails = status >= 400 and any(
            word == "--fail" or (word[1:2] != "-" and "f" in word) for word in arguments[:-1]
        )
        if fails:
            streams.err(f"curl: (22) The requested URL returned error: {status}\n".encode())
            return 22
        streams.out(body.encode())
        return 0


def _inclusion(container: Container) -> Inclusion:
    try:
        return inclusion(container.pod["metadata"].get("annotations") or {})
    except ValueError as error:
        raise ProgramError(f"Error: {error}") from error

"""aiohttp's client over a pod's network: for commands that need all of HTTP, such as `curl`."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from sandbox.network.dialer import Dialer


class PodConnector(aiohttp.BaseConnector):
    """Dials through a `Dialer`; everything else is aiohttp's own."""

    def __init__(self, network: Dialer) -> None:
        super().__init__(limit=0)
        self._network = network

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        host, port = req.url.raw_host, req.url.port
        if host is None or port is None or req.is_ssl():
            raise aiohttp.InvalidURL(req.url, "the sandbox's pods speak plain HTTP")
        try:
            async with asyncio.timeout(timeout.sock_connect):
                sock = await self._network.connect(host, port)
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {req.url}") from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol


def new_session(network: Dialer, *, decompress: bool = False) -> aiohttp.ClientSession:
    """A session of its own, which the caller closes. It adds no header but Host, and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=PodConnector(network),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        auto_decompress=decompress,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept", "Content-Type"),
    )

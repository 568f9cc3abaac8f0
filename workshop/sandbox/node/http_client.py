"""HTTP from inside a pod, over the pod's own network.

One client, and so one pool of kept connections, per pod. Without a sidecar every request is balanced over the
ready endpoints (a pool per endpoint), because a service of BookInfo opens a connection for each call and an
attendee expects every reload to reach another one; with a sidecar there is a pool per destination and Envoy
balances. Redirects are not followed and cookies not kept: these are the programs' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace
from multidict import CIMultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from workshop.sandbox.node.network_view import PodNetwork


class Reply(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class PodConnector(aiohttp.BaseConnector):
    """Dials through a `PodNetwork`; everything else is aiohttp's own pool."""

    def __init__(self, network: PodNetwork) -> None:
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
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol


class PodHttpClient:
    """Made by the kubelet with a pod's network, closed with the pod."""

    def __init__(self, network: PodNetwork) -> None:
        self._network = network
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """aiohttp's own interface over the same connections (not balanced per request)."""
        if self._session is None:
            self._session = self.new_session()
        return self._session

    def new_session(self, *, decompress: bool = False) -> aiohttp.ClientSession:
        """A session with connections of its own, which the caller closes. It adds no header but Host."""
        return aiohttp.ClientSession(
            connector=PodConnector(self._network),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=decompress,
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept", "Content-Type"),
        )

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        """Raises OSError (no such name, refused), aiohttp.ClientError (broken off). Has no time limit itself."""
        target = URL(url)
        if not self._network.sidecar:
            address, port = self._network.route(target.raw_host or "", target.port or 80)
            if address != target.raw_host:
                headers = {"Host": target.authority, **headers}
                target = target.with_host(address).with_port(port)
            elif port != target.port:
                headers = {"Host": target.authority, **headers}
        async with self.session.request(method, target, headers=headers, data=body, allow_redirects=False) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

"""An HTTP client that hides nothing: one request is one request, and what became of it has a name.

aiohttp sends an idempotent request again when a kept-alive connection breaks under it. Measured traffic must not
do that, so a lost connection is turned, inside, into an error that aiohttp does not retry. Redirects are answers
and are not followed. Cookies are sent as given, to whatever address (aiohttp's jar refuses those of IP addresses).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
from yarl import URL

from workshop.runbook.errors import WorkshopError
from workshop.traffic.login import Login


class LoginError(WorkshopError):
    """The log-in was refused or gave no cookie."""


class ConnectionLost(aiohttp.ClientError):
    """The connection broke before the answer was there."""


FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
"""What a request may raise."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost(str(error)) from error


@contextlib.asynccontextmanager
async def session(
    url: str,
    *,
    connections: int,
    request_timeout: float,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    login: Login | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of at most `connections` kept-alive connections, logged in at `url`'s host if asked.

    `request_timeout` is in seconds. Raises LoginError.
    """
    sent = {"User-Agent": "mesh-workshop", **(headers or {})}
    pairs = [f"{name}={value}" for name, value in (cookies or {}).items()]
    if login is not None:
        async with _bare(1, request_timeout, sent) as first:
            pairs += await _log_in(first, URL(url), login)
    if pairs:
        sent["Cookie"] = "; ".join(pairs)
    async with _bare(connections, request_timeout, sent) as ready:
        yield ready


def _bare(connections: int, timeout: float, headers: Mapping[str, str]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        middlewares=(_once,),
    )


async def _log_in(session: aiohttp.ClientSession, url: URL, login: Login) -> list[str]:
    where = url.join(URL(login.path))
    tried = f"log in at {where}"
    try:
        async with session.post(where, data=dict(login.fields), allow_redirects=False) as response:
            await response.read()
            if response.status >= 400:
                raise LoginError(tried, f"HTTP {response.status}")
            if not response.cookies:
                raise LoginError(tried, f"HTTP {response.status} without a cookie")
            return [f"{name}={morsel.coded_value}" for name, morsel in response.cookies.items()]
    except FAILURES as error:
        raise LoginError(tried, describe(error)) from error


def kind_of(error: BaseException) -> str:
    """The name a failed request is counted under."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, (ConnectionLost, aiohttp.ClientPayloadError, OSError)):
        return "connection lost"
    return "not HTTP" if isinstance(error, aiohttp.ClientResponseError) else type(error).__name__


def said(error: BaseException) -> str:
    """What the error says, on one line; timeouts say nothing."""
    return " ".join(str(error).split())


def describe(error: BaseException) -> str:
    return ": ".join(part for part in (kind_of(error), said(error)) if part)

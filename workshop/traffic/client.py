"""An HTTP client that hides nothing: one request is one request, and what became of it has a name.

aiohttp sends an idempotent request again when a kept-alive connection breaks under it. Measured traffic must not
do that, so a lost connection is turned, inside, into an error that aiohttp does not retry. Redirects are answers
and are not followed. The cookies of a log-in are sent to whatever address (aiohttp's jar refuses those of IP
addresses), those of other answers are not kept: else the first answer of a sticky version would decide all others.
"""

from __future__ import annotations

import contextlib
import html
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from workshop.traffic.side_requests import Login, LoginError


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
    login: Login | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of at most `connections` kept-alive connections, logged in at `url`'s host if asked.

    `request_timeout` is in seconds. Raises LoginError.
    """
    sent = {"User-Agent": "mesh-workshop", **(headers or {})}
    if login is not None:
        async with _bare(1, request_timeout, sent) as first:
            sent["Cookie"] = "; ".join(await _log_in(first, URL(url), login))
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
        raise LoginError(tried, _described(error)) from error


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


def _described(error: BaseException) -> str:
    return ": ".join(part for part in (kind_of(error), said(error)) if part)


Classify = Callable[[int, Mapping[str, str], bytes, float], str | None]
"""Status, headers, body and seconds of an answer to its category; None when the answer is of no use."""

UNRECOGNISED = "unrecognised answer"
"""The trouble with an answer that has the right status and no category."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request that was sent at `began` and was over at `ended` (perf_counter). `seconds` is None
    when there was no answer; one without a category has a `trouble`, of which `example` says more."""

    began: float
    ended: float
    seconds: float | None
    category: str | None
    trouble: str = ""
    example: str = ""


async def ask(session: aiohttp.ClientSession, url: URL, classify: Classify) -> Answer:
    """One request. Raises what `classify` raises."""
    began = time.perf_counter()
    try:
        async with session.get(url, allow_redirects=False) as response:
            body = await response.read()
    except FAILURES as error:
        return Answer(began, time.perf_counter(), None, None, kind_of(error), said(error))
    ended = time.perf_counter()
    category = classify(response.status, response.headers, body, ended - began)
    if category is not None:
        return Answer(began, ended, ended - began, category)
    kind = UNRECOGNISED if response.status == 200 else f"HTTP {response.status}"
    return Answer(began, ended, ended - began, None, kind, excerpt(body))


_LONGEST, _LONGEST_OF_PAGE = 200, 60
"""Characters: a proxy's words end with the cause, while the first ones of a page tell which one it is."""

_PAGE = re.compile(r"\s*<(?:!doctype|html)\b", re.I)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.I | re.S)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.I | re.S)


def excerpt(body: bytes) -> str:
    """What an answer that nobody expected says, short enough for one line: a page's title, or its text when it has
    none; of anything else the beginning."""
    text = body.decode(errors="replace")
    if not _PAGE.match(text):
        return _shortened(text, _LONGEST)
    title = _TITLE.search(text)
    return _shortened(_read(title[1]) if title else "", _LONGEST_OF_PAGE) or _shortened(
        _read(text), _LONGEST_OF_PAGE
    )


def _read(markup: str) -> str:
    return html.unescape(_TAG.sub(" ", markup))


def _shortened(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

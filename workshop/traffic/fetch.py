"""One request, for "the page is seen from outside"."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from workshop.runbook.errors import WorkshopError
from workshop.traffic import client
from workshop.traffic.login import Login


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float


async def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    login: Login | None = None,
    request_timeout: float = 15.0,
) -> Answer:
    """GET `url`. Any status is an answer; redirects are not followed.

    Raises WorkshopError when there is no answer within `request_timeout` seconds, LoginError for a failed log-in.
    """
    try:
        async with client.session(
            url, connections=1, request_timeout=request_timeout, headers=headers, login=login
        ) as session:
            started = time.perf_counter()
            async with session.get(url, allow_redirects=False) as response:
                body = await response.text(errors="replace")
                return Answer(response.status, response.headers, body, time.perf_counter() - started)
    except client.FAILURES as error:
        raise WorkshopError(f"GET {url}", client.describe(error)) from error

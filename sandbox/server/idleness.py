"""When nobody uses the sandbox any more: no request to an API, and no traffic into its clusters, for long.

Requests are known as they come. Traffic passes Envoy, which has to be asked, so that is done only when the APIs
have been idle for a while: never as long as somebody works, and every ten minutes of an idle hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_LOOKS = 6


async def until_idle(idle: Callable[[], float], traffic: Callable[[], Awaitable[int]], seconds: float) -> None:
    """Return when it was idle for `seconds`. `idle` says since how many there was no request, `traffic` how much
    there was so far."""
    every = seconds / _LOOKS
    seen, at = 0, time.monotonic()
    while True:
        if idle() >= every and (now := await traffic()) != seen:
            seen, at = now, time.monotonic()
        left = seconds - min(idle(), time.monotonic() - at)
        if left <= 0:
            return
        await asyncio.sleep(min(every, left))

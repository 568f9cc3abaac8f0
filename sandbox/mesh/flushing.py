"""Have Envoy put its histograms together, and know when it has.

Its worker threads collect values by themselves; a flush brings them together, which asking for statistics begins
(`stats_flush_on_admin`) but does not wait for. What tells is the count of flushes that were dropped because one was
under way: when it has not grown since the question before, the last question began a flush; when it has not grown
since that, that flush is done.
"""

from __future__ import annotations

import aiohttp
from yarl import URL

_DROPPED = URL("/stats?type=Counters&filter=^server%5C.dropped_stat_flushes$", encoded=True)


async def flush(session: aiohttp.ClientSession) -> None:
    """Return when a flush that began after the call is done. One at a time. Raises OSError without Envoy."""
    before, begun = await _dropped(session), False
    while True:
        after = await _dropped(session)
        if after == before and begun:
            return
        begun = begun or after == before
        before = after


async def _dropped(session: aiohttp.ClientSession) -> int:
    async with session.get(_DROPPED) as got:
        return int((await got.text()).rpartition(":")[2])

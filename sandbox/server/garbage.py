"""When Python looks for garbage in cycles: not while somebody waits, as long as that can be put off. And when
memory that is free goes back to the system.

Nearly everything here is freed as soon as nothing refers to it; objects of the API are trees. A look through all
objects finds little (some kilobytes for each pod that has ended), and stops the loop for a time that grows with
what is there: 85 ms for a workshop's clusters, a multiple of it for a thousand pods. So what is there after the
start is looked at never again, young objects as always, and old ones when nobody has used the sandbox for a minute;
or, where it is never left alone for that long, when so many have come that memory could grow for ever.

The C library keeps what is free between pieces in use, which is what many connections at a time leave behind, until
it is told to give it back. For 20 MB that takes 6 ms, and half of one where there is nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable

_YOUNG, _MIDDLE, _NEVER = 2_000, 10, 1_000_000
"""A look at those in the middle is at 20,000 at most, in two milliseconds."""
_EVERY = 10.0
_QUIET = 0.03
"""Of a processor, at most: what pods do for somebody who does not ask the API passes here as well."""
_LONG = 60.0
_WORTH = 5
"""Looks at those in the middle, after which it is worth to look at the old ones."""
_MOST = 250
"""Looks at those in the middle, after which it is not put off any longer: those of about 15,000 pods."""

_give_back: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
"""glibc's; other libraries have none."""


def put_off() -> None:
    """Until the start is over: it makes no garbage worth looking for."""
    gc.disable()


def begin() -> None:
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.enable()


async def collect_when_quiet(idle: Callable[[], float]) -> None:
    """Until cancelled. `idle` says since how many seconds nobody has asked for anything."""
    while True:
        before = time.process_time()
        await asyncio.sleep(_EVERY)
        quiet = idle() >= _LONG and time.process_time() - before < _QUIET * _EVERY
        if gc.get_count()[2] >= (_WORTH if quiet else _MOST):
            gc.collect()
        _give_back(0)

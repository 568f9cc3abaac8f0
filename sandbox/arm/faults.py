"""Scripted faults: which request goes wrong, and how.

A fault hits by the number of a request (`nth`, counted since the log was cleared) or by `method` and `path` (a
regular expression, found anywhere in path and query); of those it lets `skip` pass, then hits `times` (once, if
not said). What happens then: after `delay` seconds the connection is reset (`reset`), or the answer is `status`
with `headers` and `body`. With `acts` the request takes effect first, and only its answer is lost. A `delay`
alone makes a late, right answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Fault:
    nth: int = 0
    method: str = ""
    path: str = ""
    skip: int = 0
    times: int = 1
    delay: float = 0.0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    reset: bool = False
    acts: bool = False

    @property
    def answers(self) -> bool:
        """Whether it puts something in the place of the right answer."""
        return bool(self.status or self.reset)

    def hits(self, number: int, request: web.Request) -> bool:
        """Whether this request is one; counts it."""
        if self.times <= 0 or (self.nth and number != self.nth):
            return False
        if self.method and self.method.upper() != request.method:
            return False
        if self.path and not re.search(self.path, request.path_qs, re.IGNORECASE):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def response(self) -> web.Response:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body) if self.body is not None else ""
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status, text=text, headers=headers)


_NO_FAULT = Fault()


def faults(said: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """Raises TypeError or ValueError for what is not a fault."""
    found = [Fault(**each) for each in said]
    for each in found:
        for part in fields(each):
            value, like = getattr(each, part.name), getattr(_NO_FAULT, part.name)
            if part.name != "body" and not isinstance(value, type(like) if part.name != "delay" else int | float):
                raise ValueError(f"a fault's {part.name} is not {value!r}")
        try:
            re.compile(each.path)
        except re.error as error:
            raise ValueError(f"a fault's path: {error}") from None
        if not (each.answers or each.delay):
            raise ValueError("a fault has a status, a delay or reset")
    return found

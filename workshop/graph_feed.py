"""The graph as the page of `invoke observe` is told it: all of it, each time that something has changed."""

from __future__ import annotations

import json
import time
from typing import Any

from workshop.live_page import Feed


class GraphFeed(Feed):
    def __init__(self) -> None:
        super().__init__()
        self._data: dict[str, Any] = {}
        self._looked, self._lost = 0.0, ""

    def put(self, data: dict[str, Any]) -> None:
        """It is this one, from now on."""
        self._data, self._looked, self._lost = data, time.time(), ""
        self.changed()

    def lose(self, why: str) -> None:
        """Nothing newer is known."""
        if why != self._lost:
            self._lost = why
            self.changed()

    def message(self, version: int) -> bytes:
        told = {**self._data, "now": time.time(), "looked": self._looked, "lost": self._lost}
        return self.event("graph", json.dumps(told, allow_nan=False))

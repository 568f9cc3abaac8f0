"""The wall over HTTP: as data, and row by row what has changed. How it is served is in `workshop.live_page`.

Each row has the version of the wall with which it changed last, so that a client is told of the rows alone that are
newer than what it has.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import time
from typing import Any

from workshop.classroom.wall import PATIENCE, Cell, Measured, Wall, WallRow
from workshop.classroom.wall_sources import Sources
from workshop.live_page import Feed

EVERY = 1.0
"""Seconds between two looks whether something has changed."""
_LONGEST = 800
"""Signs of an error that are shown."""


def row_as_data(row: WallRow) -> dict[str, Any]:
    """As the page has it; what is empty is left out."""
    trouble = row.trouble
    data = {
        "name": row.name,
        "condition": row.condition,
        "since": row.since,
        "why": row.why,
        "lab": row.lab,
        "step": row.step,
        "doing": row.doing,
        "typed": row.typed,
        "trouble": trouble and [_cut(part) for part in (trouble.said, trouble.cause, trouble.next_command)],
        "measured": row.measured and _measured(row.measured),
        "looked": row.looked,
        "tried": row.tried,
        "error": _cut(row.error),
    }
    told = {key: value for key, value in data.items() if value not in (None, "")}
    return {**told, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> list[Any]:
    return [cell.state, cell.since, _cut(cell.note)]


def _measured(measured: Measured) -> dict[str, Any]:
    bars = [[bar.label, _number(bar.measured), _number(bar.expected)] for bar in measured.bars]
    return {
        "lab": measured.lab,
        "said": _cut(measured.said),
        "at": measured.at,
        "kind": measured.kind,
        "bars": bars,
    }


def _number(share: float | None) -> float | None:
    """JSON has no others."""
    return share if share is not None and math.isfinite(share) else None


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\u2026"


class Board(Feed):
    """The wall as it is now, and with which version each row has changed last."""

    def __init__(self) -> None:
        super().__init__()
        self._wall: Wall | None = None
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._since = functools.lru_cache(maxsize=16)(self._message)

    def put(self, wall: Wall) -> None:
        """It is this one from now on. The members are always the same."""
        rows = {row.name: row_as_data(row) for row in wall.rows}
        changed = [name for name, data in rows.items() if name not in self._rows or self._rows[name][1] != data]
        if not changed:
            return
        self._wall = wall
        self._rows |= {name: (self.version + 1, rows[name]) for name in changed}
        self._since.cache_clear()
        self.changed()

    def message(self, version: int) -> bytes:
        """What is new since that version, as an event: with version 0, all of the wall. Made once for all who have
        that version, but for the time."""
        now = f'"now": {time.time():.3f}'
        return self._since(version).replace(b'"now": 0', now.encode(), 1)

    def _message(self, version: int) -> bytes:
        assert self._wall is not None
        rows = [data for since, data in self._rows.values() if since > version]
        told: dict[str, Any] = {"now": 0, "rows": rows}
        if not version:
            told |= {"title": self._wall.title, "labs": self._wall.labs, "patience": PATIENCE}
        return self.event("rows" if version else "wall", json.dumps(told, allow_nan=False))


async def serve(sources: Sources, board: Board, *, every: float = EVERY) -> None:
    """Keep the board as things are, until it is cancelled. The files are read in a thread: pages do not wait."""
    async with asyncio.TaskGroup() as group:
        group.create_task(sources.looks())
        while True:
            board.put(await asyncio.to_thread(sources.wall))
            await asyncio.sleep(every)

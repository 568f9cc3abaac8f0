"""Walls as a class of that many members would have them in the midst of a day: for the page and its server."""

from __future__ import annotations

import random
from dataclasses import replace

from labs import RUNBOOK
from workshop.classroom.wall import Cell, Measured, Wall, WallRow, wall_of
from workshop.runbook.record import Trouble
from workshop.runbook.results import Bar

LABS = tuple((lab.name, lab.title) for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes)
NAMES = (
    *("ada", "grace", "edsger", "barbara", "alan", "margaret", "donald", "frances", "dennis", "radia", "ken"),
    *("shafi", "john-mc", "adele", "niklaus", "jean", "tony-hoare", "hedy", "linus", "katherine-johnson"),
)
TROUBLE = Trouble(
    "istio.canary, step 2 (Half to v1, half to v3): v3, red stars: 61.2 %, expected 50 % (45.0-55.0 %)",
    "another VirtualService for the same host is in force as well",
    "invoke lab.istio.canary --check",
)
STARS = (
    Bar("v1, no stars", 0.493, 0.5, (0.45, 0.55)),
    Bar("v2, black stars", 0.0, 0.0, (0.0, 0.0)),
    Bar("v3, red stars", 0.507, 0.5, (0.45, 0.55)),
)


def wall(members: int, now: float, *, labs: tuple[tuple[str, str], ...] = LABS) -> Wall:
    draw = random.Random(members)  # noqa: S311
    names = [
        NAMES[place] if place < len(NAMES) else f"{NAMES[place % len(NAMES)][:9]}-{place + 1}"
        for place in range(members)
    ]
    rows = [_row(name, place, draw, now, labs) for place, name in enumerate(names)]
    return wall_of("mesh-day-1", labs, rows, now=now)


def _row(name: str, place: int, draw: random.Random, now: float, labs: tuple[tuple[str, str], ...]) -> WallRow:
    done = min(max(int(draw.gauss(len(labs) * 0.5, 2)), 0), len(labs) - 1)
    cells = [Cell("converged", now - 300.0 * (len(labs) - at) - place) for at in range(done)]
    cells += [Cell() for _ in range(len(labs) - done)]
    if done > 6:
        cells[5] = Cell("superseded", now - 1000, "by istio.identity")
    if place % 7 == 3 and done > 3:
        cells[2] = Cell("by hand", now - 400, "as wanted, and no run from here applied it")
    if place % 19 == 8 and done > 2:
        cells[1] = Cell("drifted", now - 90, "VirtualService bookinfo/reviews")
    if place % 23 == 11 and done > 1:
        cells[0] = Cell("unknown", now - 90, "the cluster does not answer")
    lab = labs[done][0]
    row = WallRow(
        name, "idle", tuple(cells), now - draw.uniform(5, 500), typed=f"invoke lab.{lab}", looked=now - 40
    )
    kind = place % 20
    if kind == 1:
        cells[done] = Cell("failed", now - 250 - place, TROUBLE.said)
        row = replace(row, condition="stuck", why="failed", since=now - 250 - place, lab=lab, trouble=TROUBLE)
    elif kind == 14 and place < 100:
        cells[done] = Cell("stuck", now - 840 - place, "2 steps done")
        row = replace(row, condition="stuck", why="no progress", since=now - 840 - place, lab=lab, doing="waiting")
    elif kind == 6:
        cells[done] = Cell("not proved", now - 70, "applied, and a run proves it")
        trouble = Trouble(f"{lab}: too few answers", "", f"invoke lab.{lab}")
        row = replace(row, condition="stuck", why="not proved", since=now - 70 - place, lab=lab, trouble=trouble)
    elif kind == 18 and place < 60:
        return replace(
            row, condition="not begun", cells=tuple(Cell() for _ in labs), since=None, typed="", looked=None
        )
    elif kind == 9:
        cells = [Cell("converged", now - 400) for _ in labs]
        row = replace(row, condition="done", since=now - 400)
    elif kind % 2 == 0:
        cells[done] = Cell("under way", now - draw.uniform(1, 60))
        doing = draw.choice(("applying", "verifying", "checking"))
        row = replace(row, condition="under way", since=cells[done].since, lab=lab, step="2 Half", doing=doing)
    if kind in (0, 4, 12):
        row = replace(
            row,
            measured=Measured("istio.canary", "Stars: every share is as expected", now - place - 3, "pass", STARS),
        )
    if place % 33 == 16:
        row = replace(row, looked=now - 340, tried=now - 20, error="no answer within 20 s")
    return replace(row, cells=tuple(cells))

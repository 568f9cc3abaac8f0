"""The workshop's tasks, but no step proves anything: `invoke --search-root benchmarks/unproved lab.istio`.

For a comparison with tools that only apply and wait. The labs are those of this checkout, each step and stage in a
wrapper that has no proof; all else is the product's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import workshop.cli  # noqa: E402
from labs import RUNBOOK  # noqa: E402
from workshop.runbook import Lab, Position, Runbook, Step, Timeline, Together, Verdict, WrappedStep  # noqa: E402
from workshop.runbook.run import Run  # noqa: E402


class Unproved(WrappedStep):
    def __init__(self, inner: Step) -> None:
        super().__init__(inner)
        # A stage may also prove where it comes from, for comparison.
        if stage := getattr(inner, "_to", None):
            self.inner = inner
            inner._to = replace(stage, before=lambda run: ())  # type: ignore[attr-defined]

    async def verify(self, run: Run) -> Verdict | None:
        return None

    def has_proof(self, run: Run) -> bool:
        return False


class UnprovedTimeline(Timeline):
    def __init__(self, inner: Timeline) -> None:
        self._inner = inner
        self.title, self.undo_title, self.files = inner.title, inner.undo_title, inner.files
        self.start, self.stages = inner.start, inner.stages

    async def position(self, run: Run) -> Position:
        return await self._inner.position(run)

    def step(self, stage: str, run: Run) -> Step:
        return Unproved(self._inner.step(stage, run))


def unproved(lab: Lab) -> Lab:
    return replace(lab, parts=tuple(_part(part) for part in lab.parts), file=lab.file)


def _part(part: Any) -> Step | Together | Timeline:
    if isinstance(part, Together):
        return replace(part, steps=tuple(map(Unproved, part.steps)))
    return UnprovedTimeline(part) if isinstance(part, Timeline) else Unproved(part)


ns = workshop.cli.collection(Runbook(tuple(unproved(lab) for lab in RUNBOOK.labs)))

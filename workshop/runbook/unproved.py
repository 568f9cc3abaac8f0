"""What was applied and has not been proved since: it is not converged, whatever its check says.

A step that has a proof is written down before it is applied, and crossed out when the proof has passed. In between,
anything may end the run: a proof that failed or could not tell, Ctrl-C, kill -9. The next run finds nothing to
apply, and proves it.

What is remembered is the part of a lab, not the step: of a timeline only the stage that its object is at can be
proved, and a stage that was reached in another way (a promotion, weights of one's own) is proved as that stage.

The ground is where it was applied, so that a record of one cluster says nothing about another one, also not about
the next one of the same name. What identifies it is the target's to say. A target that has none remembers nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from workshop.runbook.journal import Journal

if TYPE_CHECKING:
    from workshop.runbook.run import Run


class Unproved:
    """Remembers nothing: every run begins anew. A part is named by its title."""

    async def has(self, run: Run, part: str) -> bool:
        return False

    async def begin(self, run: Run, part: str) -> None:
        """To be called before it is applied."""

    async def end(self, run: Run, part: str) -> None:
        """It is proved, or there is nothing to prove any more."""


class Remembered(Unproved):
    """In the journal. `ground` tells what identifies the place that a run works on; empty where there is none."""

    def __init__(self, journal: Journal, ground: Callable[[Run], Awaitable[str]]) -> None:
        self._journal, self._identify = journal, ground
        self._ground = ""
        """Once known, it stays so: a run works on one place."""

    async def has(self, run: Run, part: str) -> bool:
        records = self._journal.unproved()
        return bool(records) and (await self._here(run), run.lab, part) in records

    async def begin(self, run: Run, part: str) -> None:
        self._journal.applied(await self._here(run), run.lab, part)

    async def end(self, run: Run, part: str) -> None:
        if await self.has(run, part):
            self._journal.proved(await self._here(run), run.lab, part)

    async def _here(self, run: Run) -> str:
        self._ground = self._ground or await self._identify(run)
        return self._ground


def remembering(toolbox: Mapping[type, object]) -> Mapping[type, object]:
    """The toolbox, also where the target remembers nothing."""
    return {Unproved: Unproved(), **toolbox}

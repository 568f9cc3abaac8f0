"""Proofs of how it is before a lab's first change, for comparison: they hold only where nothing has moved yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.kubernetes.proofs import Proof, Proofs, look_at_all

if TYPE_CHECKING:
    from workshop.runbook.model import Timeline
    from workshop.runbook.results import Hint, Verdict
    from workshop.runbook.run import Run


def proofs_at(timeline: Timeline, stage: str, proofs: Proofs) -> Proofs:
    """These proofs while the timeline's objects are at that stage, or its start. Anywhere else there is nothing to
    prove: a run may begin again from its own last stage, or verify what another stage has changed since."""

    def made(run: Run) -> tuple[Proof, ...]:
        return tuple(_At(timeline, stage, proof) for proof in proofs(run))

    return made


@dataclass(frozen=True, slots=True)
class _At:
    timeline: Timeline
    stage: str
    proof: Proof

    async def prove(self, run: Run) -> Verdict | None:
        return await self.proof.prove(run) if await self._holds(run) else None

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, (self.proof,)) if await self._holds(run) else ()

    async def _holds(self, run: Run) -> bool:
        position = await self.timeline.position(run)
        return self.stage == (position.stage or ("" if position.off_path else self.timeline.start))

    def commands(self, run: Run) -> tuple[str, ...]:
        return self.proof.commands(run)

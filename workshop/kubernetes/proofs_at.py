"""Proofs for comparison: of how it was before a lab's first change, where it was as the labs before it leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.kubernetes.proofs import Proof, Proofs

if TYPE_CHECKING:
    from workshop.runbook.model import Timeline, Verdict
    from workshop.runbook.run import Run


def proofs_at(timeline: Timeline, stage: str, proofs: Proofs) -> Proofs:
    """These proofs while the timeline's objects are at that stage. Anywhere else there is nothing to prove: a run
    may begin again from its own last stage."""

    def made(run: Run) -> tuple[Proof, ...]:
        return tuple(_At(timeline, stage, proof) for proof in proofs(run))

    return made


@dataclass(frozen=True, slots=True)
class _At:
    timeline: Timeline
    stage: str
    proof: Proof

    async def prove(self, run: Run) -> Verdict | None:
        if (await self.timeline.position(run)).stage != self.stage:
            return None
        return await self.proof.prove(run)

    def commands(self, run: Run) -> tuple[str, ...]:
        return self.proof.commands(run)

"""A timeline with stages that make sense only where the target has another cluster; elsewhere they are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workshop.kubernetes.elsewhere import given
from workshop.kubernetes.stages import Reference, Stage, Stages

if TYPE_CHECKING:
    from workshop.runbook.model import Step
    from workshop.runbook.run import Run


class StagesAcross(Stages):
    """`across` names the cluster that a stage needs: {"secondary": "secondary"}."""

    def __init__(
        self,
        title: str,
        *stages: Stage,
        start: Stage,
        across: Mapping[str, str],
        clears: tuple[Reference, ...] = (),
    ) -> None:
        super().__init__(title, *stages, start=start, clears=clears)
        self._across = across

    def step(self, stage: str, run: Run) -> Step:
        step = super().step(stage, run)
        return given(self._across[stage], step) if stage in self._across else step

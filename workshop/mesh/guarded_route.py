"""A WeightedRoute whose subsets can be promoted: `--promote` asks for it as `--weights` asks for other weights."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import Object
from workshop.kubernetes.stages import Reference
from workshop.mesh.promotion import PROMOTE, STAGES, Promotion
from workshop.mesh.weighted_route import Split, WeightedRoute
from workshop.runbook.errors import WrongFlags
from workshop.runbook.model import CustomStage

if TYPE_CHECKING:
    from workshop.runbook.run import Run


class GuardedRoute(WeightedRoute):
    """A WeightedRoute whose subsets can be promoted as well. At its own stages there is nothing of a candidate."""

    def __init__(
        self, title: str, *splits: Split, promotion: Promotion, clears: tuple[Reference, ...] = (), **others: Any
    ) -> None:
        self._tried = tuple(reference for one in promotion.candidates for reference in one.objects)
        super().__init__(title, *splits, clears=(*clears, *self._tried), **others)
        self.promotion = promotion

    def custom_stage(self, run: Run) -> CustomStage | None:
        given, weights = run.options.get(PROMOTE), super().custom_stage(run)
        if given is None:
            return weights
        if weights:
            raise WrongFlags(
                "use --promote and --weights together",
                "each says where to go",
                {f"--{self._option}": None},
            )
        candidate = self.promotion.candidate(str(given))
        if candidate is None:
            names = [one.subset for one in self.promotion.candidates]
            raise WrongFlags(
                f"use --promote {shlex.quote(str(given))}",
                f"it is one of {', '.join(names)}",
                {f"--{PROMOTE}": names[0]},
            )
        from workshop.mesh.promotion_run import Promote  # with the load generator: 110 ms

        return CustomStage(
            f"promotion of {given}", Promote(self, self.promotion, candidate, STAGES.of(run.options))
        )

    def left_out(self, wanted: list[Object], run: Run) -> list[Reference]:
        """For a person to delete, who has tried no candidate."""
        return [reference for reference in super().left_out(wanted, run) if reference not in self._tried]

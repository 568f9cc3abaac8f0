"""Where a lab claims a share, its explanation counts: one answer says nothing about 90 and 10."""

from __future__ import annotations

import pytest

from labs.istio import blue_green, shift, stars
from labs.istio.patience import aborted, delayed, fixed
from workshop.kubernetes.ingress import ThroughIngress
from workshop.runbook.run import Facts, Run

RUN = Run("istio.fault", {}, Facts(), {}, lambda event: None)
PROOFS = [
    *(proof for made in (aborted, delayed, fixed) for proof in made(RUN)),
    stars.stars((0.5, 0.0, 0.5)),
    shift.versions((0.9, 0.1)),
    blue_green.colours((0.5, 0.5)),
]


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.probe.title)
def test_a_share_is_counted_or_timed_many_times(proof: ThroughIngress) -> None:
    commands = proof.commands(RUN)
    loop = commands[-1]
    assert loop.startswith("for i in $(seq ")
    assert sum(command.startswith("# expected: ") for command in commands) >= 2

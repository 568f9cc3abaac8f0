"""What is said of a load that a breaker refused a part of."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.runs import Recorded
from workshop.mesh.breaker import Expected, Loads, Target
from workshop.mesh.fortio import Fortio, Load
from workshop.mesh.proxy_stats import Destination
from workshop.runbook.run import Run


class Refusing(Fortio):
    async def load(self, *args: Any, **asked: Any) -> Load:
        return Load({200: 399, 503: 201}, 0, 4.0, None)


class Counting(Target):
    """Its proxy counts 201 overflows more at each look."""

    looks = 0

    async def counted(self, run: Run) -> Destination:
        Counting.looks += 1
        return Destination("httpbin", 8000, overflow=201 * Counting.looks)


async def test_what_was_refused_has_failed() -> None:
    target = Counting(Refusing("primary", "deploy/fortio"), "httpbin", 8000)
    verdict = await Loads(target, "/get", (Expected(3, 200, some=True),)).prove(Recorded())
    assert verdict.kind == "pass"
    (measured,) = verdict.measurements
    assert (measured.samples, measured.errors) == (399, 201)
    assert [(bar.label, bar.measured) for bar in measured.bars] == [("200", 399 / 600), ("503", 201 / 600)]

"""What is said of loads that a breaker refused a part of.

Figures named real are those that the circuit breaker's proof had on a real mesh, where the client's proxy ran two
worker threads (`shared/real/README.md`), in the counters that are in
`shared/real/proxies/fortio-stats-httpbin-limits.txt`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from labs.istio.breaking import expectations
from tests.kit.runs import Recorded
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh import breaker
from workshop.mesh.breaker import Ejects, Expected, HasLimits, Limits, Loads, Target
from workshop.mesh.fortio import Fortio, Load
from workshop.mesh.istioctl import Istioctl, Program, Release
from workshop.mesh.proxy_stats import Destination
from workshop.runbook.results import Verdict
from workshop.runbook.run import Run


def load(good: int, refused: int = 0, lost: int = 0) -> Load:
    return Load({200: good, 503: refused}, lost, 4.0, None)


def counted(**counts: int) -> Destination:
    """Since the reading before."""
    return replace(Destination("httpbin", 8000), **counts)


Loaded = tuple[Load, Destination]
FINE = load(100), counted()
SOME = load(320, 80), counted(overflow=80, waited=200)
MORE = load(360, 240), counted(overflow=240, waited=260)
REAL_TWO_THREADS = load(1, 399), counted(unhealthy=398, ejections=1, ejected=1)


@dataclass
class Script:
    """What the loads come to, one after the other."""

    loads: list[Loaded]
    threads: int = 1
    gone: list[int] = field(default_factory=list)
    """How many pods are ejected at each look after a load that ejected one."""
    total: Destination = field(default_factory=lambda: Destination("httpbin", 8000))

    def target(self) -> Target:
        return Scripted(FromScript("primary", "deploy/fortio", script=self), "httpbin", 8000)

    def next_load(self) -> Load:
        made, since = self.loads.pop(0)
        before = self.total
        self.total = replace(
            before,
            overflow=before.overflow + since.overflow,
            waited=before.waited + since.waited,
            unhealthy=before.unhealthy + since.unhealthy,
            ejections=before.ejections + since.ejections,
            ejected=since.ejected,
        )
        return made


@dataclass(frozen=True)
class FromScript(Fortio):
    script: Script = field(default_factory=lambda: Script([]))

    async def load(self, *args: Any, **asked: Any) -> Load:
        return self.script.next_load()

    async def curl(self, run: Run, url: str) -> int:
        self.script.total = replace(self.script.total, ejected=1)
        return 500


class Scripted(Target):
    @property
    def script(self) -> Script:
        assert isinstance(self.client, FromScript)
        return self.client.script

    async def counted(self, run: Run) -> Destination:
        script = self.script
        if script.gone:
            script.total = replace(script.total, ejected=script.gone.pop(0))
        return script.total

    async def threads(self, run: Run) -> int:
        return self.script.threads


LIMITED = expectations(1, 1, 1)
KUBECTL = Kubectl(Path("/bin/kubectl"), Path("/there/kubeconfig"), "primary", Path("/there/cache"))
ISTIOCTL = Istioctl(Program("1.31.1", Release("http://127.0.0.1:9", Path("/there"))), KUBECTL.kubeconfig, "primary")


async def proved(script: Script, expected: tuple[Expected, ...] = LIMITED) -> tuple[Verdict, Recorded]:
    run = Recorded(KUBECTL, ISTIOCTL)
    return await Loads(script.target(), "/get", expected).prove(run), run


async def test_what_was_refused_has_failed() -> None:
    verdict, _ = await proved(Script([(load(399, 201), counted(overflow=201))]), (Expected(3, 200, some=True),))
    assert verdict.kind == "pass"
    (measured,) = verdict.measurements
    assert (measured.samples, measured.errors) == (399, 201)
    assert [(bar.label, bar.measured) for bar in measured.bars] == [("200", 399 / 600), ("503", 201 / 600)]


async def test_as_it_should_be_nothing_is_measured_twice() -> None:
    script = Script([FINE, SOME, MORE, FINE])
    verdict, run = await proved(script)
    assert (verdict.kind, run.told, script.loads) == ("pass", [], [FINE])
    assert verdict.reason.endswith("240 of 600 refused, more beyond chance; the proxy counts as many overflows")


async def test_several_worker_threads_and_the_ejection_they_bring_are_named_and_it_is_a_failure() -> None:
    """Real: `2 connections: 399 answers were 503, but the proxy counts 0 overflows`."""
    script = Script([FINE, REAL_TWO_THREADS, MORE], threads=2)
    verdict, _ = await proved(script)
    assert verdict.kind == "fail"
    assert script.loads == [MORE]  # there is no pod left to ask
    assert verdict.reason == (
        "2 connections: 399 of 400 answers were 503; the proxy counts 0 overflows and 398 with no healthy upstream"
        ", as httpbin's only pod has erred and is ejected (ejections_active) for the rest of its baseEjectionTime; "
        "likeliest cause: the proxy of deploy/fortio runs 2 worker threads, each with a connection of its own, and "
        "httpbin's own sidecar, which has the same limits, refused one: the annotation proxy.istio.io/config of "
        "deploy/fortio's pods lacks `concurrency: 1`; "
        "next: " + KUBECTL.typed("kubectl get deploy/fortio -n primary -o yaml | grep -A4 proxy.istio.io/config")
    )


async def test_a_pod_that_erred_by_itself_is_waited_for_and_measured_again() -> None:
    script = Script([FINE, REAL_TWO_THREADS, FINE, SOME, MORE])
    verdict, run = await proved(replace_gone(script, 1, 1, 0))
    assert verdict.kind == "pass"
    (told,) = run.told
    assert "likeliest cause: a busy machine" in told
    assert ISTIOCTL.typed("istioctl proxy-config endpoints deploy/fortio -n primary | grep httpbin") in told
    assert told.endswith("; measured again (2 of 3)")


def replace_gone(script: Script, *looks: int) -> Script:
    """From the look on that follows the second load."""
    script.gone = [0, 0, *looks]
    return script


async def test_a_pod_that_does_not_come_back_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "EJECTED", 0.05)
    verdict, _ = await proved(Script([FINE, REAL_TWO_THREADS]))
    assert verdict.kind == "inconclusive"
    assert "ejected (ejections_active)" in verdict.reason


@pytest.mark.parametrize(
    ("loads", "why"),
    [
        ((SOME, SOME), "3 connections: 503s: 20.0% of 400 against 20.0% of 400: too few to tell"),
        (
            (SOME, (load(570, 30), counted(overflow=30))),
            "more would have shown: too few calls came at the same moment",
        ),
        (((load(400), counted(waited=5)), MORE), "503s: none of 400: too few calls came at the same moment"),
        (((load(400), counted()), MORE), "503s: none of 400: too few calls came at the same moment"),
        ((SOME, (load(600), counted(waited=300))), "503s: none of 600: too few calls came at the same moment"),
        ((SOME, (load(359, 240, 1), counted(overflow=241))), "1 of 600 requests had no answer"),
        (
            (SOME, (load(300, 300), counted(overflow=200, unhealthy=100))),
            "300 answers were 503, but the proxy counts 200 overflows, and 100 that no pod was there for",
        ),
    ],
)
async def test_a_busy_machine_does_not_make_a_right_breaker_a_wrong_one(
    loads: tuple[Loaded, ...], why: str
) -> None:
    """Each of these is measured again, within a bound, and then is no more than inconclusive."""
    verdict, run = await proved(Script([FINE, *loads] * 3))
    assert verdict.kind == "inconclusive"
    assert why in verdict.reason
    assert verdict.reason.endswith("; measured 3 times")
    assert [told.rpartition("; ")[2] for told in run.told] == ["measured again (2 of 3)", "measured again (3 of 3)"]
    verdict, _ = await proved(Script([FINE, *loads, FINE, SOME, MORE]))
    assert verdict.kind == "pass"


@pytest.mark.parametrize(
    ("loads", "why"),
    [
        (((load(99, 1), counted(overflow=1)),), "1 connection: 1 of 100 requests failed"),
        ((FINE, SOME, (load(600), counted())), "3 connections: 503s: none of 600"),
        (
            (FINE, (load(320, 80), counted(overflow=60)), MORE),
            "80 answers were 503, but the proxy counts 60 overflows",
        ),
    ],
)
async def test_a_breaker_that_does_nothing_or_too_much_is_a_failure(loads: tuple[Loaded, ...], why: str) -> None:
    script = Script([*loads, FINE, FINE])
    verdict, run = await proved(script)
    assert (verdict.kind, run.told) == ("fail", [])
    assert why in verdict.reason


async def test_without_limits_what_got_no_answer_is_asked_again() -> None:
    verdict, _ = await proved(Script([(load(299, lost=1), counted()), (load(300), counted())]), UNLIMITED)
    assert verdict.kind == "pass"


UNLIMITED = (Expected(3, 100, all=True),)


async def test_an_ejected_pod_s_load_without_an_answer_is_inconclusive() -> None:
    script = Script([(load(0, 99, 1), counted(unhealthy=99, ejected=1))])
    verdict = await Ejects(script.target(), "/get").prove(Recorded(KUBECTL, ISTIOCTL))
    assert verdict
    assert (verdict.kind, verdict.reason) == (
        "inconclusive",
        "1 of 100 requests had no answer, as on a busy machine",
    )


async def test_answers_that_are_neither_s_tell_nothing_of_the_breaker() -> None:
    """Somebody's own rule answers in the service's place, say."""
    other = Load({418: 300}, 0, 4.0, None), counted()
    for expected in (UNLIMITED, LIMITED):
        verdict, _ = await proved(Script([other] * 9), expected)
        assert verdict.kind == "inconclusive"
        assert "300 of 300 answers were 418, neither 200 nor the breaker's 503" in verdict.reason


async def test_what_only_looks_ejects_nothing() -> None:
    script, run = Script([]), Recorded(KUBECTL, ISTIOCTL)
    run.only_looks = True
    assert await Ejects(script.target(), "/get").prove(run) is None
    assert run.told == ["that an error ejects httpbin is not tried: it would be away for minutes"]
    assert not script.total.ejected


class InForce(HasLimits):
    async def _found(self, run: Run) -> Limits | None:
        return self.limits


async def test_a_pod_that_is_still_ejected_when_time_is_up_leaves_it_open() -> None:
    script, run = Script([]), Recorded(KUBECTL, ISTIOCTL)
    script.total = replace(script.total, ejected=1)
    run.patience = 0.01
    verdict = await InForce(script.target(), Limits(1, 1)).prove(run)
    assert verdict
    assert verdict.kind == "inconclusive"
    assert "httpbin, which is ejected because it has erred, for the rest of its baseEjectionTime" in verdict.reason
    script.total = replace(script.total, ejected=0)
    assert await InForce(script.target(), Limits(1, 1)).prove(run) is None

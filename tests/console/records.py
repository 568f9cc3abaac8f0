"""Runs as a journal would give them, with one of everything: for the views of past runs."""

from __future__ import annotations

import math
from dataclasses import replace

from workshop.runbook.record import HIDDEN, KeptVerdict, LabRecord, Origin, RunRecord, StepRecord, Trouble
from workshop.runbook.results import Bar, Difference, Latencies, Measurement, Verdict

BEGAN = 1_800_000_000.0
HOSTILE = "<script>alert('x')</script> & \"quoted\" `tick` | pipe ]]> --> *star* \x1b[31mred\x00"

STARS = Measurement(
    "Stars on the product page",
    (
        Bar("v1, no stars", 0.493, 0.5, (0.45, 0.55), "bright_black"),
        Bar("v2, black stars", 0.0, 0.0, (0.0, 0.0), "white"),
        Bar("v3, red stars", 0.507, 0.5, (0.45, 0.55), "red"),
    ),
    1400,
    2.3,
)
WRONG = Measurement(
    "Calls to /unstable",
    (Bar("answered", 0.71, 0.5, (0.45, 0.55), "green"), Bar("failed", 0.29)),
    700,
    1.1,
    errors=12,
)
TIMES = Measurement(
    "How long pages took",
    (Bar("at once", 0.75, 0.75, (0.7, 0.8)),),
    900,
    9.0,
    latencies=Latencies((0.0, 0.005, 0.01, 0.02, 2.0, 5.0, math.inf), (100, 500, 75, 0, 225, 0), 0.008, 3.1),
)


def step(number: int, title: str = "Do it", outcome: str = "changed", **more: object) -> StepRecord:
    return StepRecord("istio.canary", number, title, outcome, 1.5, BEGAN + 2 * number, **more)  # type: ignore[arg-type]


CANARY = LabRecord(
    "istio.canary",
    "Release reviews v3 as a canary",
    seconds=9.5,
    steps=(
        step(1, "Name the versions", "unchanged"),
        step(
            2,
            "Half to v1, half to v3",
            changes=(
                Difference("VirtualService bookinfo/reviews", "spec.http[0].route[0].weight", 50, 33),
                Difference("VirtualService bookinfo/reviews", "spec.token", HIDDEN, HIDDEN),
                Difference("VirtualService bookinfo/ratings", found="present"),
                Difference("DestinationRule bookinfo/reviews", wanted="present"),
            ),
            verdicts=(
                KeptVerdict("", Verdict("pass", "every share is as expected (1,400 answers)", (STARS,))),
                KeptVerdict("5 % of the calls to v3", Verdict("pass", "as good as v1", (TIMES,))),
            ),
        ),
        step(
            3,
            "All requests to v3",
            "failed",
            verdicts=(KeptVerdict("", Verdict("fail", "answered: 71 %", (WRONG,))),),
        ),
        step(
            4,
            "Cannot be told",
            "inconclusive",
            verdicts=(KeptVerdict("", Verdict("inconclusive", "too few answers")),),
        ),
        step(5, "It broke", "failed", trouble=Trouble("read it: no", "it is gone", "invoke lab.istio.canary")),
        step(6, "Never came", "skipped", note="a step before has not converged"),
    ),
)
NEEDED = LabRecord(
    "istio.gateway",
    "Open the ingress gateway",
    asked=False,
    seconds=1.0,
    converged=True,
    steps=(replace(step(1, "Open a port", "unchanged"), lab="istio.gateway"),),
)
HOSTILE_LAB = LabRecord(
    "acme.hostile",
    HOSTILE,
    steps=(
        replace(
            step(
                1,
                HOSTILE,
                "failed",
                note=HOSTILE,
                trouble=Trouble(HOSTILE, HOSTILE, HOSTILE),
                changes=(Difference(HOSTILE, HOSTILE, HOSTILE, HOSTILE), Difference(HOSTILE, "", HOSTILE)),
                verdicts=(
                    KeptVerdict(
                        HOSTILE,
                        Verdict(
                            "fail",
                            HOSTILE,
                            (Measurement(HOSTILE, (Bar(HOSTILE, math.nan, 0.5, None, HOSTILE),), 0, 0.0),),
                        ),
                    ),
                ),
            ),
            lab="acme.hostile",
        ),
    ),
)
ORIGIN = Origin(
    "invoke lab.istio.canary",
    "/home/me",
    {"INVOKE_STATE": "/home/me"},
    "h",
    "the sandbox's ready-made cluster",
    "0.1.0",
)
FAILED = RunRecord(
    7,
    ORIGIN,
    "sandbox",
    BEGAN,
    14.0,
    1,
    ("istio.canary",),
    (NEEDED, CANARY),
    resume="invoke lab.istio.canary",
    spent={"looking": 0.5, "proving": 9.25},
    versions={"Istio": "1.31.1", "Kubernetes": "1.36.1"},
)
KILLED = RunRecord(8, replace(ORIGIN, command="invoke lab.istio"), "sandbox", BEGAN + 60, asked=("istio.install",))
REFUSED = replace(
    FAILED, number=9, started=BEGAN + 120, exit_status=1, labs=(), trouble=Trouble(HOSTILE, HOSTILE, HOSTILE)
)
HOSTILE_RUN = replace(
    FAILED,
    number=10,
    started=BEGAN + 180,
    labs=(HOSTILE_LAB,),
    target=HOSTILE,
    origin=replace(ORIGIN, command=HOSTILE, place=HOSTILE, version=HOSTILE),
    versions={HOSTILE: HOSTILE},
    member=HOSTILE,
)
DAY = (FAILED, KILLED, REFUSED, HOSTILE_RUN)

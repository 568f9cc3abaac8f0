"""A guarded promotion, as a lab declares it and as a person asks for it: a new version gets a growing share of the
calls, at every stage it is measured beside the stable one, and the first bad stage rolls back.

    GuardedRoute("Move reviews from v1 to v3", split(...), ..., promotion=Promotion(
        stable="v1", candidates=(Candidate("v3"), Candidate("erring", "reviews-erring.yaml", (...))),
        caller="deploy/productpage-v1", path="/productpage", control="details"))

`guarded_route` is the timeline that has one, `promotion_run` carries it out, and what a stage proves is in
`promotion_verdict`.
"""

from __future__ import annotations

import re

from workshop.kubernetes.stages import Reference
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.options import Number, Option, Options

_FACTOR = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Percentages(Option):
    """Growing whole percentages of which the last is 100: 5,25,50,100. There are two at least, as at 100 % there is
    no stable version to compare with but that of the stage before."""

    def of(self, options: Options) -> tuple[int, ...]:
        return tuple(int(part) for part in self.text(options).split(","))

    def problem(self, given: str | bool | None) -> str:
        parts = [part.strip() for part in str(given).split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts):
            return f"these are no whole percentages, such as {self.default}"
        shares = [int(part) for part in parts]
        if shares != sorted(set(shares)) or shares[0] == 0:
            return "every stage must be larger than the one before, and the first one more than 0"
        if shares[-1] != 100:
            return f"the last stage must be 100, not {shares[-1]}"
        if len(shares) == 1:
            return "there must be a stage before 100, at which both versions answer and can be compared"
        return ""


@dataclass(frozen=True, slots=True)
class Factor(Option):
    """A number from `low` to `high`, such as 1.5."""

    low: float = 1.0
    high: float = 100.0

    def of(self, options: Options) -> float:
        return float(self.text(options))

    def problem(self, given: str | bool | None) -> str:
        if _FACTOR.fullmatch(str(given)) and self.low <= float(str(given)) <= self.high:
            return ""
        return f"it is a number from {self.low:g} to {self.high:g}, such as {self.default} or 1.5"


@dataclass(frozen=True, slots=True)
class Choice(Option):
    """One of some words."""

    words: tuple[str, ...] = ()

    def of(self, options: Options) -> str:
        return self.text(options)

    def problem(self, given: str | bool | None) -> str:
        return "" if given in self.words else f"it is {' or '.join(self.words)}"


PROMOTE = "promote"
STAGES = Percentages(
    "promote-stages",
    "The shares of the requests that a promotion goes through, in percent.",
    "5,25,50,100",
    about=PROMOTE,
)
MAX_ERRORS = Number(
    "max-errors",
    "By how many percentage points a promoted version may fail more often than v1.",
    "5",
    low=1,
    high=99,
    about=PROMOTE,
)
MAX_LATENCY = Factor("max-latency", "How many times the P99 of v1 a promoted version's may be.", "2", about=PROMOTE)
SOURCE = Choice(
    "source",
    "Where the figures are from: proxy (the caller's own) or prometheus.",
    "proxy",
    words=("proxy", "prometheus"),
    about=PROMOTE,
)
LIMITS = (STAGES, MAX_ERRORS, MAX_LATENCY, SOURCE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version to promote: a subset of the route's host. While it is tried there are `objects`, of `file`."""

    subset: str
    file: str = ""
    objects: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Promotion:
    """`caller` is the workload that calls the route's host ("deploy/productpage-v1"), and its calls count; users
    ask for `path` through the ingress gateway, `concurrency` at once, in at most `within` seconds for each stage.
    `control` is another service of the same namespace that the caller calls for each page."""

    stable: str
    candidates: tuple[Candidate, ...]
    caller: str
    path: str
    control: str
    concurrency: int = 16
    within: float = 120.0

    @property
    def options(self) -> tuple[Option, ...]:
        """For the lab that has the route."""
        good, *bad = (one.subset for one in self.candidates)
        tried = f", or {' or '.join(bad)} to see it rolled back" if bad else ""
        return (Option(PROMOTE, f"Promote {good} in stages, each measured{tried}."), *LIMITS)

    def candidate(self, name: str) -> Candidate | None:
        return next((one for one in self.candidates if one.subset == name), None)

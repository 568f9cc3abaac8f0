"""What checks find, what probes measure, and what a person is told of it: values, without behaviour.

They pass from steps through the engine to the console and the journal, and nobody changes them on the way.
"""

from __future__ import annotations

from typing import Any, Literal

from workshop.runbook.lazy_dataclass import dataclass

Outcome = Literal["unchanged", "changed", "failed", "inconclusive", "skipped", "missing", "left", "proved"]
"""What became of a step. The last three are a check's (`checking.py`), which applies nothing: not as wanted, not
taken back yet, and as wanted with a proof that has passed."""

HintKind = Literal["open", "call", "type", "next", "try", "undo"]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()
"""Stands where a difference has nothing on one side."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as wanted. `subject` is an object ("VirtualService bookinfo/reviews"),
    `path` the field in it ("spec.http[0].route[0].weight"), empty for the object as a whole. `note` is shown beside
    the subject: what is worth knowing before it is changed. `goes_with` is the subject that takes it along when it
    is deleted itself."""

    subject: str
    path: str = ""
    wanted: Any = ABSENT
    found: Any = ABSENT
    note: str = ""
    goes_with: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found. No difference means converged. `note` is shown beside the outcome. `left_out`: the target
    lacks what the step is about, so there is nothing to do, and nothing to prove. `added` (wanted ABSENT) is what
    somebody has added by hand, which a run leaves alone: it keeps nothing from being converged."""

    differences: tuple[Difference, ...] = ()
    note: str = ""
    left_out: bool = False
    added: tuple[Difference, ...] = ()

    @property
    def converged(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured share (0 to 1) beside the expected one and the range that is accepted."""

    label: str
    measured: float
    expected: float | None = None
    accepted: tuple[float, float] | None = None
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long answers took, in seconds: `counts[i]` of them more than `bounds[i]` and at most `bounds[i + 1]`.

    There is one bound more than counts, ascending; the last may be infinite. `p50` and `p99` are the times that
    half and 99 % of the answers did not exceed. `workshop.traffic.latency` makes these.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    p50: float
    p99: float

    def __post_init__(self) -> None:
        if len(self.bounds) != len(self.counts) + 1 or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"{len(self.counts)} counts need one ascending bound more, not {self.bounds}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a probe measured: `samples` good answers in `seconds`, and `errors`, calls without one.

    `latencies` where time is part of the claim.
    """

    title: str
    bars: tuple[Bar, ...]
    samples: int
    seconds: float
    errors: int = 0
    latencies: Latencies | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Literal["pass", "fail", "inconclusive"]
    reason: str
    measurements: tuple[Measurement, ...] = ()


LEFT_OPEN = "___"
"""Stands where a person is to fill something in."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """What a person is to find out: `task` in words, and the commands of the explanation with what is to be filled
    in left open."""

    task: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person would do instead: the YAML applied and the commands to type; what there is to see then
    (`seen`); and the exercise that the step is for attendees, where it is one."""

    yaml: str = ""
    commands: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    exercise: Exercise | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """What a person may do now: `open` an address, `call` one by a command, `type` one that shows something, go on
    with the `next` command, `try` another one, or `undo` by one. `about` says what that does, or what there is to
    see, a line for each thing."""

    kind: HintKind
    what: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """Why something that was deleted does not go: who holds it, and what to type."""

    cause: str = ""
    next_command: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `invoke doctor` has looked at. `name` is what ("vCPU quota"), `state` whether labs would
    succeed ("warn": not surely), `what` what was found, with the figures, and `next_command` what to type when it
    is not ok."""

    name: str
    state: Literal["ok", "warn", "fail"]
    what: str
    next_command: str = ""


class Lasting:
    """A source of facts (`run.Facts`) that only few steps change, and those forget it themselves: applying any
    other step leaves it."""

    __slots__ = ()

"""A run as the journal keeps it: values, and how what a step found and measured becomes text and is read again.

What is kept is shown to others (a report, a class), so nothing that could be a secret is: of a difference its
object and field always, but its values only where they are plain (`kept`). What is not is HIDDEN.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from workshop.runbook.results import ABSENT, Bar, Difference, Latencies, Measurement, Outcome, Verdict
from workshop.runbook.timings import Seconds


class _Hidden:
    def __repr__(self) -> str:
        return "not kept"


HIDDEN: Any = _Hidden()
"""Stands where a value was, and was not kept."""

_MOST = 200
"""Differences of a step that are kept."""

_LONGEST = 400
"""Signs of a value that is kept."""

_PLAIN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 *._:/%,-]{0,79}")
_RANDOM = re.compile(r"(?=[^ ]*[0-9])(?=[^ ]*[A-Za-z])[A-Za-z0-9_-]{20,}")
"""A word as tokens and keys are: long, of letters and digits."""

_HOLDS_SECRETS = re.compile(
    r"\b(env|data|binaryData|stringData|args|command|annotations|lifecycle|kubeconfigs?)\b"
    r"|auth|token|secret|passw|credential|cookie|certificate|caBundle|key\b|connectionString",
    re.IGNORECASE,
)
"""In the path of a field that people put secrets into."""


def kept(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """As they are kept."""
    return tuple(
        Difference(
            item.subject,
            item.path,
            _harmless(item.path, item.wanted),
            _harmless(item.path, item.found),
            item.note,
        )
        for item, _ in zip(differences, range(_MOST), strict=False)
    )


def _harmless(path: str, value: Any) -> Any:
    if value is ABSENT or value is HIDDEN:
        return value
    return value if _is_harmless(path, value) and len(str(value)) <= _LONGEST else HIDDEN


def _is_harmless(path: str, value: Any) -> bool:
    """Of a list or mapping when all in it is. Nothing at all is left to HIDDEN."""
    if _HOLDS_SECRETS.search(path):
        return False
    if isinstance(value, bool | int | float):
        return True
    if isinstance(value, str):
        return bool(_PLAIN.fullmatch(value)) and not any(map(_RANDOM.fullmatch, re.split(r"[ ,:/.]", value)))
    if isinstance(value, list):
        return all(_is_harmless(path, item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_harmless(f"{path}.{key}", item) for key, item in value.items())
    return False


def differences_as_text(differences: Iterable[Difference]) -> str:
    """Of those that are kept."""
    return json.dumps([_as_row(item) for item in differences])


def _as_row(item: Difference) -> dict[str, Any]:
    """A value that is not there is absent; one that is hidden is null, which no kept one is."""
    row: dict[str, Any] = {"subject": item.subject, "path": item.path, "note": item.note}
    for name, value in (("wanted", item.wanted), ("found", item.found)):
        if value is not ABSENT:
            row[name] = None if value is HIDDEN else value
    return row


def differences_of(text: str) -> tuple[Difference, ...]:
    def value(row: Mapping[str, Any], name: str) -> Any:
        return HIDDEN if row.get(name, ABSENT) is None else row.get(name, ABSENT)

    return tuple(
        Difference(row["subject"], row["path"], value(row, "wanted"), value(row, "found"), row["note"])
        for row in json.loads(text)
    )


def measurements_as_text(measurements: Sequence[Measurement]) -> str:
    return json.dumps([asdict(one) for one in measurements])


def measurements_of(text: str) -> tuple[Measurement, ...]:
    return tuple(_measurement(row) for row in json.loads(text))


def _measurement(row: dict[str, Any]) -> Measurement:
    bars, times = row.pop("bars"), row.pop("latencies")
    return Measurement(
        bars=tuple(Bar(**{**bar, "accepted": _tuple(bar["accepted"])}) for bar in bars),
        latencies=times and Latencies(tuple(times["bounds"]), tuple(times["counts"]), times["p50"], times["p99"]),
        **row,
    )


def _tuple(pair: list[float] | None) -> tuple[float, float] | None:
    return (pair[0], pair[1]) if pair else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in its four sentences: what was tried and came back, the likeliest cause, the next command."""

    said: str
    cause: str = ""
    next_command: str = ""


@dataclass(frozen=True, slots=True)
class KeptVerdict:
    """`title` is what was measured where a step measures several times, else empty."""

    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StepRecord:
    """`changes` are what differed and was applied; `undone`: the change was taken back."""

    lab: str
    step: int
    title: str
    outcome: Outcome
    seconds: float
    ended: float
    trouble: Trouble | None = None
    note: str = ""
    undone: bool = False
    changes: tuple[Difference, ...] = ()
    verdicts: tuple[KeptVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class LabRecord:
    """`asked`: for itself, and not because another lab needs it. `seconds` is None for one that has not ended, and
    `spent` its own time by kind (see `timings`)."""

    name: str
    title: str = ""
    asked: bool = True
    seconds: float | None = None
    converged: bool = False
    steps: tuple[StepRecord, ...] = ()
    spent: Seconds = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run comes from: the line as it was typed, in which folder, with which variables for settings, by
    which process (`holder`). `place` is what it works on, as people name it, and `version` the workshop's."""

    command: str = ""
    folder: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    holder: str = ""
    place: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """`exit_status` and `seconds` are None for a run that was not brought to its end: it is `under_way`, or was
    killed. `moved`: it has moved an object to a stage, so that beginning again would lose that. `resume` is the
    command that goes on, and `following` another one worth typing, as the run itself has told. `spent` is its time
    by kind. `part` says which of how many runs of one command it is; `member` whose it is, where there are several.
    """

    number: int
    origin: Origin
    target: str
    started: float
    seconds: float | None = None
    exit_status: int | None = None
    asked: tuple[str, ...] = ()
    labs: tuple[LabRecord, ...] = ()
    part: tuple[int, int] = (1, 1)
    moved: bool = False
    resume: str = ""
    following: str = ""
    trouble: Trouble | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    spent: Seconds = field(default_factory=dict)
    under_way: bool = False
    member: str = ""

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        return tuple(step for lab in self.labs for step in lab.steps)

    @property
    def counts(self) -> dict[Outcome, int]:
        return dict(Counter(step.outcome for step in self.steps))

    @property
    def cut_off(self) -> bool:
        """Whether something is left of what was asked for, and the same command goes on with it."""
        if self.exit_status is None:
            return not self.under_way
        return bool(self.resume) if self.exit_status else self.part[0] < self.part[1]

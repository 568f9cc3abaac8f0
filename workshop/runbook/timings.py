"""Where the time of a run goes: looking, applying, waiting, proving, delays on purpose, and a person's answers.

Labs run side by side, and so do steps and the proofs of one step. Seconds that are added up come to more than the
run took then, and say nothing about what would have made it shorter. So nothing is added up that overlaps:

**A step** is at each moment of one kind, and its kinds add up to its time. What it is at (a check is looking, an
apply or an undo applying, a proof proving) counts as waiting while anything in it waits: for pods, for a change to
arrive, for Azure, for the run lock. A wait ends with the beginning of the look that finds nothing missing: what it
looked at was there by then, and a proof whose first requests are as expected has waited for nothing. What is late
on purpose comes before all: the seconds in which a proof has nothing under way but answers that a fault delays
(`HeldBack`), and those of an ejection that is over only when its time is. However fast the machine, they are not to
be had for less; all other kinds are.

**A lab, and a run,** took as long as their longest chain of steps: from the step that ended last to the one whose
end it had waited for, and so on back to the first. A run's line is that chain's. It adds up to what the run took,
but for the moments between steps, and whatever is not on the chain ran beside it: to make that faster gains
nothing. So each lab has two figures, its own time by kind (its own chain) and its share of the run's chain.

What the engine does itself counts as well: it looks before the first lab and after the last, and gives the lock
back. What is not in a run's time is not in here either: the start of Python and of a sandbox.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Kind = Literal["looking", "applying", "waiting", "proving", "delays", "answers"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Seconds = Mapping[Kind, float]
"""By kind, only those that there were."""

PHASES: Mapping[str, Kind] = {
    "check": "looking",
    "ask": "answers",
    "apply": "applying",
    "undo": "applying",
    "verify": "proving",
}
"""What kind a step's phases are (`events.StepPhase`)."""


class Piece(NamedTuple):
    """Of a step's time, in the clock's seconds."""

    kind: Kind
    began: float
    ended: float


class Span(NamedTuple):
    """A step's time, in pieces without a gap; `lab` is empty for what the engine itself did."""

    lab: str
    pieces: tuple[Piece, ...]

    @property
    def began(self) -> float:
        return self.pieces[0].began

    @property
    def ended(self) -> float:
        return self.pieces[-1].ended


class Stopwatch:
    """The time of one step, by kind. It begins when it is made, looking."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._marks: list[tuple[float, Kind]] = [(clock(), "looking")]
        self._besides: dict[Kind, list[tuple[float, float]]] = {"waiting": [], "delays": []}
        """What comes before the step's own kind, the last one before all."""

    def go_on(self, kind: Kind) -> None:
        """What the step is at from now on."""
        self._marks.append((self.clock(), kind))

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens in here is waiting."""
        began = self.clock()
        try:
            yield
        finally:
            self.was("waiting", began, self.clock())

    def was(self, kind: Literal["waiting", "delays"], began: float, ended: float) -> None:
        """What the step turned out to have been at, whatever else it did."""
        self._besides[kind].append((began, ended))

    def span(self, lab: str) -> Span:
        """Up to now."""
        ends = [began for began, _ in self._marks[1:]] + [self.clock()]
        pieces = [Piece(kind, began, end) for (began, kind), end in zip(self._marks, ends, strict=True)]
        for kind, when in self._besides.items():
            pieces = list(_overlaid(pieces, kind, merged(when)))
        return Span(lab, tuple(pieces))


def merged(when: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same moments, in order and each in one interval only."""
    found: list[tuple[float, float]] = []
    for began, ended in sorted(when):
        if found and began <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], ended)
        elif began < ended:
            found.append((began, ended))
    return found


def without(
    when: Iterable[tuple[float, float]], others: Iterable[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The moments that are none of the others."""
    left, gone = [], merged(others)
    for began, ended in merged(when):
        for first, last in gone:
            if last > began and first < ended:
                if began < first:
                    left.append((began, first))
                began = max(began, last)
        if began < ended:
            left.append((began, ended))
    return left


def _overlaid(pieces: Iterable[Piece], kind: Kind, when: list[tuple[float, float]]) -> Iterator[Piece]:
    for piece in pieces:
        at = piece.began
        for began, ended in ((max(at, first), min(piece.ended, last)) for first, last in when):
            if began < ended:
                if at < began:
                    yield Piece(piece.kind, at, began)
                yield Piece(kind, began, ended)
                at = ended
        if at < piece.ended or piece.began == piece.ended:
            yield Piece(piece.kind, at, piece.ended)


@dataclass(frozen=True, slots=True)
class LabTimings:
    """`seconds` of the lab's own time by kind; `of_run` is what it adds to the run's."""

    lab: str
    seconds: Seconds
    of_run: float = 0.0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Timings:
    """`seconds` of the run by kind, and each lab that has begun, in their order."""

    seconds: Seconds
    labs: tuple[LabTimings, ...]


@dataclass(slots=True)
class TimeKeeper:
    """The times of a run's steps, as far as they have ended. `before` gives the labs that one waits for."""

    before: Callable[[str], Collection[str]]
    clock: Callable[[], float] = time.monotonic
    _spans: list[Span] = field(default_factory=list)

    def add(self, span: Span) -> None:
        self._spans.append(span)

    @contextlib.contextmanager
    def engine(self, kind: Kind) -> Iterator[None]:
        """What the engine does in here on its own account is of that kind."""
        watch = Stopwatch(self.clock)
        watch.go_on(kind)
        try:
            yield
        finally:
            self.add(watch.span(""))

    def of_lab(self, lab: str) -> Seconds:
        """So far."""
        return _by_kind(self._chain([span for span in self._spans if span.lab == lab]))

    def of_run(self, labs: Iterable[str]) -> Timings:
        chain = self._chain(self._spans)
        begun = {span.lab for span in self._spans}
        return Timings(
            _by_kind(chain),
            tuple(
                LabTimings(lab, self.of_lab(lab), sum(span.ended - span.began for span in chain if span.lab == lab))
                for lab in labs
                if lab in begun
            ),
        )

    def _chain(self, spans: Iterable[Span]) -> list[Span]:
        """The last one of these to end, what ended last of all that it may have waited for, and so on."""
        chain: list[Span] = []
        for span in sorted(spans, key=lambda span: (span.ended, span.began), reverse=True):
            if not chain or (span.ended <= chain[-1].began and self._waits(chain[-1].lab, span.lab)):
                chain.append(span)
        return chain

    def _waits(self, lab: str, other: str) -> bool:
        return lab in (other, "") or other == "" or other in self.before(lab)


def _by_kind(chain: Iterable[Span]) -> Seconds:
    found: dict[Kind, float] = {}
    for span in chain:
        for piece in span.pieces:
            found[piece.kind] = found.get(piece.kind, 0.0) + piece.ended - piece.began
    return {kind: found[kind] for kind in KINDS if found.get(kind)}

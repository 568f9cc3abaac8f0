"""Spans, and the store of the traces that they make up: in memory, the last ones only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Value = str | bool | int | float

MOST_TRACES = 1000
"""That are kept; the one that began to come in first goes first."""
MOST_SPANS = 20_000
"""Of all of them together."""


class Later(Mapping[str, Value]):
    """Tags that are read when somebody asks for them, which of most spans nobody does: it is most of what one of
    OpenTelemetry's costs."""

    __slots__ = ("_read", "_tags")

    def __init__(self, read: Callable[[], Mapping[str, Value]]) -> None:
        self._read: Callable[[], Mapping[str, Value]] | None = read
        self._tags: Mapping[str, Value] = {}

    def _known(self) -> Mapping[str, Value]:
        if self._read is not None:
            self._tags, self._read = self._read(), None
        return self._tags

    def __getitem__(self, name: str) -> Value:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


@dataclass(slots=True)
class Span:
    """Never changed. Times are microseconds, since the epoch and of the span's own length."""

    trace: str
    """32 hexadecimal digits; `id` and `parent` 16."""
    id: str
    parent: str
    """ "" for a trace's first."""
    service: str
    operation: str
    start: int
    duration: int
    kind: str = ""
    """`client`, `server`, `producer`, `consumer`, `internal`, or "" where nobody says it."""
    tags: Mapping[str, Value] = field(default_factory=dict)
    process: Mapping[str, Value] = field(default_factory=dict)
    """What is said of the service."""
    logs: tuple[tuple[int, Mapping[str, Value]], ...] = ()
    """What happened when."""

    @property
    def end(self) -> int:
        return self.start + self.duration

    @property
    def failed(self) -> bool:
        return self.tags.get("error") in (True, "true")


@dataclass(frozen=True, slots=True)
class Trace:
    id: str
    spans: tuple[Span, ...]
    """By their starts."""

    @property
    def start(self) -> int:
        return self.spans[0].start

    @property
    def duration(self) -> int:
        return max(span.end for span in self.spans) - self.start

    @property
    def root(self) -> Span:
        """The first one whose parent is not there."""
        known = {span.id for span in self.spans}
        return next((span for span in self.spans if span.parent not in known), self.spans[0])

    def tree(self) -> Iterator[tuple[int, Span]]:
        """Each span below its parent, with its depth, by their starts. Whose parent is not there is at the top."""
        known = {span.id for span in self.spans}
        below: dict[str, list[Span]] = {}
        for span in self.spans:
            at = span.parent if span.parent in known and span.parent != span.id else ""
            below.setdefault(at, []).append(span)
        waiting = [(0, span) for span in reversed(below.pop("", []))]
        while waiting:
            depth, span = waiting.pop()
            yield depth, span
            waiting += [(depth + 1, child) for child in reversed(below.pop(span.id, []))]
        for lost in below.values():  # spans that are below each other
            yield from ((0, span) for span in lost)


class SpanStore:
    def __init__(self, most_traces: int = MOST_TRACES, most_spans: int = MOST_SPANS) -> None:
        self._most_traces, self._most_spans = most_traces, most_spans
        self._traces: dict[str, dict[tuple[str, str], Span]] = {}
        """By id, in the order of their first spans. A span that comes twice is one; of a client and a server that
        share one, each has its own."""
        self._count = 0

    def __len__(self) -> int:
        """Spans."""
        return self._count

    def add(self, spans: Iterable[Span]) -> int:
        """How many there were."""
        count = 0
        for span in spans:
            count += 1
            known = self._traces.setdefault(span.trace, {})
            before = len(known)
            known[span.id, span.kind] = span
            self._count += len(known) - before
        while len(self._traces) > self._most_traces or (self._count > self._most_spans and len(self._traces) > 1):
            self._count -= len(self._traces.pop(next(iter(self._traces))))
        return count

    def find(self, trace_id: str) -> Trace | None:
        known = self._traces.get(trace_id)
        return _trace(trace_id, known.values()) if known else None

    def traces(self) -> Iterator[Trace]:
        """The ones that came last first."""
        for trace_id in reversed(self._traces):
            yield _trace(trace_id, self._traces[trace_id].values())

    def spans(self) -> Iterator[Span]:
        for known in self._traces.values():
            yield from known.values()


def _trace(trace_id: str, spans: Iterable[Span]) -> Trace:
    # Of what begins in the same microsecond, what lasts longer is around the other.
    return Trace(trace_id, tuple(sorted(spans, key=lambda span: (span.start, -span.duration, span.id))))

"""What a step is given: tools, facts, options, and a way to wait and to tell.

The engine knows no cloud and no mesh. Layers put their tools (a kubectl, an istioctl, ...) into a toolbox by type
and take them out with `run.use(Kubectl)`. Facts are observed once per source and kept until something was applied.
"""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Protocol, TypeVar

from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.options import Options
from workshop.runbook.results import Difference, Lasting
from workshop.runbook.stop import Stop
from workshop.runbook.timings import Stopwatch

T = TypeVar("T")
Listener = Callable[[events.Event], None]


def unheard(event: events.Event) -> None:
    """A listener to nothing."""


def pauses(first: float, longest: float = 2.0) -> Iterator[float]:
    """Seconds between two looks at the same thing, for ever: each pause is half as long again as the one before."""
    while True:
        yield first
        first = min(first * 1.5, longest)


class Source(Hashable, Protocol[T]):  # type: ignore[misc]
    """Something observable: a hashable value with an `observe`. Equal sources are observed once."""

    async def observe(self, run: Run) -> T: ...


class Facts:
    """What is really there. One observation serves all checks until `forget`, also of checks that run at once. The
    same source is another one in another place."""

    def __init__(self) -> None:
        self._observed: dict[tuple[str, Hashable], asyncio.Task[Any]] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    async def get(self, source: Source[T], run: Run) -> T:
        task = self._observed.get((run.place, source))
        if task is None:
            task = self._observed[run.place, source] = asyncio.ensure_future(source.observe(run))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        # A check that is cut short must not take the observation away from the other checks that wait for it.
        result: T = await asyncio.shield(task)
        return result

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, though nobody may wait for it any more: else asyncio prints it in the end

    def forget(self) -> None:
        self._observed.clear()

    def forget_what_changes(self) -> None:
        """After a step was applied: all but what is Lasting and has been seen."""
        for key, task in list(self._observed.items()):
            seen = task.done() and not task.cancelled() and task.exception() is None
            if not (seen and isinstance(key[1], Lasting)):
                del self._observed[key]

    async def close(self) -> None:
        """End the observations that nobody waits for any more."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


class Prerequisites(Protocol):
    """What a step depends on: what the labs that its lab needs, and its lab's earlier steps, have made."""

    async def deviations(self, run: Run) -> tuple[tuple[str, Difference], ...]:
        """What of it is not as it should be, with the lab it is of, in the order in which it was made."""
        ...


@dataclass(eq=False)
class Run:
    """The context of one step in one run; the engine makes one for each step (`step` is its number, of the lab that
    it is `shown_as`: a clean-up runs other labs' parts).

    `place` is empty where the run's target is, and a name in what `elsewhere` gives. `undoing` are the labs that a
    clean-up takes back, none in any other run. `program` is how Invoke was called, for what is to be typed next. A
    proof waits at most `patience` seconds for a change to be visible: few where nothing has just been changed.
    Where the run `only_looks`, it does nothing either that others would notice once it is over. `prerequisites` are
    known where an engine runs the step. The `stopwatch` tells where the step's time goes.
    """

    lab: str
    toolbox: Mapping[type, object]
    facts: Facts
    options: Options
    listener: Listener
    _: KW_ONLY
    step: int = 0
    shown_as: str = ""
    stop: Stop = field(default_factory=Stop)
    place: str = ""
    undoing: tuple[str, ...] = ()
    program: str = "invoke"
    patience: float = math.inf
    only_looks: bool = False
    prerequisites: Prerequisites | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    undone: bool = field(default=False, init=False)
    """Set by a step that has taken its change back, whatever it was that ended it."""
    _kept: dict[object, Any] = field(default_factory=dict, init=False)
    _home: Run | None = field(default=None, init=False)
    """Elsewhere: the same step's run where the target is."""

    def use(self, kind: type[T]) -> T:
        """The toolbox's tool of this type. Raises KeyError when the target offers none (a programming error)."""
        tool = self.toolbox[kind]
        assert isinstance(tool, kind)
        return tool

    def keep(self, step: object, value: object) -> None:
        """For the same step later in this run: what its `apply` leaves for its `verify`. The step itself belongs to
        its lab, which all runs share, so it keeps nothing."""
        self._kept[step] = value

    def kept(self, step: object) -> Any:
        """None, where nothing was kept."""
        return self._kept.get(step)

    def elsewhere(self, place: str, tools: Mapping[type, object]) -> Run:
        """The same step of the same run at another place: with these tools instead of the target's, and with facts
        that are kept apart (and forgotten together)."""
        there = copy.copy(self)
        there.place, there.toolbox, there._home = place, {**self.toolbox, **tools}, self._home or self
        return there

    def of_lab(self, lab: str) -> Run:
        """As it is for another lab, with none of its options given."""
        other = copy.copy(self)
        other.lab, other.options, other.step, other.shown_as = lab, {}, 0, lab
        other.undoing, other.prerequisites, other.undone = (), None, False
        other._kept, other._home = {}, None
        return other

    async def deviations(self) -> tuple[tuple[str, Difference], ...]:
        """What of the step's prerequisites is not as it should be, with the lab it is of; none, where they are not
        known."""
        return await self.prerequisites.deviations(self._home or self) if self.prerequisites else ()

    def emit(self, event: events.Event) -> None:
        """Pass an event on, under the lab and step that are running (a clean-up runs other labs' parts)."""
        if self.place and isinstance(event, events.Waiting):
            event = replace(event, what=f"{self.place}: {event.what}")
        if isinstance(event, events.Detail):
            event = replace(event, lab=self.shown_as or self.lab, step=self.step)
        self.listener(event)

    async def observe(self, source: Source[T]) -> T:
        return await self.facts.get(source, self)

    async def cuttable(self, looking: Awaitable[T]) -> T:
        """Await something that changes nothing, inside an `apply`: Ctrl-C cuts it short (checks and verifications
        are cut short anyway)."""
        return await self.stop.cuttable(looking)

    async def wait(
        self,
        what: str,
        missing: Callable[[], Awaitable[str]],
        *,
        seconds: float,
        every: float = 0.05,
        next_command: str = "",
        found: str = "still missing",
        on_purpose: bool = False,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Call `missing` until it says "" (nothing), at growing intervals (from `every`, to 2 s), each a `pause` of
        so many seconds: shorter where that knows that something has changed.

        It returns in words what is still missing (or otherwise not as wanted: `found`), which is shown. Raises
        WorkshopError after `seconds`. Ctrl-C cuts the wait short. `on_purpose`: what is waited for takes its time
        whatever the machine.
        """

        clock = self.stopwatch.clock
        began, there = clock(), math.inf

        async def until_nothing_is_missing() -> None:
            nonlocal there
            started = time.monotonic()
            for longest in pauses(every):
                looked = clock()
                still = await missing()
                waited = time.monotonic() - started
                if not still:
                    there = looked
                    return
                if waited >= seconds:
                    raise WorkshopError(
                        f"waited {seconds:g} s for {what}", f"{found}: {still}", next_command=next_command
                    )
                self.emit(events.Waiting(self.lab, what, still, waited, seconds))
                await pause(min(longest, seconds - waited))

        try:
            await self.cuttable(until_nothing_is_missing())
        finally:
            self.stopwatch.was("delays" if on_purpose else "waiting", began, min(there, clock()))

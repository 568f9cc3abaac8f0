"""A world in memory for the engine's own contract: objects by name, steps that put them, a timeline that moves one.

An object is a pair of a value and the lab that put it. Every observation and change is counted, and a test can stop
the world at any change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.kit.heard import Heard
from workshop.runbook.checking import check
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.events import Event, LabFinished, RunFinished, StepFinished
from workshop.runbook.journal import LastRun
from workshop.runbook.model import CustomStage, Lab, Part, Position, Runbook, Step, Timeline
from workshop.runbook.options import Option
from workshop.runbook.plan import Plan, plan
from workshop.runbook.protection import RunLock
from workshop.runbook.request import Request
from workshop.runbook.reset import (
    Comparison,
    Inventory,
    Item,
    compare,
    refuse_in_the_way,
    requests_of,
    runbook_for,
    state_of,
)
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Outcome, Verdict
from workshop.runbook.run import Facts, Listener, Run, Source
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.runbook.status import Status, status

Object = tuple[Any, str]


async def _nothing(name: str) -> None:
    return None


@dataclass
class World:
    objects: dict[str, Object] = field(default_factory=dict)
    observations: int = 0
    changes: list[str] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)
    before_change: Callable[[str], Awaitable[None]] = _nothing
    before_verify: Callable[[str], Awaitable[None]] = _nothing
    before_look: Callable[[str], Awaitable[None]] = _nothing
    before_undo_look: Callable[[str], Awaitable[None]] = _nothing
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    async def change(self, name: str, value: Object | None) -> None:
        await asyncio.sleep(0)
        await self.before_change(name)
        self.changes.append(name)
        if value is None:
            self.objects.pop(name, None)
        else:
            self.objects[name] = value


@dataclass(frozen=True)
class Everything:
    async def observe(self, run: Run) -> dict[str, Object]:
        world = run.use(World)
        world.observations += 1
        await asyncio.sleep(0)
        return dict(world.objects)


class Put(Step):
    """Sees to it that object `name` has `value`."""

    def __init__(self, name: str, value: Any = 1, owner: str = "") -> None:
        self.title, self.name, self.value, self._owner = f"Put {name}", name, value, owner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.value!r})"

    async def check(self, run: Run) -> Check:
        await run.use(World).before_look(self.name)
        found = (await run.observe(Everything())).get(self.name)
        if found == (self.value, self._owner or run.lab):
            return Check()
        return Check((Difference(self.name, "", self.value, found[0] if found else ABSENT),))

    async def apply(self, run: Run) -> None:
        await run.use(World).change(self.name, (self.value, self._owner or run.lab))

    async def check_undo(self, run: Run) -> Check:
        await run.use(World).before_undo_look(self.name)
        found = (await run.observe(Everything())).get(self.name)
        return Check((Difference(self.name, "", ABSENT, found[0]),) if found else ())

    async def undo(self, run: Run) -> None:
        await run.use(World).change(self.name, None)

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset({self.name})

    def explain(self, run: Run) -> Explanation:
        return Explanation(f"{self.name}: {self.value}\n", (f"put {self.name} {self.value}",))

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation("", (f"remove {self.name}",))


class WorldInventory(Inventory):
    """An object that nobody has put is another's, in the home of the lab that its name begins with."""

    def source(self) -> Source[tuple[Item, ...]]:
        return _Items()

    async def remove(self, run: Run, items: tuple[Item, ...]) -> None:
        for item in items:
            await run.use(World).change(item.subject, None)


@dataclass(frozen=True)
class _Items:
    async def observe(self, run: Run) -> tuple[Item, ...]:
        found = await run.observe(Everything())
        return tuple(Item(name, lab or None, name.partition("-")[0]) for name, (_, lab) in found.items())


class Measured(Put):
    """Put, and then measured, as the world says."""

    async def verify(self, run: Run) -> Verdict | None:
        world = run.use(World)
        await world.before_verify(self.name)
        world.verified.append(f"{self.name}={self.value}")
        return world.verdicts.get(self.name, Verdict("pass", "as expected"))


class Remove(Put):
    async def made(self, run: Run) -> frozenset[str]:
        return frozenset()

    async def check(self, run: Run) -> Check:
        return await self.check_undo(run)

    async def apply(self, run: Run) -> None:
        await self.undo(run)


class Moves(Timeline):
    """Object `name` goes through the stages, its value being the stage's name. `starter` is the lab whose stage the
    start is."""

    def __init__(
        self, name: str, stages: Sequence[str], start: str = "none", start_value: str = "", starter: str = ""
    ) -> None:
        self.title, self.name, self.stages = f"Move {name}", name, tuple(stages)
        self.start, self._start_value, self._starter = start, start_value, starter

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.stages!r}, {self.start!r})"

    async def position(self, run: Run) -> Position:
        value, holder = (await run.observe(Everything())).get(self.name, ("", ""))
        if value in self.stages:
            return Position(value, moved_by=holder)
        return Position(None, "" if value == self._start_value else str(value), holder)

    def step(self, stage: str, run: Run) -> Step:
        if stage == self.start and not self._start_value:
            return Remove(self.name)
        return self._to(self._start_value, self._starter) if stage == self.start else self._to(stage)

    def _to(self, value: str, owner: str = "") -> Step:
        step = Measured(self.name, value, owner)
        step.title = f"Move {self.name} to {value}"
        return step

    def custom_stage(self, run: Run) -> CustomStage | None:
        weights = run.options.get("weights")
        if weights == "wrong":
            raise UsageError("read --weights wrong", "they must add up")
        return CustomStage(str(weights), self._to(str(weights))) if weights else None


WEIGHTS = (Option("weights", "a stage of one's own"),)


def lab(name: str, *parts: Part, needs: Sequence[str] = (), undoes: Sequence[str] = ()) -> Lab:
    return Lab(name, f"Lab {name}", f"What {name} teaches.", parts, tuple(needs), WEIGHTS, tuple(undoes))


@dataclass
class FakeGuard:
    """Counts who takes the lock; `refusal` is raised instead."""

    name: str = "primary"
    disposable: bool = False
    refusal: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    held: int = 0
    released: int = 0
    on_held: Callable[[], None] = lambda: None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    async def refuse_if_held(self) -> None:
        if "refuse_if_held" in self.refusal:
            raise self.refusal["refuse_if_held"]

    async def may_change(self) -> None:
        self._ask("may_change")

    async def may_destroy(self) -> None:
        self._ask("may_destroy")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.refusal:
            raise self.refusal[what]

    @contextlib.asynccontextmanager
    async def hold(self, emit: Listener) -> AsyncIterator[None]:
        self._ask("hold")
        # A task group, as a lock that renews itself has: it may only be left by the task that entered it.
        async with asyncio.TaskGroup() as group:
            renewal = group.create_task(self._renew())
            self.held += 1
            self.on_held()
            try:
                yield
            finally:
                self.released += 1
                renewal.cancel()

    async def _renew(self) -> None:
        await self.lost.wait()
        raise WorkshopError("renew the lock", "another run took it")


@dataclass
class FakeGate:
    interactive: bool = True
    stops_at: str = ""
    typed: bool = True
    asked: list[str] = field(default_factory=list)

    async def go_on(self, lab: str, title: str, check: Check) -> bool:
        self.asked.append(title)
        return title != self.stops_at

    async def confirm(self, target: str, doomed: Sequence[str]) -> bool:
        self.asked.append(f"{target}: {', '.join(doomed)}")
        return self.typed


@dataclass
class Bench(Heard):
    """A runbook, a world, and what running it told."""

    runbook: Runbook
    world: World = field(default_factory=World)
    guard: FakeGuard = field(default_factory=FakeGuard)
    gate: FakeGate = field(default_factory=FakeGate)
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda event: None
    tools: dict[type, object] = field(default_factory=dict)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def _job(self, request: Request) -> Job:
        return Job(
            self.runbook,
            request,
            {World: self.world, Inventory: WorldInventory(), **self.tools},
            self._listen,
            "memory",
        )

    async def run(self, *labs: str, **asked: Any) -> int:
        self.events.clear()
        request = Request(labs, command=" ".join(["invoke", *(f"lab.{name}" for name in labs)]), **asked)
        return await execute(self._job(request), self.guard, self.gate)

    async def reset(
        self, *, to: str = "", before: str = "", foreign: bool = False, proofs: bool = True
    ) -> tuple[list[int], Comparison]:
        """The statuses of its runs, and what came of it. Raises as `invoke reset` refuses."""
        names = [lab.name for lab in self.runbook.labs if not lab.undoes]
        state = state_of(self.runbook, names, to=to, before=before)
        book, clean_up = runbook_for(self.runbook, state, foreign=foreign)
        back = replace(self._job(Request((clean_up,), yes=True)), runbook=book)
        if not foreign:
            await refuse_in_the_way(back, state, clean_up)
        planned = {step.number for lab in (await plan(back)).labs for step in lab.steps if step.changes}
        self.events.clear()
        ahead = [self._job(request) for request in requests_of(state, Request(()), proofs=proofs)]
        lock = RunLock(self.guard)
        try:
            statuses = [await execute(back, self.guard, self.gate, lock=lock)]
            if statuses == [0]:
                assert planned == {step for _, step in self.changed()}, "a plan says what the run then does"
            statuses += [await execute(job, self.guard, self.gate, lock=lock) for job in ahead]
        finally:
            await lock.release()
        return statuses, await compare(replace(back, facts=Facts()), state, clean_up)

    async def plan(self, *labs: str, **asked: Any) -> Plan:
        return await plan(self._job(Request(labs, **asked)))

    async def check(self, *labs: str, command: str = "invoke --check", **asked: Any) -> int:
        self.events.clear()
        return await check(self._job(Request(labs, command=command, **asked)), self.guard)

    async def status(self, *labs: str, **records: LastRun) -> Status:
        return await status(self._job(Request(labs or tuple(lab.name for lab in self.runbook.labs))), records)

    def steps(self) -> list[StepFinished]:
        return self.of(StepFinished)

    def outcomes(self, lab: str = "") -> list[Outcome]:
        return [event.outcome for event in self.steps() if lab in ("", event.lab)]

    def changed(self) -> set[tuple[str, int]]:
        return {(event.lab, event.step) for event in self.steps() if event.outcome == "changed"}

    def finished(self) -> RunFinished:
        (last,) = self.of(RunFinished)
        assert last is self.events[-1]
        return last

    def labs_finished(self) -> dict[str, bool]:
        return {event.lab: event.converged for event in self.of(LabFinished)}


def bench(*labs: Lab, objects: dict[str, Object] | None = None) -> Bench:
    return Bench(Runbook(labs), World(dict(objects or {})))


def failing(message: str = "no") -> Callable[[str], Awaitable[None]]:
    async def fail(name: str) -> None:
        raise WorkshopError(f"put {name}", message)

    return fail

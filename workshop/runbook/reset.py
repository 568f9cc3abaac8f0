"""Back to a known state: just after a lab, just before one, or clean; from whatever the cluster is like now.

What that state is follows from the runbook: the labs up to there have converged, each timeline at its last stage,
and nothing else of the workshop's is there. So a reset is two runs: a clean-up that takes back the labs after it,
with what is the workshop's and no lab's any more, and a run of the labs up to it, which repairs what has drifted,
straight to the last stages. Then the state is compared with what it is by definition, object by object (`compare`).

What somebody has made by hand in the workshop's namespaces is not the workshop's to remove. It goes only where that
is asked for; a namespace that would take it along stays, and the reset says so.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Lab, Runbook, Step, Timeline, Together
from workshop.runbook.plan import Planner
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, HeldUp
from workshop.runbook.run import Run, Source
from workshop.runbook.schedule import Job
from workshop.runbook.status import LabStatus, status
from workshop.runbook.stop import only_cause

CLEAN = "clean"
_EXTRAS = "reset"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class State:
    """`labs` are there in it, in order; `others` are to be taken back. `stage` is that of the last lab's timeline,
    empty for its last one. `named` is how a person says it."""

    labs: tuple[str, ...]
    others: tuple[str, ...]
    stage: str = ""
    named: str = CLEAN

    @property
    def last(self) -> str:
        return self.labs[-1] if self.labs else ""


def state_of(
    runbook: Runbook, names: Iterable[str], *, to: str, before: str, program: str = "invoke", task: str = "reset"
) -> State:
    """`names` are the labs that a state is made of, in order. `to` is a lab, lab:stage or clean, `task` where it
    was typed. Raises UsageError for what is none."""
    names = tuple(names)
    if bool(to) == bool(before):
        raise UsageError(
            "reset the cluster",
            "--to and --before each say where to" if to else "nothing says where to",
            cause="--to LAB is just after it, --before LAB just before it; --to clean takes all of it back",
            next_command=f"{program} {task} --to {to or names[0]}",
        )
    lab, _, stage = (to or before).partition(":")
    if to == CLEAN or (before and before == names[0]):
        return State((), names)
    if lab not in names or (before and stage):
        near = difflib.get_close_matches(lab, [*names, CLEAN] if to else names, n=1, cutoff=0.4)
        flag = "to" if to else "before"
        known = f"the states are those of {', '.join(names)}" + (f", and {CLEAN}" if to else "")
        raise UsageError(
            f"reset {'to' if to else 'to before'} {shlex.quote(to or before)}",
            "there is no such state",
            cause=f"did you mean {near[0]}?" if near else known,
            next_command=f"{program} {task} --{flag} {near[0] if near else names[0]}",
        )
    place = names.index(lab) + bool(to)
    stages = [name for part in runbook.lab(lab).parts if isinstance(part, Timeline) for name in part.stages]
    if stage and stage not in stages:
        near = difflib.get_close_matches(stage, stages, n=1, cutoff=0.4)
        raise UsageError(
            f"reset to stage {shlex.quote(stage)} of {lab}",
            f"its stages are {', '.join(stages)}" if stages else "it has no stages",
            next_command=f"{program} {task} --to {f'{lab}:{near[0]}' if near else lab}",
        )
    last_stage = "" if stages and stage == stages[-1] else stage
    return State(names[:place], names[place:], last_stage, f"just {'after' if to else 'before'} {to or before}")


@dataclass(frozen=True, slots=True)
class Item:
    """An object that is there. `lab` is the one whose label it has; None for what somebody else has made, in a
    namespace of the workshop that `home_of` says the lab of. `place` names another cluster than the target's. With
    a `path` it is what somebody has added to an object of the workshop, and not the object."""

    subject: str
    lab: str | None
    home_of: str = ""
    place: str = ""
    path: str = ""

    @property
    def told(self) -> str:
        return f"{self.place}: {self.subject}" if self.place else self.subject


class Inventory:
    """What there is of the workshop, and of others in its places. This one knows of nothing."""

    def source(self) -> Source[tuple[Item, ...]]:
        return _Nothing()

    async def remove(self, run: Run, items: tuple[Item, ...]) -> None:
        """Begin to delete them."""

    async def held_up(self, run: Run, items: tuple[Item, ...]) -> HeldUp:
        """Why they are still there, after they have been waited for."""
        return HeldUp()

    looking: tuple[str, ...] = ()
    """What a person would type to see it."""


@dataclass(frozen=True, slots=True)
class _Nothing:
    async def observe(self, run: Run) -> tuple[Item, ...]:
        return ()


def runbook_for(runbook: Runbook, state: State, *, foreign: bool) -> tuple[Runbook, str]:
    """The runbook with the clean-up of a reset to that state at its end, and that one's name."""
    extras = Lab(
        _EXTRAS,
        "What is no lab's any more",
        "",
        parts=(Extras(runbook, state, foreign),),
        needs=state.others,
    )
    title = f"Take back what is not there {state.named}" if state.labs else "Take back everything"
    name = f"reset {_typed(state)}"
    clean_up = Lab(name, title, "", undoes=(*state.others, extras.name))
    labs = [lab for lab in runbook.labs if lab.name in (*state.labs, *state.others)]
    return Runbook((*labs, extras, clean_up)), name


async def refuse_in_the_way(job: Job, state: State, clean_up: str) -> None:
    """Raises WorkshopError for what others have made in a namespace that is not there in the state: it would go
    along."""
    lab = job.runbook.lab(clean_up)
    run = job.run(lab, lab)
    try:
        items = await run.observe(run.use(Inventory).source())
    finally:
        await job.facts.close()
    if there := [item for item in items if item.lab is None and item.home_of in state.others]:
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        raise WorkshopError(
            f"reset the cluster to {state.named}",
            f"somebody has made {', '.join(item.told for item in there[:_SHOWN])}{more}",
            cause="the namespace would go, and take that along; --foreign removes what others have made as well",
            next_command=f"{job.request.program} {clean_up} --foreign",
        )


async def left_alone(job: Job, state: State, clean_up: str) -> tuple[str, ...]:
    """What others have made and a reset without `foreign` leaves alone, in words: as `Comparison` has it."""
    lab = job.runbook.lab(clean_up)
    run = job.run(lab, lab)
    try:
        items = await run.observe(run.use(Inventory).source())
        added = await _added_to(job.runbook, state, run)
    finally:
        await job.facts.close()
    there = [item.told for item in items if item.lab is None]
    return tuple(dict.fromkeys((*there, *(f"{item.subject} {item.path}" for item in added))))


def _typed(state: State) -> str:
    if not state.labs:
        return f"--to {CLEAN}"
    return f"--to {state.last}" + (f":{state.stage}" if state.stage else "")


class Extras(Step):
    """All that has the workshop's label and is not part of the state, removed at once: also what no lab has any
    more. The undo of the labs then finds little to do, and sees to what is more than an object of a label. With
    `foreign`, what others have made in the workshop's namespaces goes as well; without it, it must not be in one
    that goes."""

    title = undo_title = "Remove all that is not part of it"

    def __init__(self, runbook: Runbook, state: State, foreign: bool) -> None:
        self._runbook, self._state, self._foreign = runbook, state, foreign

    async def check(self, run: Run) -> Check:
        return Check()

    async def apply(self, run: Run) -> None:
        return

    async def check_undo(self, run: Run) -> Check:
        left = await self._doomed(run)
        return Check(tuple(Difference(item.told, item.path, ABSENT, "present", _whose(item)) for item in left))

    async def undo(self, run: Run) -> None:
        if items := await self._doomed(run):
            await run.use(Inventory).remove(run, items)

    async def held_up(self, run: Run) -> HeldUp:
        return await run.use(Inventory).held_up(run, await self._doomed(run))

    def explain(self, run: Run) -> Explanation:
        return Explanation()

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation(commands=run.use(Inventory).looking)

    async def _items(self, run: Run) -> tuple[Item, ...]:
        return await run.observe(run.use(Inventory).source())

    async def _doomed(self, run: Run) -> tuple[Item, ...]:
        """The last lab's first."""
        stays = await made_in(self._runbook, self._state, run) | await _left_to_their_undo(
            self._runbook, self._state, run
        )
        doomed = [
            item
            for item in await self._items(run)
            if (self._foreign if item.lab is None else item.told not in stays)
        ]
        order = [*self._state.labs, *self._state.others]
        if self._foreign:
            doomed += await _added_to(self._runbook, self._state, run)
        return tuple(sorted(doomed, key=lambda item: -order.index(item.lab) if item.lab in order else -len(order)))


def _whose(item: Item) -> str:
    if item.lab is None:
        return "not the workshop's"
    return f"labelled as {item.lab}'s" if item.lab else "of no lab"


async def made_in(runbook: Runbook, state: State, run: Run) -> frozenset[str]:
    """The subjects of all that is there in the state."""
    found = frozenset[str]()
    for name in state.labs:
        lab, there = runbook.lab(name), run.of_lab(name)
        for step in _steps(lab, state.stage if name == state.last else "", there):
            found |= await step.made(there)
    return found


async def _added_to(runbook: Runbook, state: State, run: Run) -> list[Item]:
    """What somebody has added to objects of the state, which a run leaves alone."""
    found: dict[Item, None] = {}
    for name in state.labs:
        there = run.of_lab(name)
        for step in _steps(runbook.lab(name), state.stage if name == state.last else "", there):
            added = (await step.check(there)).added
            found.update(dict.fromkeys(Item(it.subject, None, path=it.path) for it in added if it.path))
    return list(found)


async def _left_to_their_undo(runbook: Runbook, state: State, run: Run) -> frozenset[str]:
    found = frozenset[str]()
    for name in state.others:
        there = run.of_lab(name)
        for step in _steps(runbook.lab(name), "", there):
            if not step.undo_only_deletes:
                found |= await step.made(there)
    return found


def _steps(lab: Lab, stage: str, run: Run) -> Iterator[Step]:
    """The lab's steps once it has converged, or is at that stage."""
    for part in lab.parts:
        if isinstance(part, Timeline):
            yield part.step(stage if stage in part.stages else part.stages[-1], run)
        else:
            yield from part.steps if isinstance(part, Together) else (part,)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is there beside what the state is by definition. `wrong` are its labs that are not as they should be,
    `left` what should not be there, each in words, and `foreign` what others have made and was left alone.
    `objects` are compared."""

    state: State
    objects: int
    wrong: tuple[LabStatus, ...] = ()
    left: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.wrong and not self.left


async def compare(job: Job, state: State, clean_up: str) -> Comparison:
    """`job` is that of a clean-up's runbook, as `runbook_for` makes it. Looks anew, and changes nothing."""
    labs = job.runbook
    looking = replace(job, request=replace(job.request, labs=state.labs, proved=()), only_looks=True)
    found = (await status(looking, {})).labs if state.labs else ()
    wrong = tuple(lab for lab in found if not _is_as_defined(lab, state))
    try:
        left, foreign = await _left(job, clean_up)
        run = job.run(labs.lab(clean_up), labs.lab(clean_up))
        objects = len(await made_in(labs, state, run))
    finally:
        await job.facts.close()
    added = dict.fromkeys(" ".join(filter(None, (item.subject, item.path))) for lab in found for item in lab.added)
    return Comparison(state, objects, wrong, left, (*foreign, *added))


def _is_as_defined(lab: LabStatus, state: State) -> bool:
    if lab.name == state.last and state.stage and lab.state == "under way":
        return lab.note.startswith(f"at stage {state.stage},")
    return lab.done or lab.state == "not proved"


async def _left(job: Job, clean_up: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a clean-up would still take back, and what is not the workshop's, in words."""
    planner, lab = Planner(job), job.runbook.lab(clean_up)
    left: dict[str, None] = {}
    for step in (await planner.lab(lab, job.schedule(lab))).steps:
        if step.error:
            left[str(only_cause(step.error))] = None
        left.update(dict.fromkeys(f"{it.subject} {it.note}".strip() for it in step.check.differences))
    run = job.run(lab, lab)
    items = await run.observe(run.use(Inventory).source())
    return tuple(left), tuple(item.told for item in items if item.lab is None)


def requests_of(state: State, whole: Request, *, proofs: bool) -> tuple[Request, ...]:
    """What is to be run after the clean-up."""
    forward = replace(whole, straight=True, proofs=proofs)
    if not state.labs:
        return ()
    if not state.stage:
        return (replace(forward, labs=state.labs, proved=(state.last,) if proofs else ()),)
    before = state.labs[:-1]
    first = (replace(forward, labs=before),) if before else ()
    last = replace(forward, labs=(state.last,), to=state.stage, proved=(state.last,) if proofs else ())
    return (*first, last)

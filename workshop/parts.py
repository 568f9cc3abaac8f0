"""What one call asks for, as runs: each is of labs on one ground, the account or a cluster, whose lock and facts
are the run's own. A call may need two, one after the other: the second's cluster is what the first one makes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from workshop.runbook import events
from workshop.runbook import reset as resetting
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.protection import Gate, RunLock
from workshop.runbook.request import Request, clean_up_of, refuse_with_undo
from workshop.runbook.reset import State
from workshop.runbook.run import Listener, unheard
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.runbook.stop import Stop
from workshop.settings import Settings
from workshop.target import ACCOUNT, Target, Use, describe, makes_clusters


@dataclass(frozen=True)
class Part:
    """One run of a call: labs on the account, or labs on a cluster."""

    runbook: Runbook
    request: Request
    use: Use


def parts_of(settings: Settings, runbook: Runbook, requests: Sequence[Request]) -> Iterator[Part]:
    makes = [lab.name for lab in runbook.labs if lab.name.startswith(ACCOUNT) and not lab.undoes]
    made = False
    for whole in requests:
        account, cluster = by_ground(whole.labs)
        if settings.target == "cluster" and account and cluster:
            print("the target is a cluster that is there: nothing is made on Azure")
            account = ()
        if account:
            # The last of these labs gives the way into the clusters, and needs what makes them.
            made = makes[-1] in (lab.name for lab in runbook.with_needs(account))
            yield Part(runbook, replace(whole, labs=account), use_of(whole, account=True))
        if cluster:
            yield Part(runbook, replace(whole, labs=cluster), use_of(whole, made=made))


def for_status(settings: Settings, runbook: Runbook, whole: Request) -> Iterator[Part]:
    """All labs but the clean-ups; those on the account only where labs run on what they make."""
    names = tuple(lab.name for lab in runbook.labs if not lab.undoes and not lab.mistake)
    account, cluster = by_ground(names)
    if made := makes_clusters(settings):
        yield Part(runbook, replace(whole, labs=account), use_of(whole, account=True))
    yield Part(runbook, replace(whole, labs=cluster), use_of(whole, made=made))


def undoing(runbook: Runbook, requests: Sequence[Request]) -> Iterator[Part]:
    """What was made last goes first: what labs on a cluster made, then what those on the account did."""
    whole, labs = requests[0], tuple(name for request in requests for name in request.labs)
    for request in requests:
        refuse_with_undo(request, labs)
    account, cluster = by_ground(labs)
    for names in filter(None, (cluster, account)):
        book, name = clean_up_of(runbook, *names)
        yield Part(book, replace(whole, labs=(name,)), use_of(whole, account=names is account))


def numbered(parts: Iterable[Part]) -> list[Part]:
    """Each knows what the same command has run before it, and will run after it."""
    parts = list(parts)

    def labs(these: Iterable[Part]) -> tuple[str, ...]:
        return tuple(name for part in these for name in part.request.labs)

    return [
        replace(
            part,
            request=replace(
                part.request,
                earlier=labs(parts[:place]),
                later=labs(parts[place + 1 :]),
                part=(place + 1, len(parts)),
            ),
        )
        for place, part in enumerate(parts)
    ]


def by_ground(labs: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those on the account, and those on a cluster."""
    account = tuple(name for name in labs if name.startswith(ACCOUNT))
    return account, tuple(name for name in labs if name not in account)


def use_of(whole: Request, *, account: bool = False, made: bool = False) -> Use:
    return Use(account=account, made=made, command=whole.program, typed=whole.command)


def validate(settings: Settings, *, account: bool) -> None:
    """Raises UsageError for a setting that Azure would refuse: once, before anything is shown, looked at or
    changed. Where nothing is made with Azure's settings, they may be anything."""
    if settings.target == "azure" or (settings.target == "sandbox" and account):
        from workshop.azure import rules  # which few runs need

        rules.validate(settings.azure)


async def toolbox_of(part: Part, target: Target) -> dict[type, object]:
    """Its tools, once somebody is logged in where it works on an account. Raises UsageError when nobody can be."""
    if not part.use.account:
        return target.toolbox
    from workshop import account  # as in Target.account

    toolbox = account.for_labs(target.toolbox, part.request.taking_part(part.runbook))
    await account.log_in(toolbox)
    return toolbox


def job_of(
    part: Part, target: Target, toolbox: Mapping[type, object], listen: Listener, stop: Stop | None = None
) -> Job:
    return Job(part.runbook, part.request, toolbox, listen, target.name, stop=stop or Stop())


async def run_part(
    part: Part,
    target: Target,
    toolbox: Mapping[type, object],
    listen: Listener,
    gate: Gate,
    stop: Stop | None = None,
    lock: RunLock | None = None,
) -> int:
    """Run it, and keep its record. The exit status."""
    versions = _Versions(target)

    def hear(event: events.Event) -> None:
        target.journal.listen(event)  # first: what a person has seen is written down
        listen(event)
        versions.listen(event)

    async with versions:
        return await execute(job_of(part, target, toolbox, hear, stop), guard=target.guard, gate=gate, lock=lock)


@contextlib.asynccontextmanager
async def one_lock(target: Target) -> AsyncIterator[RunLock]:
    """The lock for several runs: from the first change of one of them to the end of the body. No other run comes in
    between."""
    lock = RunLock(target.guard)
    try:
        yield lock
    finally:
        await asyncio.shield(lock.release())


async def reset_part(
    settings: Settings,
    runbook: Runbook,
    state: State,
    whole: Request,
    listen: Listener,
    gate: Gate,
    stop: Stop,
    *,
    foreign: bool,
) -> int:
    """Bring a cluster to that state and compare it with what that is; the exit status. Differences are told as what
    the comparison found."""
    book, clean_up = resetting.runbook_for(runbook, state, foreign=foreign)
    back = Part(book, replace(whole, labs=(clean_up,)), use_of(whole))
    ahead = [Part(runbook, one, use_of(one)) for one in resetting.requests_of(state, whole, proofs=whole.proofs)]
    parts = numbered([back, *ahead])
    target = describe(settings, use_of(whole)).with_labs(runbook)

    def looking() -> Job:
        """Anew, each time."""
        return job_of(back, target, target.toolbox, unheard, stop)

    if not foreign:
        with stop.signals(lambda: None):
            await stop.cuttable(resetting.refuse_in_the_way(looking(), state, clean_up))
    statuses: list[int] = []
    async with one_lock(target) as lock:
        for part in parts:
            if not {2, 130}.intersection(statuses):
                statuses.append(await run_part(part, target, target.toolbox, listen, gate, stop, lock))
        if status := next((status for status in (130, 2) if status in statuses), 0):
            return status
        with stop.signals(lambda: None):
            found = await stop.cuttable(resetting.compare(looking(), state, clean_up))
    if not found.equal:
        wrong = (*(f"{lab.name} {lab.state}" for lab in found.wrong), *found.left)
        raise WorkshopError(f"reset to {state.named}", f"it is not: {', '.join(wrong)}")
    if found.foreign:
        first, *others = found.foreign
        more = f" and {len(others):,} more" if others else ""
        listen(events.Told("", f"left alone: {first}{more}, made by somebody else"))
    return next((status for status in (1, 3) if status in statuses), 0)


class _Versions:
    """Writes down which Kubernetes a run works on, beside its first change: one that finds all converged does not
    ask. What a run makes, no version of is known yet."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._asking: asyncio.Task[None] | None = None

    def listen(self, event: events.Event) -> None:
        begun = isinstance(event, events.StepPhase) and event.phase in ("apply", "undo", "verify")
        if begun and not (self._asking or self._target.use.account or self._target.kubectl.absent):
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        with contextlib.suppress(WorkshopError, ValueError, KeyError):  # the run has its own words for a cluster
            version = await self._target.kubectl.server_version()
            self._target.journal.listen(events.Found("", "Kubernetes", version))

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        if self._asking:
            await asyncio.wait({self._asking}, timeout=1)  # it was asked seconds ago, or the cluster is gone
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

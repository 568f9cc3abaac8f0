"""What the tasks of tasks.py do: settings, target, console and engine put together.

Every function returns an exit status. Errors are worded by the console and become the status they carry, so nobody
sees a traceback without `-d`.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workshop import invocation, output, shell
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.parts import (
    Part,
    for_status,
    job_of,
    numbered,
    one_lock,
    parts_of,
    run_part,
    toolbox_of,
    undoing,
    use_of,
    validate,
)
from workshop.runbook import checking, events
from workshop.runbook import plan as planning
from workshop.runbook import reset as resetting
from workshop.runbook.assembly import refuse_missing_files
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.plan import Plan
from workshop.runbook.request import Request, refuse_timings, refuse_with_check
from workshop.runbook.run import Listener, unheard
from workshop.runbook.schedule import Job
from workshop.runbook.status import Status, joined
from workshop.runbook.status import status as status_of
from workshop.runbook.stop import Stop, Stopped, run_cuttable
from workshop.settings import Settings, load
from workshop.target import ACCOUNT, MAKES, Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config

    from workshop.console.screen import Screen


FORMS = ("table", "json")
"""In which the status can be shown."""


def run_labs(
    config: Config,
    runbook: Runbook,
    requests: Sequence[Request],
    *,
    plan: bool = False,
    explain: bool = False,
    undo: bool = False,
    check: bool = False,
) -> int:
    """Run, plan, explain or check what is asked for, one request after the other, or `undo` the labs of all.

    Labs on the account and labs on a cluster are two runs, one after the other: the second's cluster, with its lock
    and its facts, is what the first one makes.
    """
    planned = plan or config.run.dry
    look = _explain if explain else _check if check else _plan if planned else None
    mode = "--explain" if explain else "--check" if check else "--plan" if planned else ""

    def act() -> int:
        if explain and plan:
            raise UsageError(
                "use --plan and --explain together",
                "each shows something else, and changes nothing",
                next_command=invocation.typed(without="--explain"),
            )
        for request in requests:
            if check:
                refuse_with_check(request, plan=plan, explain=explain, undo=undo)
            refuse_timings(request, mode if plan or not planned else "--dry")
            request.validate(runbook)
            refuse_missing_files(runbook, request.labs)
        settings = load(config)
        parts = numbered(undoing(runbook, requests) if undo else parts_of(settings, runbook, requests))
        validate(settings, account=any(part.use.account for part in parts))
        if len(parts) > 1:
            for part in parts:  # before the first one begins
                describe(settings, part.use)
        statuses = []
        for part in parts:
            target = describe(settings, part.use).with_labs(part.runbook)
            statuses.append((look or _run)(config, part, target))
            if statuses[-1] and not look:
                break
        if not look:
            shell.tell_when_left(settings)
        return next((status for status in (130, 2, 1, 3) if status in statuses), 0)

    return invocation.ended(lambda: _looking_on(act, requests, mode))


def _looking_on(act: Callable[[], int], requests: Sequence[Request], mode: str) -> int:
    """A call that only looks is not told to run the same labs: what is to be typed instead has its mode."""
    try:
        return act()
    except UsageError as error:
        words = error.next_command.split()
        labs = {MAKES, *(f"lab.{name}" for request in requests for name in request.labs)}
        looks = {"--plan", "--explain", "--check", "--help"}
        if mode and labs.intersection(words) and not looks.intersection(words):
            error.next_command += f" {mode}"
        raise


def _explain(config: Config, part: Part, target: Target) -> int:
    with invocation.open_screen(config) as screen:
        labs = planning.explain(part.runbook, part.request, target.toolbox)
        commands = [one for lab in labs for step in lab.steps for one in step.explanation.commands]
        tools = {"kubectl": target.kubectl.typed, "istioctl": target.istioctl.typed, "helm": target.helm.typed}
        called = {name: typed for name, typed in tools.items() if any(name in one for one in commands)}
        # On the account, commands name their kubeconfig themselves.
        first = [] if part.use.account else [_for_this_cluster(name, typed) for name, typed in called.items()]
        screen.show_explanation(labs, first)
    return 0


def _for_this_cluster(tool: str, typed: Callable[[str], str]) -> str:
    """What makes a shell call the tool for the target's cluster, and not for its own current one."""
    return f'{tool}() {{ command {typed(f"{tool} ")}"$@"; }}'


def _telling(screen: Screen) -> Callable[[str], None]:
    return lambda doing: screen.listen(events.Told("", doing))


def _ready(part: Part, target: Target, tell: Callable[[str], None]) -> dict[type, object]:
    """The tools of a target that is ready, and that somebody is logged in to. It is told what has to be done."""
    target.make_ready(tell)
    return run_cuttable(toolbox_of(part, target)) if part.use.account else target.toolbox


def _plan(config: Config, part: Part, target: Target) -> int:
    with invocation.open_screen(config) as screen:
        toolbox = _ready(part, target, _telling(screen))
        found, refusal = run_cuttable(_planned(job_of(part, target, toolbox, screen.listen), target))
        screen.show_plan(found, commands=config.run.dry, brief=part.request.brief)
        if part.use.account and not config.run.dry:
            from workshop import account  # as in Target.account

            for line in account.cost_summary(toolbox, part.request.taking_part(part.runbook)):
                screen.listen(events.Told("", line))
        if refusal is None:
            return found.exit_status
        screen.listen(events.Told("", "\nA run would be refused now"))
        screen.show_error(refusal)
        return max(found.exit_status, refusal.exit_status)


def _check(config: Config, part: Part, target: Target) -> int:
    with invocation.open_screen(config) as screen:
        toolbox = _ready(part, target, _telling(screen))
        listen = screen.for_a_check().listen
        look = checking.check(job_of(part, target, toolbox, listen), target.guard)
        return asyncio.run(look)


def _heard(screen: Screen) -> Listener:
    def listen(event: events.Event) -> None:
        screen.listen(event)
        if isinstance(event, events.RunStarted):  # later, a run is brought to its end
            output.refuse_if_lost()

    return listen


def _run(config: Config, part: Part, target: Target) -> int:
    with invocation.open_screen(config) as screen:
        if part.request.timings:
            screen.with_timings()

        listen = _heard(screen)
        toolbox = _ready(part, target, _telling(screen))
        status = asyncio.run(run_part(part, target, toolbox, listen, screen.gate))
    if target.journal.trouble:
        invocation.show(target.journal.trouble)
    return status


async def _planned(job: Job, target: Target) -> tuple[Plan, WorkshopError | None]:
    """And what a run of it would be refused with."""
    found = await planning.plan(job)
    try:
        await _refuse_at_once(target, found)
    except WorkshopError as error:
        return found, error
    return found, None


async def _refuse_at_once(target: Target, found: Plan) -> None:
    """Raises what a run of that plan would be refused with before its first change: another run is on, or the
    cluster is not the workshop's. One that is yet to be made becomes so as it is made."""
    guard = target.guard
    await guard.refuse_if_held()
    changing = [step for step in found.steps if step.changes]
    if not changing or guard.disposable or target.kubectl.absent:
        return
    if any(step.destroys for step in changing):
        await guard.may_destroy()
    await guard.may_change()


def status(config: Config, runbook: Runbook, form: str) -> int:
    """Where every lab is; 1 when something has drifted. `form` is table or json."""

    def act() -> int:
        invocation.refuse_other_form(form, FORMS, "status")
        settings = load(config)
        parts = list(for_status(settings, runbook, Request((), invocation.typed(), program=invocation.invoke())))
        validate(settings, account=any(part.use.account for part in parts))
        with invocation.open_screen(config) as screen:
            found = [_status(part, describe(settings, part.use).with_labs(runbook), screen) for part in parts]
            whole = joined(found)
            if form == "table":
                screen.show_status(whole)
        if form == "json":
            from workshop.console.status_view import status_json  # with it comes rich

            print(status_json(whole))
        return whole.exit_status

    return invocation.ended(act)


def _status(part: Part, target: Target, screen: Screen) -> Status:
    def tell(doing: str) -> None:
        print(doing, file=sys.stderr)  # stdout may be for a program

    toolbox = _ready(part, target, tell)
    job = replace(job_of(part, target, toolbox, unheard), only_looks=True)
    return run_cuttable(status_of(job, target.journal.last_runs(target.name)))


def reset(
    config: Config,
    runbook: Runbook,
    *,
    to: str = "",
    before: str = "",
    foreign: bool = False,
    proof: bool = True,
    plan: bool = False,
    explain: bool = False,
    yes: bool = False,
) -> int:
    """Bring the labs' cluster to a known state, and compare it with what that is by definition."""

    def act() -> int:
        program, look = invocation.invoke(), _explain if explain else _plan if plan or config.run.dry else None
        names = tuple(lab.name for lab in runbook.labs if not lab.undoes and not lab.name.startswith(ACCOUNT))
        state = resetting.state_of(runbook, names, to=to, before=before, program=program)
        whole = Request((), invocation.typed(), yes=yes, brief=True, program=program)
        book, clean_up = resetting.runbook_for(runbook, state, foreign=foreign)
        back = Part(book, replace(whole, labs=(clean_up,)), use_of(whole))
        ahead = [Part(runbook, one, use_of(one)) for one in resetting.requests_of(state, whole, proofs=proof)]
        parts = numbered([back, *ahead])
        for part in parts:  # before the first one begins
            part.request.validate(part.runbook)
            refuse_missing_files(part.runbook, part.request.labs)
        target = describe(load(config), use_of(whole)).with_labs(runbook)
        if not explain:
            with invocation.open_screen(config) as screen:
                ready = _ready(back, target, _telling(screen))
            if not foreign:
                run_cuttable(resetting.refuse_in_the_way(job_of(back, target, ready, unheard), state, clean_up))
        if look:
            statuses: list[int] = []
            for part in parts:
                if not {2, 130}.intersection(statuses):
                    statuses.append(look(config, part, target))
            if look is _plan and not foreign and 2 not in statuses:
                left = resetting.left_alone(job_of(back, target, target.toolbox, unheard), state, clean_up)
                with invocation.open_screen(config) as screen:
                    screen.show_left_alone(run_cuttable(left))
            return max(statuses)
        looking = functools.partial(job_of, back, target, target.toolbox, unheard)
        status = asyncio.run(_reset(config, parts, target, looking, state, clean_up))
        if target.journal.trouble:
            invocation.show(target.journal.trouble)
        return status

    return invocation.ended(act)


async def _reset(
    config: Config,
    parts: list[Part],
    target: Target,
    looking: Callable[[Stop], Job],
    state: resetting.State,
    clean_up: str,
) -> int:
    """Its runs and the comparison, under one lock. The target is ready."""
    statuses: list[int] = []
    async with one_lock(target) as lock:
        for part in parts:
            # What could not be taken back keeps nothing else from being put right.
            if not {2, 130}.intersection(statuses):
                with invocation.open_screen(config) as screen:
                    heard = _heard(screen)
                    statuses.append(await run_part(part, target, target.toolbox, heard, screen.gate, lock=lock))
        if status := next((status for status in (130, 2) if status in statuses), 0):
            return status
        stop, current = Stop(), asyncio.current_task()
        assert current is not None
        with invocation.open_screen(config) as screen:
            try:
                with stop.signals(current.cancel):
                    comparison = await stop.cuttable(resetting.compare(looking(stop), state, clean_up))
            except Stopped:
                raise KeyboardInterrupt from None
            screen.show_comparison(comparison)
    if not comparison.equal:
        return 1
    return next((status for status in (1, 3) if status in statuses), 0)


def doctor(config: Config, runbook: Runbook) -> int:
    """Look for what would make a run fail; 1 when something would."""

    def act() -> int:
        from workshop.azure.preflight import finding_of  # as in Target.account
        from workshop.doctor import examine, mistakes, state_folder

        settings = load(config)
        with invocation.open_screen(config) as screen:
            folder = state_folder(settings.state_folder)
            try:
                use = Use(account=settings.target != "cluster", command=invocation.invoke())
                target = describe(settings, use)
                target.make_ready(_telling(screen))
                cluster = _cluster_of(settings)
                findings = run_cuttable(
                    examine(target, runbook, cluster and cluster.with_labs(runbook), invocation.invoke())
                )
                name = target.name
            except WorkshopError as error:  # without it, nothing else can be looked at
                name, findings = settings.target, [finding_of("target", error)]
            except OSError:  # about that folder, where everything of the workshop's own is
                if folder.state == "ok":
                    raise
                name, findings = settings.target, []
            findings = [folder, *mistakes(runbook), *findings]
            screen.show_findings(name, findings)
        return int(any(finding.state == "fail" for finding in findings))

    return invocation.ended(act)


def _cluster_of(settings: Settings) -> Target | None:
    """The target as labs on a cluster find it; None where none has been made yet."""
    try:
        return describe(settings, Use(command=invocation.invoke()))
    except UsageError:
        return None


def adopt(config: Config, *, yes: bool) -> int:
    """Mark the cluster, and a secondary one that is not the workshop's anyway, once a person typed its name."""

    def act() -> int:
        target = describe(load(config), Use(command=invocation.invoke()))
        target.make_ready(print)
        others = [other.guard for other in target.others.clusters.values()]
        for cluster in (target.cluster, *(guard for guard in others if not guard.disposable)):
            _adopt(cluster, yes=yes)
        return 0

    return invocation.ended(act)


def _adopt(cluster: ClusterGuard, *, yes: bool) -> None:
    if run_cuttable(cluster.is_marked()):
        print(f"{cluster.name} is the workshop's already")
        return
    if not yes and not cluster.disposable:
        _confirm(cluster.name)
    run_cuttable(cluster.adopt())
    print(f"{cluster.name} is the workshop's now: labs may change it, and the clean-up may delete what they made")


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"adopt {name}",
            "there is no terminal to ask at",
            cause="a cluster is adopted by typing its name, or with --yes by who is sure",
            next_command=f"{invocation.invoke()} adopt --yes",
        )
    print(f"From now on labs may change {name}, and the clean-up may delete what they made.")
    if input(f"Type its name ({name}) to adopt it: ").strip() != name:
        raise UsageError(f"adopt {name}", "that is not its name", cause="nothing was changed")

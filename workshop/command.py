"""What the tasks of tasks.py do: settings, target, console and engine put together.

Every function returns an exit status. Errors are worded by the console and become the status they carry, so nobody
sees a traceback without `-d`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workshop import invocation, output, shell
from workshop.account import log_in
from workshop.kubernetes.guard import ClusterGuard
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request
from workshop.runbook.stop import run_cuttable
from workshop.settings import Settings
from workshop.target import ACCOUNT, Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config


def run_labs(
    config: Config,
    runbook: Runbook,
    labs: tuple[str, ...],
    own: dict[str, Any],
    *,
    plan: bool = False,
    explain: bool = False,
    undo: bool = False,
    step: str | None = None,
    **asked: Any,
) -> int:
    """Run, plan or explain `labs`, or `undo` a single one. `own` are the options of a single lab, `asked` the
    Request's fields.

    Labs on the account and labs on a cluster are two runs, one after the other: the second's cluster, with its lock
    and its facts, is what the first one makes.
    """

    def act() -> int:
        if plan and explain:
            raise UsageError(
                "use --plan and --explain together",
                "each shows something else, and changes nothing",
                next_command=invocation.typed(without="--explain"),
            )
        options = {labs[0]: {key: value for key, value in own.items() if value is not None}} if own else {}
        whole = Request(
            labs,
            command=invocation.typed(),
            program=invocation.invoke(),
            activation=invocation.activation(),
            step=_number(step, f"{invocation.invoke()} lab.{labs[0]} --plan"),
            options=options,
            **asked,
        )
        whole.validate(runbook)
        book = runbook
        if undo:
            from workshop.runbook.undoing import refuse_where_to_go, undoing

            refuse_where_to_go(whole)
            book, name = undoing(runbook, labs[0])
            whole = replace(whole, labs=(name,))
        settings = invocation.settings(config)
        look = plan or config.run.dry
        statuses = []
        parts = list(_parts(settings, whole))
        _validate(settings, account=any(use.account for _, use in parts))
        for request, use in parts:
            target = describe(settings, use)
            if explain:
                _explain(config, book, request, target)
            else:
                statuses.append(_look_or_run(config, book, request, target, use, look))
            if any(statuses) and not look:
                break
        if statuses and not look:
            shell.tell_when_left(settings)
        return max(statuses, default=0)

    return invocation.worded(act)


def _parts(settings: Settings, whole: Request) -> Iterator[tuple[Request, Use]]:
    account = tuple(name for name in whole.labs if name.startswith(ACCOUNT))
    cluster = tuple(name for name in whole.labs if name not in account)
    if settings.target == "cluster" and account and cluster:
        print("the target is a cluster that is there: nothing is made on Azure")
        account = ()
    if account:
        use = Use(account=True, command=whole.program, typed=whole.command)
        yield replace(whole, labs=account, later=cluster), use
    if cluster:
        use = Use(made=bool(account), command=whole.program, typed=whole.command)
        yield replace(whole, labs=cluster, earlier=account), use


def _validate(settings: Settings, *, account: bool) -> None:
    """Raises UsageError for a setting that Azure would refuse: once, before anything is shown, looked at or
    changed. Where nothing is made with Azure's settings, they may be anything."""
    if settings.target == "azure" or (settings.target == "sandbox" and account):
        from workshop.azure import rules

        rules.validate(settings.azure)


def _explain(config: Config, runbook: Runbook, request: Request, target: Target) -> None:
    from workshop.runbook.explain import explain

    with invocation.open_screen(config) as screen:
        labs = explain(runbook, request, target.toolbox)
        commands = [one for lab in labs for step in lab.steps for one in step.explanation.commands]
        tools = {"kubectl": target.kubectl.typed, "istioctl": target.istioctl.typed}
        called = {name: typed for name, typed in tools.items() if any(name in one for one in commands)}
        on_account = request.labs[0].startswith(ACCOUNT)  # where commands name their kubeconfig themselves
        first = [] if on_account else [_for_this_cluster(name, typed) for name, typed in called.items()]
        screen.show_explanation(labs, first)


def _for_this_cluster(tool: str, typed: Callable[[str], str]) -> str:
    """What makes a shell call the tool for the target's cluster, and not for its own current one."""
    return f'{tool}() {{ command {typed(f"{tool} ")}"$@"; }}'


def _look_or_run(config: Config, runbook: Runbook, request: Request, target: Target, use: Use, look: bool) -> int:
    with invocation.open_screen(config) as screen:
        target.make_ready(lambda doing: screen.listen(events.Told("", doing)))
        toolbox = target.toolbox
        if use.account:
            log_in(toolbox)
        if look:
            from workshop.runbook.plan import plan

            found = run_cuttable(plan(runbook, request, toolbox, screen.listen, target=target.name))
            screen.show_plan(found, commands=config.run.dry)
            return found.exit_status
        from workshop.runbook.runner import execute

        def listen(event: events.Event) -> None:
            target.journal.listen(event)  # first: what a person has seen is written down
            screen.listen(event)
            if isinstance(event, events.RunStarted):  # later, a run is brought to its end
                output.refuse_if_lost()

        status = asyncio.run(
            execute(
                runbook,
                request,
                toolbox,
                listen,
                target=target.name,
                guard=target.guard,
                gate=screen.gate,
            )
        )
    if target.journal.trouble:
        invocation.show(target.journal.trouble)
    return status


def doctor(config: Config, runbook: Runbook) -> int:
    """Look for what would make a run fail; 1 when something would."""

    def act() -> int:
        from workshop.doctor import examine, from_error

        settings = invocation.settings(config)
        with invocation.open_screen(config) as screen:
            try:
                use = Use(account=settings.target != "cluster", command=invocation.invoke())
                target = describe(settings, use)
                target.make_ready(lambda doing: screen.listen(events.Told("", doing)))
                findings = run_cuttable(examine(target, runbook, _cluster_of(settings), invocation.invoke()))
                name = target.name
            except WorkshopError as error:  # without it, nothing else can be looked at
                name, findings = settings.target, [from_error("target", error)]
            screen.show_findings(name, findings)
        return int(any(finding.state == "fail" for finding in findings))

    return invocation.worded(act)


def _cluster_of(settings: Settings) -> Target | None:
    """The target as labs on a cluster find it; None where none has been made yet."""
    try:
        return describe(settings, Use(command=invocation.invoke()))
    except UsageError:
        return None


def adopt(config: Config, *, yes: bool) -> int:
    """Mark the cluster, and a secondary one that is not the workshop's anyway, once a person typed its name."""

    def act() -> int:
        target = describe(invocation.settings(config), Use(command=invocation.invoke()))
        target.make_ready(print)
        others = [other.guard for other in target.others.clusters.values()]
        for cluster in (target.cluster, *(guard for guard in others if not guard.disposable)):
            _adopt(cluster, yes=yes)
        return 0

    return invocation.worded(act)


def _adopt(cluster: ClusterGuard, *, yes: bool) -> None:
    if run_cuttable(cluster.is_marked()):
        print(f"{cluster.name} is the workshop's already")
        return
    if not yes and not cluster.disposable:
        _confirm(cluster.name)
    run_cuttable(cluster.adopt())
    print(f"{cluster.name} is the workshop's now: labs may change it, and the clean-up may delete what they made")


def _number(step: str | None, listing: str) -> int | None:
    if step is None:
        return None
    if not step.isdecimal():
        raise UsageError(
            f"run step {step!r}", "it is a step's number, as --plan and --explain show it", next_command=listing
        )
    return int(step)


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"adopt {name}",
            "there is no terminal to ask at",
            cause="a cluster is adopted by typing its name",
            next_command="add --yes when you are sure",
        )
    print(f"From now on labs may change {name}, and the clean-up may delete what they made.")
    if input(f"Type its name ({name}) to adopt it: ").strip() != name:
        raise UsageError(f"adopt {name}", "that is not its name", cause="nothing was changed")

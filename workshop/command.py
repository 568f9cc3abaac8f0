"""What the tasks of tasks.py do: settings, target, console and engine put together.

Every function returns an exit status. Errors are worded by the console and become the status they carry, so nobody
sees a traceback without `-d`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import console
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request
from workshop.settings import Settings, broken_yaml, load
from workshop.target import ACCOUNT, Target, Use, describe, sandbox_folder

if TYPE_CHECKING:
    from invoke.config import Config

    from workshop.console.screen import Screen


def run_labs(
    config: Config,
    runbook: Runbook,
    labs: tuple[str, ...],
    own: dict[str, Any],
    *,
    plan: bool = False,
    explain: bool = False,
    step: str | None = None,
    **asked: Any,
) -> int:
    """Run, plan or explain `labs`. `own` are the options of a single lab, `asked` the Request's fields.

    Labs on the account and labs on a cluster are two runs, one after the other: the second's cluster, with its lock
    and its facts, is what the first one makes.
    """

    def act() -> int:
        options = {labs[0]: {key: value for key, value in own.items() if value is not None}} if own else {}
        whole = Request(labs, command=_typed(), program=_invoke(), step=_number(step), options=options, **asked)
        whole.validate(runbook)
        settings = _settings(config)
        look = plan or config.run.dry
        statuses = []
        for request, use in _parts(settings, whole):
            target = describe(settings, use)
            if explain:
                _explain(config, runbook, request, target)
            else:
                statuses.append(_look_or_run(config, runbook, request, target, look))
            if any(statuses) and not look:
                break
        return max(statuses, default=0)

    return _worded(act)


def _parts(settings: Settings, whole: Request) -> Iterator[tuple[Request, Use]]:
    account = tuple(name for name in whole.labs if name.startswith(ACCOUNT))
    cluster = tuple(name for name in whole.labs if name not in account)
    if settings.target == "cluster" and account and cluster:
        print("the target is a cluster that is there: nothing is made on Azure")
        account = ()
    if account:
        yield replace(whole, labs=account), Use(account=True, command=whole.program, typed=whole.command)
    if cluster:
        use = Use(made=bool(account), command=whole.program, typed=whole.command)
        yield replace(whole, labs=cluster), use


def _explain(config: Config, runbook: Runbook, request: Request, target: Target) -> None:
    from workshop.runbook.explain import explain

    with _screen(config) as screen:
        screen.show_explanation(explain(runbook, request, target.toolbox))


def _look_or_run(config: Config, runbook: Runbook, request: Request, target: Target, look: bool) -> int:
    with _screen(config) as screen:
        target.make_ready(lambda doing: screen.listen(events.Told("", doing)))
        if look:
            from workshop.runbook.plan import plan

            found = asyncio.run(plan(runbook, request, target.toolbox, screen.listen, target=target.name))
            screen.show_plan(found, commands=config.run.dry)
            return found.exit_status
        from workshop.runbook.runner import execute

        def listen(event: events.Event) -> None:
            screen.listen(event)
            target.journal.listen(event)

        status = asyncio.run(
            execute(
                runbook,
                request,
                target.toolbox,
                listen,
                target=target.name,
                guard=target.guard,
                gate=screen.gate,
            )
        )
    if target.journal.trouble:
        _show(target.journal.trouble)
    return status


def adopt(config: Config, *, yes: bool) -> int:
    """Mark the cluster, once a person typed its name."""

    def act() -> int:
        target = describe(_settings(config), Use(command=_invoke()))
        target.make_ready(print)
        if asyncio.run(target.cluster.is_marked()):
            print(f"{target.name} is the workshop's already")
            return 0
        if not yes and not target.cluster.disposable:
            _confirm(target)
        asyncio.run(target.cluster.adopt())
        print(
            f"{target.name} is the workshop's now: labs may change it, and the clean-up may delete what they made"
        )
        return 0

    return _worded(act)


def sandbox_up(config: Config) -> int:
    def act() -> int:
        _sandbox(config).make_ready(print)
        return sandbox_status(config)

    return _worded(act)


def sandbox_down(config: Config) -> int:
    def act() -> int:
        from workshop.sandbox import launcher

        stopped = launcher.stop(sandbox_folder(_settings(config)))
        print("the sandbox is stopped" if stopped else "the sandbox was not running")
        return 0

    return _worded(act)


def sandbox_status(config: Config) -> int:
    """1 when it does not run."""

    def act() -> int:
        from workshop.sandbox import launcher

        running = launcher.status(sandbox_folder(_settings(config)))
        if running is None:
            print("the sandbox is not running (invoke sandbox.up starts it)")
            return 1
        minutes = (time.time() - running.started) / 60
        print(f"the sandbox runs at {running.url} (process {running.pid}, for {minutes:.0f} min)")
        print(f"KUBECONFIG={running.kubeconfig}")
        return 0

    return _worded(act)


def sandbox_shell(config: Config) -> int:
    """A shell with the sandbox's kubeconfig and tools; its exit status."""

    def act() -> int:
        settings = _settings(config)
        target = _sandbox(config)
        target.make_ready(print)
        tools = os.pathsep.join([str(sandbox_folder(settings) / "bin"), os.environ.get("PATH", "")])
        environment = {
            **os.environ,
            "KUBECONFIG": str(target.kubectl.kubeconfig),
            "KUBECACHEDIR": str(target.kubectl.cache),
            "PATH": tools,
        }
        if sys.stdin.isatty():
            print("kubectl and istioctl talk to the sandbox here; exit leaves")
        return subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False).returncode

    return _worded(act)


def word_invokes_own_error(error: BaseException) -> bool:
    """Word what Invoke trips over while it reads settings, before any task runs; False for anything else."""
    import invoke.exceptions as invokes
    from invoke.vendor import yaml

    path = _profile() or "the project's invoke.yaml"
    worded: UsageError
    if isinstance(error, yaml.MarkedYAMLError):
        worded = broken_yaml(path, error)
    elif isinstance(
        error,
        (
            invokes.AmbiguousEnvVar,
            invokes.UncastableEnvVar,
            invokes.UnknownFileType,
            invokes.UnpicklableConfigMember,
        ),
    ):
        worded = UsageError("read the settings", str(error), cause=f"see {path} and INVOKE_* variables")
    elif isinstance(error, OSError) and error.filename == path:
        worded = UsageError(f"read the profile {path}", error.strerror or str(error))
    else:
        return False
    _show(worded)
    return True


def _settings(config: Config) -> Settings:
    profile = _profile()
    if profile and not Path(profile).expanduser().exists():  # Invoke goes on without it
        raise UsageError(f"read the profile {profile}", "there is no such file", next_command="ls config")
    return load(config)


def _sandbox(config: Config) -> Target:
    settings = _settings(config)
    if settings.target != "sandbox":
        raise UsageError(
            "use the sandbox", f"the target is {settings.target}", cause="the profile or INVOKE_TARGET says so"
        )
    return describe(settings, Use(command=_invoke()))


def _profile() -> str:
    """What -f or INVOKE_RUNTIME_CONFIG names. Invoke keeps it to itself, and an error comes before any task."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("-f", "--config"):
            return following
        if word.startswith("--config="):
            return word.partition("=")[2]
        if word.startswith("-f") and len(word) > 2:
            return word[2:].removeprefix("=")
    return os.environ.get("INVOKE_RUNTIME_CONFIG", "")


def _invoke() -> str:
    """How Invoke is called for this profile, for hints."""
    profile = _profile()
    return f"invoke -f {shlex.quote(profile)}" if profile else "invoke"


def _number(step: str | None) -> int | None:
    if step is None:
        return None
    if not step.isdecimal():
        raise UsageError(f"run step {step!r}", "it is a step's number, as --plan and --explain show it")
    return int(step)


def _typed() -> str:
    return shlex.join(["invoke", *sys.argv[1:]])


def _confirm(target: Target) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"adopt {target.name}",
            "there is no terminal to ask at",
            cause="a cluster is adopted by typing its name",
            next_command="add --yes when you are sure",
        )
    print(f"From now on labs may change {target.name}, and the clean-up may delete what they made.")
    if input(f"Type its name ({target.name}) to adopt it: ").strip() != target.name:
        raise UsageError(f"adopt {target.name}", "that is not its name", cause="nothing was changed")


def _screen(config: Config) -> Screen:
    return console.open(sys.stdout, debug=_debugging(), echo=config.run.echo)


def _show(error: WorkshopError) -> None:
    with console.open(sys.stderr, debug=_debugging()) as screen:
        screen.show_error(error)


def _debugging() -> bool:
    """Whether Invoke got -d."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)


def _worded(act: Callable[[], int]) -> int:
    try:
        return act()
    except WorkshopError as error:
        _show(error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130

"""What the tasks sandbox.* do. Every function returns an exit status."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING

from sandbox.server import launcher
from workshop import invocation
from workshop.kubernetes.kubeconfigs import current_context
from workshop.kubernetes.lease import Holder
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.state_folder import FolderLock
from workshop.settings import LASTING, lasting, load
from workshop.shell import shell as open_shell
from workshop.target import Target, Use, describe, running_sandbox

if TYPE_CHECKING:
    from invoke.config import Config


def up(config: Config, *, lasts: str = "") -> int:
    """`lasts` is how long it is to last at least, if anything is said."""

    def act() -> int:
        seconds = seconds_of(lasts, "sandbox.up") if lasts else 0
        target = _sandbox(config)
        target.make_ready(print)
        if seconds:
            launcher.keep(target.settings.sandbox_folder, seconds)
        return status(config)

    return invocation.ended(act)


def seconds_of(lasts: str, task: str) -> int:
    """Of what was typed after --for. Raises UsageError."""
    try:
        return lasting(lasts)
    except ValueError:
        raise UsageError(
            "start the sandbox",
            f"--for is {lasts!r}; it has to be {LASTING}",
            next_command=f"{invocation.invoke()} {task} --for 12h",
        ) from None


def down(config: Config, *, yes: bool = False) -> int:
    """Without `yes`, not while a run is on, unless a person says so."""

    def act() -> int:
        settings = load(config)
        lock = FolderLock(settings.state_folder, str(Holder.me()))
        if launcher.is_there(settings.sandbox_folder) and not (yes or _may_end(lock)):
            print("the sandbox goes on")
            return 0
        try:
            stopped = launcher.stop(settings.sandbox_folder)
        except launcher.SandboxError as error:
            find = shlex.join(["fuser", "-v", str(settings.sandbox_folder / "lock")])
            raise WorkshopError(
                "stop the sandbox", str(error), cause="it hangs, or another machine has it", next_command=find
            ) from error
        print("the sandbox is stopped" if stopped else "the sandbox was not running")
        return 0

    return invocation.ended(act)


def _may_end(lock: FolderLock) -> bool:
    """Raises UsageError while a run is on and there is nobody to ask."""
    try:
        lock.refuse_if_held()
    except UsageError as held:
        if not sys.stdin.isatty():
            raise UsageError(
                "stop the sandbox",
                held.came_back,
                cause="that run would lose its cluster, and there is no terminal to ask at",
                next_command=f"{invocation.invoke()} sandbox.down --yes",
            ) from None
        print(f"{held.came_back}. It would lose its cluster.")
        try:
            return input("Stop the sandbox all the same? (y/N) ").strip().lower() in ("y", "yes")
        except EOFError:
            return False
    return True


def status(config: Config) -> int:
    """1 when it does not run."""

    def act() -> int:
        settings, target = load(config), _sandbox(config)
        running = running_sandbox(settings.sandbox_folder, invocation.invoke())
        if running is None:
            print(f"the sandbox is not running ({invocation.invoke()} sandbox.up starts it)")
            return 1
        minutes = (time.time() - running.started) / 60
        print(f"the sandbox runs at {running.url} ({running.process}, for {minutes:.0f} min)")
        print(f"({running.lasts})")
        kubeconfig, context = target.kubectl.kubeconfig, target.kubectl.context
        print(f"labs and shells use {target.which}\n(context {context})")
        if (current := current_context(kubeconfig)) != context:
            print(
                f"(kubectl alone uses {current or 'none'} there, until `{invocation.invoke()} shell` sets it back)"
            )
        if kubeconfig != settings.kubeconfig and settings.kubeconfig.exists():
            print(f"(what {settings.kubeconfig} leads to is not this sandbox's)")
        print(f"KUBECONFIG={shlex.quote(str(kubeconfig))}")
        return 0

    return invocation.ended(act)


def shell(config: Config) -> int:
    """The task `shell`, for the sandbox alone."""

    def act() -> int:
        _sandbox(config)
        return open_shell(config)

    return invocation.ended(act)


def _sandbox(config: Config) -> Target:
    settings = load(config)
    if settings.target != "sandbox":
        raise UsageError(
            "use the sandbox", f"the target is {settings.target}", cause="the profile or INVOKE_TARGET says so"
        )
    return describe(settings, Use(command=invocation.invoke()))

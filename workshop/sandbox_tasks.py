"""What the tasks sandbox.* do. Every function returns an exit status."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.server import launcher, saved_state
from workshop import invocation
from workshop.kubernetes.kubeconfigs import current_context
from workshop.kubernetes.lease import Holder
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.state_folder import FolderLock
from workshop.runbook.stop import run_cuttable
from workshop.settings import LASTING, Settings, lasting
from workshop.settings import load as load_settings
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
        settings = load_settings(config)
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
        return _says_yes(f"{held.came_back}. It would lose its cluster.\nStop the sandbox all the same? (y/N) ")
    return True


def save(config: Config, name: str, *, force: bool = False) -> int:
    """Not while a run is on: half of what it does would be a state that no lab leaves behind."""

    def act() -> int:
        settings, target = load_settings(config), _sandbox(config)
        again = f"{invocation.invoke()} sandbox.save"
        with _usable("save the state of the sandbox", f"{again} evening"):
            file = saved_state.place_of(_kept(settings), name)
        with _usable("save the state of the sandbox", f"{again} {name} --force"):
            saved_state.refuse_to_overwrite(file, force=force)
            with FolderLock(settings.state_folder, str(Holder.me())).held():
                from workshop import saved_notes  # reads YAML, which no other of these tasks needs

                began = time.monotonic()
                notes = saved_notes.take(settings, target)
                head = launcher.save(settings.sandbox_folder, file, notes=notes, force=force)
        size, seconds = file.stat().st_size / 1024, time.monotonic() - began
        print(f"saved as {file} ({saved_state.worded(head)}; {size:.0f} KiB, {seconds:.1f} s)")
        print(saved_state.warning(head))
        print(f"{invocation.invoke()} sandbox.load {name} brings it back; elsewhere, with the path of the file")
        return 0

    return invocation.ended(act)


def load(config: Config, name: str, *, yes: bool = False) -> int:
    """Without `yes`, a sandbox that runs ends only when a person says so."""

    def act() -> int:
        settings, target = load_settings(config), _sandbox(config)
        lock = FolderLock(settings.state_folder, str(Holder.me()))
        file, head = find_saved(settings, name)
        with _usable("load a saved state", f"{invocation.invoke()} sandbox.status"):
            if launcher.is_there(settings.sandbox_folder) and not (yes or _may_replace(lock, name)):
                print("the sandbox goes on")
                return 0
            with contextlib.ExitStack() as held:
                with contextlib.suppress(UsageError):  # somebody has said already that the run may lose its cluster
                    held.enter_context(lock.held())
                from workshop import saved_notes

                began = time.monotonic()
                running = launcher.load(settings.sandbox_folder, file, idle_seconds=settings.sandbox.idle_seconds)
                seconds = time.monotonic() - began
                saved_notes.put_back(settings, target, file, head, seconds)
        if not head.notes:  # it was saved without the workshop, which may not have marked the cluster
            run_cuttable(target.cluster.adopt())
        print(f"loaded {name} ({saved_state.worded(head)}) in {seconds:.1f} s")
        for each in running.missing:
            print(f"not as it was saved, so far: {each}")
        return status(config)

    return invocation.ended(act)


def find_saved(settings: Settings, name: str) -> tuple[Path, saved_state.Head]:
    """The file that is meant by a name or a path, and what it says of itself. Raises UsageError where there is none
    that is whole."""
    with _usable("load a saved state", f"{invocation.invoke()} sandbox.status"):
        file = saved_state.find(_kept(settings), name)
        head, _ = saved_state.read(file)
        return file, head


def _kept(settings: Settings) -> Path:
    return settings.state_folder / "saved"


@contextlib.contextmanager
def _usable(tried: str, next_command: str) -> Iterator[None]:
    """What the sandbox says of a file, or of itself, as an error of the workshop."""
    try:
        yield
    except saved_state.UnusableError as error:
        raise UsageError(tried, str(error), next_command=next_command) from error
    except launcher.SandboxError as error:
        raise WorkshopError(tried, str(error), next_command=f"{invocation.invoke()} sandbox.status") from error


def _may_replace(lock: FolderLock, name: str) -> bool:
    """Raises UsageError where there is nobody to ask."""
    try:
        lock.refuse_if_held()
        lost = "The sandbox runs, and all that is in it would be gone."
    except UsageError as held:
        lost = f"{held.came_back}. It would lose its cluster."
    if not sys.stdin.isatty():
        raise UsageError(
            "load a saved state",
            lost,
            cause="there is no terminal to ask at",
            next_command=f"{invocation.invoke()} sandbox.load {shlex.quote(name)} --yes",
        )
    return _says_yes(f"{lost}\nLoad {name} all the same? (y/N) ")


def _says_yes(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def status(config: Config) -> int:
    """1 when it does not run."""

    def act() -> int:
        settings, target = load_settings(config), _sandbox(config)
        running = running_sandbox(settings.sandbox_folder, invocation.invoke())
        if running is None:
            print(f"the sandbox is not running ({invocation.invoke()} sandbox.up starts it)")
            _list_kept(settings)
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
        _list_kept(settings)
        return 0

    return invocation.ended(act)


def _list_kept(settings: Settings) -> None:
    for name, head in saved_state.kept(_kept(settings)):
        print(f"saved: {name} ({saved_state.worded(head)})")


def shell(config: Config) -> int:
    """The task `shell`, for the sandbox alone."""

    def act() -> int:
        _sandbox(config)
        return open_shell(config)

    return invocation.ended(act)


def _sandbox(config: Config) -> Target:
    settings = load_settings(config)
    if settings.target != "sandbox":
        raise UsageError(
            "use the sandbox", f"the target is {settings.target}", cause="the profile or INVOKE_TARGET says so"
        )
    return describe(settings, Use(command=invocation.invoke(), typed=invocation.typed()))

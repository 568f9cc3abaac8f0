"""What the task `shell` does: a shell in which kubectl and istioctl talk to the target's cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import invocation, startup_files
from workshop.kubernetes import kubeconfigs
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import UsageError
from workshop.runbook.stop import run_cuttable
from workshop.settings import Settings, load
from workshop.startup_files import Session
from workshop.target import SECONDARY, Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config


def shell(config: Config) -> int:
    """The shell's exit status. With commands from a file or a pipe it is a plain one, without startup files."""

    def act() -> int:
        settings = load(config)
        target = describe(settings, Use(command=invocation.invoke()))
        target.make_ready(print)
        program = os.environ.get("SHELL") or "/bin/sh"
        (settings.state_folder / "shell").mkdir(mode=0o700, parents=True, exist_ok=True)
        # A folder for each shell, as another one may be for another cluster; what is in it may be secret.
        with tempfile.TemporaryDirectory(dir=settings.state_folder / "shell") as folder:
            session = _session(settings, target, Path(folder))
            if sys.stdin.isatty():
                start = startup_files.interactive(program, session, Path(folder))
                _greet(target, session, Path(program).name if not start.told else "")
            else:
                start = startup_files.plain(program)
            sys.stdout.flush()
            return _wait_for([program, *start.arguments], {**session.environment, **start.variables})

    return invocation.ended(act)


def _greet(target: Target, session: Session, untold: str) -> None:
    """`untold` names a shell that the workshop cannot make read its startup files."""
    print(f"kubectl and istioctl talk to {target.which}\n(context {target.kubectl.context}) here; exit leaves")
    if untold:
        print(f"warning: what {untold} reads as it starts may set another KUBECONFIG than {session.kubeconfig}")


def tell_when_left(settings: Settings) -> None:
    """A run that was typed in a shell of the workshop's may have made the clusters that labs use from now on, or
    deleted them: the shell's kubectl stays where it was."""
    own = {str(path) for path in (settings.kubeconfig, settings.sandbox_folder / "kubeconfig")}
    theirs = os.environ.get("KUBECONFIG", "")
    if settings.target != "sandbox" or theirs not in own:
        return
    target = describe(settings, Use(command=invocation.invoke()))
    if str(target.kubectl.kubeconfig) != theirs:
        print(f"\nLabs now use {target.which};")
        print(f"kubectl in this shell does not. Leave it by `exit`, then `{invocation.invoke()} shell`.")


def _session(settings: Settings, target: Target, folder: Path) -> Session:
    kubectl = target.kubectl
    there = [other.tools[Kubectl] for name, other in target.others.clusters.items() if name == SECONDARY]
    contexts = (kubectl.context, *(each.context for each in there if isinstance(each, Kubectl)))
    _refuse_without(kubectl)
    if settings.target == "cluster":
        kubeconfig = folder / "kubeconfig"
        _write_private(kubeconfig, _excerpt(kubectl, contexts))
    else:
        kubeconfig = kubectl.kubeconfig
        _go_back_to(kubectl)
    return Session(
        settings.target,
        contexts,
        {
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(kubectl.cache),
            "KUBECTL_KUBERC": "false",  # may send any command to another context
        },
        settings.sandbox_folder / "bin" if settings.target == "sandbox" else _tools(target, folder / "bin"),
    )


def _refuse_without(kubectl: Kubectl) -> None:
    """Raises UsageError: plain `kubectl` would go to another cluster, or to none."""
    there = kubeconfigs.contexts_in(kubectl.kubeconfig)
    if kubectl.context not in there:
        raise UsageError(
            f"open a shell for the context {kubectl.context}",
            f"{kubectl.kubeconfig} has no context {kubectl.context}; it has {', '.join(there) or 'none'}",
            next_command=kubectl.remake_hint or kubectl.start_hint or _contexts(kubectl),
        )


def _go_back_to(kubectl: Kubectl) -> None:
    """Have its context be the current one of the workshop's own kubeconfig again: an earlier shell may have left
    another."""
    current = kubeconfigs.current_context(kubectl.kubeconfig)
    if current != kubectl.context:
        run_cuttable(kubectl.call("config", "use-context", kubectl.context))
        print(f"the current context was {current or 'none'}; it is {kubectl.context} again", file=sys.stderr)


def _excerpt(kubectl: Kubectl, contexts: tuple[str, ...]) -> str:
    try:
        return json.dumps(kubeconfigs.only(kubectl.kubeconfig, *contexts), indent=2)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"open a shell for the context {kubectl.context}",
            f"{kubectl.kubeconfig} does not say where {' and '.join(contexts)} are",
            cause="it is damaged, or names a cluster or a user that is not in it",
            next_command=_contexts(kubectl),
        ) from error


def _contexts(kubectl: Kubectl) -> str:
    return shlex.join(["kubectl", f"--kubeconfig={kubectl.kubeconfig}", "config", "get-contexts"])


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _tools(target: Target, folder: Path) -> Path:
    """The programs that labs use, under their plain names."""
    folder.mkdir()
    found = run_cuttable(target.istioctl.program.installed())
    helm = run_cuttable(target.helm.program.installed())
    programs = {
        "kubectl": str(target.kubectl.binary),
        "istioctl": found and shutil.which(found),
        "helm": helm and shutil.which(helm),
    }
    for name, program in programs.items():
        if program:
            (folder / name).symlink_to(Path(program).absolute())
    return folder


def _wait_for(argv: list[str], environment: dict[str, str]) -> int:
    """The exit status, as a shell would tell it."""
    try:
        child = subprocess.Popen(argv, env=environment)
    except OSError as error:
        raise UsageError(
            f"start {argv[0]}",
            error.strerror or str(error),
            cause="the variable SHELL names it",
            next_command=f"SHELL=/bin/sh {invocation.typed()}",
        ) from error
    with _signals_left_to(child):
        status = child.wait()
    return 128 - status if status < 0 else status


@contextlib.contextmanager
def _signals_left_to(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C is for what runs in the shell. What would end this process ends the shell, as a terminal does that is
    closed (else an interactive one would go on), and then this one comes to its end."""

    def end(number: int, frame: object) -> None:
        child.send_signal(signal.SIGHUP)

    handlers = {signal.SIGINT: lambda number, frame: None, signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

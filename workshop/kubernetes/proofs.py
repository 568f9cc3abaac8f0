"""Proofs: how a step shows that what it applied has the effect the lab speaks of.

A step takes them as data and runs them in its `verify`. What measures traffic is not known here: `through_ingress`
(ingress.py) takes anything with a `measure(run, base_url)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Hint, Verdict

if TYPE_CHECKING:
    from workshop.runbook.run import Run

Object = dict[str, Any]


class Proof(Protocol):
    async def prove(self, run: Run) -> Verdict | None:
        """Observe the effect; None when there was only something to tell. Raises WorkshopError when it is not
        there in time."""

    def commands(self, run: Run) -> tuple[str, ...]:
        """What a person would type to see it."""
        ...


@runtime_checkable
class Visible(Protocol):
    """A proof of something that a person can look at as well."""

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        """Where, as it answers now. Raises WorkshopError while that is not known."""
        ...


Proofs = Callable[["Run"], tuple[Proof, ...]]
"""For what a lab's options decide, and for what is imported only when it is needed."""


def by_options(given: Proofs | tuple[Proof, ...]) -> Proofs:
    return given if callable(given) else lambda run: given


async def prove_all(run: Run, proofs: tuple[Proof, ...], objects: Sequence[Object] = ()) -> Verdict | None:
    """In order, up to the first that does not pass. One verdict with what all of them measured.

    `objects` are what the step has applied. When one of them, or its namespace, is gone or otherwise by the time a
    proof does not pass, that is the cause, and what was measured means nothing: raises WorkshopError, naming it.
    """
    from workshop.kubernetes.meanwhile import refuse_if_changed

    try:
        verdict = await _prove_all(run, proofs)
    except WorkshopError as error:
        await refuse_if_changed(run, objects, "; ".join(filter(None, (error.tried, error.came_back))))
        raise
    if verdict is not None and verdict.kind != "pass":
        await refuse_if_changed(run, objects, verdict.reason)
    return verdict


async def _prove_all(run: Run, proofs: tuple[Proof, ...]) -> Verdict | None:
    verdict: Verdict | None = None
    for proof in proofs:
        found = await proof.prove(run)
        if found is None:
            continue
        before = verdict.measurements if verdict else ()
        reasons = [found.reason] if verdict is None or found.kind != "pass" else [verdict.reason, found.reason]
        said = "; ".join(dict.fromkeys(filter(None, reasons)))
        verdict = Verdict(found.kind, said, (*before, *found.measurements))
        if found.kind != "pass":
            break
    return verdict


def all_commands(run: Run, proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    return tuple(command for proof in proofs for command in proof.commands(run))


async def look_at_all(run: Run, proofs: tuple[Proof, ...]) -> tuple[Hint, ...]:
    return tuple([hint for proof in proofs if isinstance(proof, Visible) for hint in await proof.look_at(run)])


@dataclass(frozen=True, slots=True)
class ExecCheck:
    """Run `command` inside a pod until the regular expression `expect` is found in what it prints, at most
    `seconds`. `workload` as kubectl names it: "deploy/ratings-v1". The part found (or its first group) is shown."""

    command: str
    expect: str
    namespace: str
    workload: str
    container: str
    seconds: float = 60.0

    async def prove(self, run: Run) -> Verdict:
        import shlex

        from workshop.kubernetes.kubectl import Kubectl

        kubectl = Kubectl.of(run)
        found: list[str] = []

        async def missing() -> str:
            finished = await kubectl.exec(
                self.namespace, self.workload, shlex.split(self.command), container=self.container
            )
            if match := re.search(self.expect, finished.stdout):
                found.append(match[1] if match.groups() else match[0])
                return ""
            said = (finished.stdout.strip() or finished.stderr.strip()).splitlines()
            status = f"exit status {finished.status}, " if finished.status else ""
            return f"{self.expect!r} in its output ({status}{said[0][:120] if said else 'no output'})"

        await run.wait(
            f"{self.command!r} inside {self.workload}",
            missing,
            seconds=min(self.seconds, run.patience),
            every=0.2,
            next_command=kubectl.typed(self.commands(run)[0]),
        )
        return Verdict("pass", f"{self.workload} got: {found[0]}")

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (_typed(run, self.commands(run)[0], f"as {self.workload} sees it"),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"kubectl exec -n {self.namespace} {self.workload} -c {self.container} -- {self.command}",)


@dataclass(frozen=True, slots=True)
class Shows:
    """Show what `kubectl <command>` prints, if anything: shows("get pods -n bookinfo")."""

    command: str

    async def prove(self, run: Run) -> None:
        import shlex

        from workshop.kubernetes.kubectl import Kubectl
        from workshop.runbook import events

        if printed := (await Kubectl.of(run).call(*shlex.split(self.command))).rstrip():
            run.emit(events.Told(run.lab, printed))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (_typed(run, self.commands(run)[0]),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"kubectl {self.command}",)


def _typed(run: Run, command: str, about: str = "") -> Hint:
    from workshop.kubernetes.kubectl import Kubectl

    return Hint("type", run.use(Kubectl).typed(command), about)


exec_check = ExecCheck
shows = Shows

"""Steps of labs that span two clusters: the one that labs work on, and another one that the target offers.

    on_cluster("secondary", install("Install Istio there too"))
    if_cluster("secondary", apply("Name its gateway", "service-entry.yaml"))

A step on the other cluster knows nothing of it: it gets a run whose tools talk to that cluster and whose facts are
kept apart. The cluster is protected as the first one is. A step changes it only when it carries the workshop's
mark, and from the first change to the end of the run its lock is held as well: it may be the first one of another
run.

Where a target has no such cluster, the steps are left out.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workshop.runbook.errors import UsageError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Step, WrappedStep
from workshop.runbook.results import Check, Difference, Explanation

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_guard import ClusterGuard
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.protection import RunLock
    from workshop.runbook.run import Listener, Run


def on_cluster(cluster: str, step: Step) -> Step:
    """The step, on the target's cluster of that name."""
    return OnCluster(cluster, step)


def if_cluster(cluster: str, step: Step) -> Step:
    """A step on the cluster that labs work on, which makes sense only where there is that other one."""
    return IfCluster(cluster, step)


@dataclass(frozen=True)
class OtherCluster:
    """`tools` are those that talk to it, by type; `context` is its kubeconfig context."""

    context: str
    tools: Mapping[type, object]
    guard: ClusterGuard


class OtherClusters:
    """The other clusters of a target, by name, and their locks."""

    def __init__(self, clusters: Mapping[str, OtherCluster]) -> None:
        self.clusters = clusters
        self._locks: dict[str, RunLock] = {}

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Locks can be taken in the body, and are released after it. When one is lost, the body is cancelled and
        the error comes out."""
        from workshop.kubernetes.cluster_guard import endable
        from workshop.runbook.protection import RunLock

        async with endable() as end:
            for name, other in self.clusters.items():
                self._locks[name] = RunLock(other.guard)
                self._locks[name].on_lost = end
            try:
                yield
            finally:
                for name in self.clusters:
                    await self._locks.pop(name).release()

    async def take(self, name: str, emit: Listener, *, destroys: bool) -> bool:
        """Returns when the cluster may be changed and its lock is held: False when it was before. Raises what the
        cluster's guard raises. Only within `hold`, which a run enters before its first change."""
        lock = self._locks[name]
        before = lock.held
        if destroys:
            await lock.guard.may_destroy()
        await lock.take(emit, destroys=destroys)
        return not before


def run_on(run: Run, cluster: str) -> Run | None:
    """The run as it is on that cluster; None where the target has none of that name."""
    other = run.use(OtherClusters).clusters.get(cluster)
    return run.elsewhere(cluster, other.tools) if other else None


def typed_for(run: Run, cluster: str, command: str) -> str:
    """A command as a person types it for that cluster; as it is where the target has none of that name."""
    from workshop.kubernetes.typed_commands import with_context

    other = run.use(OtherClusters).clusters.get(cluster)
    return with_context(command, other.context) if other else command


class IfCluster(WrappedStep):
    def __init__(self, cluster: str, step: Step) -> None:
        super().__init__(step)
        self.cluster = cluster

    def inner_run(self, run: Run) -> Run | None:
        return run if self.cluster in run.use(OtherClusters).clusters else None

    def left_out(self) -> str:
        return f"left out: this target has no {self.cluster} cluster"


class OnCluster(IfCluster):
    def inner_run(self, run: Run) -> Run | None:
        return run_on(run, self.cluster)

    async def check(self, run: Run) -> Check:
        return self._told(await super().check(run))

    async def check_readiness(self, run: Run) -> Check:
        return self._told(await super().check_readiness(run))

    async def apply(self, run: Run) -> None:
        if await self._lock(run, destroys=False) and (await super().check(run)).converged:
            return
        await super().apply(run)

    async def check_undo(self, run: Run) -> Check:
        return self._told(await super().check_undo(run))

    async def undo(self, run: Run) -> None:
        if await self._lock(run, destroys=True) and (await super().check_undo(run)).converged:
            return
        await super().undo(run)

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset(f"{self.cluster}: {subject}" for subject in await super().made(run))

    def explain(self, run: Run) -> Explanation:
        return self._typed(super().explain(run), run)

    def explain_undo(self, run: Run) -> Explanation:
        return self._typed(super().explain_undo(run), run)

    async def _lock(self, run: Run, *, destroys: bool) -> bool:
        """Whether it was taken just now: somebody else may have changed the cluster until then."""
        others = run.use(OtherClusters)
        taken = self.cluster in others.clusters and await run.cuttable(
            others.take(self.cluster, run.emit, destroys=destroys)
        )
        if taken:
            run.facts.forget()
        return taken

    def _told(self, check: Check) -> Check:
        there, more = map(self._of, check.differences), map(self._of, check.added)
        return replace(check, differences=tuple(there), added=tuple(more))

    def _of(self, difference: Difference) -> Difference:
        owner = f"{self.cluster}: {difference.goes_with}" if difference.goes_with else ""
        return replace(difference, subject=f"{self.cluster}: {difference.subject}", goes_with=owner)

    def _typed(self, explanation: Explanation, run: Run) -> Explanation:
        def there(commands: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(typed_for(run, self.cluster, command) for command in commands)

        asked = explanation.exercise
        exercise = asked and replace(asked, commands=there(asked.commands))
        return replace(explanation, commands=there(explanation.commands), exercise=exercise)


def secondary(kubectl: Kubectl, context: str) -> Kubectl:
    """For the context of the same kubeconfig that the settings name as the secondary cluster. Raises UsageError
    when there is none of that name, or when it leads to the same cluster."""
    from workshop.kubernetes.kubeconfigs import contexts_in, server_of

    there, kubeconfig = contexts_in(kubectl.kubeconfig), kubectl.kubeconfig
    if context not in there:
        raise _unusable(
            kubeconfig,
            f"{kubeconfig} has no context {context}; it has {', '.join(there) or 'none'}",
            "cluster.secondary names one that is not there",
        )
    with contextlib.suppress(ValueError):
        server = server_of(kubeconfig, context)
        if server == server_of(kubeconfig, kubectl.context):
            raise _unusable(
                kubeconfig,
                f"the contexts {kubectl.context} and {context} both lead to {server}",
                "cluster.secondary is to be another cluster than cluster.context",
            )
    return replace(kubectl, context=context)


def _unusable(kubeconfig: Path, said: str, cause: str) -> UsageError:
    return UsageError(
        "find the secondary cluster",
        said,
        cause=cause,
        next_command=shlex.join(["kubectl", f"--kubeconfig={kubeconfig}", "config", "get-contexts"]),
    )

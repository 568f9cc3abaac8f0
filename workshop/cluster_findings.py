"""What would make labs fail on a cluster, found by looking at it: for `invoke doctor`, and for each member of a
class.

Whether it is there and the workshop's is asked first: where nothing answers, all else would fail for the same
reason. Everything is read, and rights are asked for; nothing is changed, and nothing made to see whether it
works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from workshop.azure.preflight import finding_of
from workshop.kubernetes import load_balancers
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh import install, lab_rights, other_meshes, resource_requests
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Lab
from workshop.runbook.results import Finding
from workshop.runbook.run import Facts, Run, unheard
from workshop.target import ACCOUNT, Target

_ANSWERS_WITHIN = 15.0
"""Seconds."""


async def examine(
    target: Target, labs: Sequence[Lab], command: str, facts: Facts, *, to_adopt: bool = False
) -> list[Finding]:
    """On each of the target's clusters, in the order in which a run would meet it. `command` is how Invoke was
    called. Whoever is `to_adopt` a cluster is not told that nobody has."""
    labs = [lab for lab in labs if not lab.name.startswith(ACCOUNT)]
    here = Run("doctor", target.toolbox, facts, {}, unheard)
    others = target.others.clusters
    found = await asyncio.gather(
        _examined("", target.cluster, f": {target.which_exactly}", here, labs, command, to_adopt),
        *(
            _examined(name, other.guard, "", here.elsewhere(name, other.tools), labs, command, to_adopt)
            for name, other in others.items()
        ),
    )
    return [finding for rows in found for finding in rows]


async def istioctl(target: Target) -> Finding:
    """Of the target's version, here or to be had. Raises WorkshopError."""
    program = target.istioctl.program
    if there := await program.installed():
        return Finding("istioctl", "ok", f"{program.version} ({there})")
    await program.release.reach(program.version)
    return Finding("istioctl", "ok", f"{program.version} is not on PATH; it will be downloaded")


async def _examined(
    place: str, guard: ClusterGuard, where: str, run: Run, labs: Sequence[Lab], command: str, to_adopt: bool
) -> list[Finding]:
    """A cluster that is yet to be made need not answer."""
    if run.use(Kubectl).absent:
        return []
    try:
        cluster = await _cluster(place or "cluster", guard, to_adopt)
    except WorkshopError as error:
        return [finding_of(place or "cluster", error)]

    def row(name: str) -> str:
        return f"{place} {name}".lstrip()

    rows = await asyncio.gather(
        _row(row("permissions"), _permissions(row("permissions"), labs, run, place)),
        _row(row("other meshes"), other_meshes.finding(row("other meshes"), labs, run, place)),
        _row(row("Istio"), install.installation_finding(row("Istio"), run, command)),
        _row(row("load balancers"), load_balancers.finding(row("load balancers"), run)),
        _row(row("room"), resource_requests.finding(row("room"), labs, run, place)),
    )
    return [replace(cluster, what=cluster.what + where), *rows]


async def _cluster(row: str, cluster: ClusterGuard, to_adopt: bool) -> Finding:
    what = f"{cluster.name}, Kubernetes {await cluster.kubectl.server_version(seconds=_ANSWERS_WITHIN)}"
    if await cluster.is_marked():
        return Finding(row, "ok", f"{what}, is the workshop's")
    if to_adopt or cluster.disposable:
        adopts = "" if to_adopt else ": the first lab that uses it adopts it"
        return Finding(row, "ok", f"{what}, nobody's yet{adopts}")
    said = f"{what}, has not been adopted: labs refuse to change it"
    return Finding(row, "fail", said, cluster.adopt_command)


async def _permissions(row: str, labs: Sequence[Lab], run: Run, place: str) -> Finding:
    return await lab_rights.finding(row, labs, run, place, installs=not await _is_provided(run))


async def _is_provided(run: Run) -> bool:
    """Who may not even look has to be told of that right, and so of all that an installation takes."""
    try:
        return await install.is_provided(run)
    except WorkshopError:
        return False


async def _row(name: str, look: Awaitable[Finding]) -> Finding:
    """A look that fails may be no more than a right that labs do not need."""
    try:
        return await look
    except WorkshopError as error:
        return finding_of(name, error, "warn")

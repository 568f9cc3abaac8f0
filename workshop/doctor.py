"""What would make a run fail, found before it: tools, state folder, and what the target offers.

Everything is looked at at the same time, and nothing is changed. A look that fails is a finding like any other.
"""

from __future__ import annotations

import asyncio
import json
import platform
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Literal

from workshop import cluster_findings
from workshop.account import azure_of
from workshop.azure import own_kubeconfig, preflight
from workshop.azure.preflight import finding_of
from workshop.kubernetes import tool_process
from workshop.kubernetes.helm import INSTALL_HINT, Helm, version_of
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.model import Runbook
from workshop.runbook.results import Finding
from workshop.runbook.run import Facts
from workshop.runbook.state_folder import ANOTHER, refuse_unusable
from workshop.target import Target

_OLDEST_KUBECTL = (1, 32)
_LOOK_SECONDS = 15.0


async def examine(target: Target, runbook: Runbook, cluster: Target | None, command: str) -> list[Finding]:
    """In the order in which a run would meet them. `cluster` is where labs of `runbook` run that are not on the
    account, where there is such a place; `command` how Invoke was called."""
    facts = Facts()
    looks: list[Awaitable[list[Finding]]] = [
        _one("Python", _python()),
        _one("kubectl", _kubectl(target.kubectl)),
        _one("istioctl", cluster_findings.istioctl(target)),
        _one("helm", _helm(target.helm)),
        _one("journal", _journal(target.journal)),
    ]
    if tools := target.account():
        looks += [preflight.examine(azure_of(tools)), _one("kubeconfig", _kubeconfig(target, cluster, command))]
    if cluster:
        looks.append(cluster_findings.examine(cluster, runbook.labs, command, facts))
    try:
        async with asyncio.TaskGroup() as group:  # which also ends with none of them still under way
            found = [group.create_task(_awaited(look)) for look in looks]
    finally:
        await facts.close()
    return [finding for task in found for finding in task.result()]


async def _awaited(look: Awaitable[list[Finding]]) -> list[Finding]:
    return await look


async def _kubeconfig(target: Target, cluster: Target | None, command: str) -> Finding:
    """The workshop's own, with the clusters that labs on the account make, and whether `cluster` is one of them."""
    path = target.kubectl.kubeconfig
    content = own_kubeconfig.read(path)
    if content is None:
        said = f"{path} is damaged: no lab finds the clusters in it until it is written anew"
        return Finding("kubeconfig", "warn", said, f"{command} lab.azure.credentials")
    contexts = ", ".join(str(each.get("name")) for each in content.get("contexts", ()))
    if not contexts:
        return Finding("kubeconfig", "ok", "not begun yet")
    ended = (
        "" if cluster and cluster.kubectl.kubeconfig == path else "; labs do not use it: it is not this sandbox's"
    )
    return Finding("kubeconfig", "ok", f"{path} has {contexts}{ended}")


def state_folder(folder: Path) -> Finding:
    """FindingSource at before anything that needs it."""
    try:
        refuse_unusable(folder)
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror or error}"
        return Finding("state folder", "fail", said, ANOTHER)
    return Finding("state folder", "ok", f"{folder} can be written")


def mistakes(runbook: Runbook) -> Iterator[Finding]:
    """Labs whose files cannot be read."""
    for lab in runbook.labs:
        if lab.mistake:
            said = f"{lab.mistake.came_back} ({lab.mistake.tried.removeprefix('read ')})"
            yield Finding(f"lab {lab.name}", "fail", said)


_State = Literal["warn", "fail"]


async def _one(name: str, look: Awaitable[Finding], state: _State = "fail") -> list[Finding]:
    """`state` is what an error of the look comes to."""
    try:
        return [await look]
    except WorkshopError as error:
        return [finding_of(name, error, state)]


async def _python() -> Finding:
    return Finding("Python", "ok", platform.python_version())


async def _kubectl(kubectl: Kubectl) -> Finding:
    finished = await tool_process.run(
        (str(kubectl.binary), "version", "--client", "-o", "json"), seconds=_LOOK_SECONDS
    )
    try:
        version = json.loads(finished.stdout)["clientVersion"]["gitVersion"]
        parts = re.match(r"v(\d+)\.(\d+)", version)
        if parts is None:
            raise ValueError(version)
    except (ValueError, KeyError, TypeError):
        said = finished.stderr.strip() or finished.stdout.strip()
        return Finding(
            "kubectl", "fail", f"{kubectl.binary} does not tell its version: {said}", kubectl.install_hint
        )
    what = f"{version.removeprefix('v')} ({kubectl.binary})"
    if (int(parts[1]), int(parts[2])) < _OLDEST_KUBECTL:
        oldest = ".".join(map(str, _OLDEST_KUBECTL))
        return Finding("kubectl", "warn", f"{what}; tested are {oldest} and later", kubectl.install_hint)
    return Finding("kubectl", "ok", what)


async def _helm(helm: Helm) -> Finding:
    if there := await helm.program.installed():
        return Finding("helm", "ok", f"{'.'.join(map(str, await version_of(there)))} ({there})")
    if await helm.program.missing():
        said = "there is none, and none to be downloaded: labs with Helm charts leave them out"
        return Finding("helm", "warn", said, INSTALL_HINT)
    return Finding("helm", "ok", f"{helm.program.version} is not on PATH; it will be downloaded")


async def _journal(journal: Journal) -> Finding:
    if not journal.path.exists():
        return Finding("journal", "ok", "not begun yet")
    under_way = journal.under_way()
    if not under_way:
        return Finding("journal", "ok", str(journal.path))
    said = ", ".join(f"{operation.kind} {operation.resource_id.rpartition('/')[2]}" for operation in under_way)
    return Finding("journal", "ok", f"under way: {said}; the next run goes on waiting for it")

"""The way into the clusters: contexts `primary` and `secondary` in the workshop's own kubeconfig.

The file is written last, when the workshop's mark is on the clusters: a context in it is a cluster that labs may
use. Each entry says which cluster it was fetched from, so a cluster made anew is noticed without asking Azure for
its secrets again (which would be a POST). ~/.kube/config is never touched.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Hint, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from workshop.azure.compare import Object
    from workshop.azure.connection import Azure
    from workshop.azure.steps import Place
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.run import Run


class Credentials(Step):
    undo_title = "Remove the clusters' contexts from the workshop's kubeconfig"

    def __init__(self, title: str, places: tuple[Place, ...]) -> None:
        self.title, self._places = title, places

    async def check(self, run: Run) -> Check:
        from workshop.azure import kubeconfig

        path = _azure(run).kubeconfig
        there, found = kubeconfig.read(path), []
        if there is None:
            found.append(Difference(_file(path), "", "a kubeconfig", "broken"))
        elif (mode := kubeconfig.mode(path)) != kubeconfig.MODE:
            found.append(Difference(_file(path), "mode", kubeconfig.MODE, mode))
        return Check((*found, *(await self._missing(run, there or {})).values()))

    async def _missing(self, run: Run, there: Object) -> dict[Place, Difference]:
        """The places that the kubeconfig does not lead to."""
        from workshop.azure import kubeconfig
        from workshop.azure.cluster import Cluster
        from workshop.azure.steps import find

        azure, found = _azure(run), {}
        for place in self._places:
            wanted = kubeconfig.origin_of(await find(run, Cluster(azure, place)))
            live = kubeconfig.origin_in(there, place)
            if live is None or live != wanted:
                title = f"to {Cluster(azure, place).title}"
                found[place] = Difference(_subject(place), "", title, ABSENT if live is None else live)
        return found

    async def apply(self, run: Run) -> None:
        """Fetches what is missing, and writes the whole file, which gives it its mode back."""
        import asyncio

        from workshop.azure import kubeconfig
        from workshop.azure.connection import together

        azure = _azure(run)
        missing = await self._missing(run, kubeconfig.read(azure.kubeconfig) or {})
        contents = await together(*(self._fetch(run, place) for place in missing))
        await asyncio.to_thread(self._write, azure, dict(zip(missing, contents, strict=True)))

    async def _fetch(self, run: Run, place: Place) -> Object:
        """The cluster's kubeconfig as a mapping, once its mark is on the cluster."""
        from workshop.azure import kubeconfig
        from workshop.azure.cluster import Cluster
        from workshop.azure.connection import as_error
        from workshop.kubernetes.cluster_guard import ClusterGuard

        azure = _azure(run)
        cluster = Cluster(azure, place)
        with as_error(azure):
            content = await azure.call(f"get the credentials of the {cluster.title}", cluster.kubeconfig)
        live = await cluster.look()
        entry = kubeconfig.entry(place, content, kubeconfig.origin_of(live))
        with kubeconfig.temporary(azure.kubeconfig.parent, entry) as path:
            await ClusterGuard(_kubectl(run, place, path), place, disposable=True).adopt()
        return entry

    def _write(self, azure: Azure, entries: dict[Place, Object]) -> None:
        from workshop.azure import kubeconfig

        content = kubeconfig.read(azure.kubeconfig) or {}
        for place, entry in entries.items():
            content = kubeconfig.put(content, place, entry)
        kubeconfig.write(azure.kubeconfig, content)

    async def verify(self, run: Run) -> Verdict | None:
        from workshop.azure.connection import together
        from workshop.runbook import events

        kubectls = [_kubectl(run, place, _azure(run).kubeconfig) for place in self._places]
        printed = await together(*(kubectl.call("get", "nodes") for kubectl in kubectls))
        for place, nodes in zip(self._places, printed, strict=True):
            run.emit(events.Told(run.lab, f"{place}\n{nodes.rstrip()}"))
        return None

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        path = _azure(run).kubeconfig
        typed = ((place, _kubectl(run, place, path).typed("kubectl get nodes")) for place in self._places)
        return tuple(Hint("type", command, f"the nodes of {place}") for place, command in typed)

    async def check_undo(self, run: Run) -> Check:
        from workshop.azure import kubeconfig

        path = _azure(run).kubeconfig
        there = kubeconfig.read(path)
        if there is None:
            return Check((Difference(_file(path), "", ABSENT, "broken"),))
        found = [place for place in self._places if kubeconfig.has(there, place)]
        return Check(tuple(Difference(_subject(place), "", ABSENT, "present") for place in found))

    async def undo(self, run: Run) -> None:
        from workshop.azure import kubeconfig

        path = _azure(run).kubeconfig
        content = kubeconfig.read(path) or {}
        for place in self._places:
            content = kubeconfig.without(content, place)
        kubeconfig.write(path, content)

    def explain(self, run: Run) -> Explanation:
        from workshop.azure.cluster import Cluster

        azure = _azure(run)
        commands: list[str] = []
        path = shlex.quote(str(azure.kubeconfig))
        for place in self._places:
            cluster = Cluster(azure, place)
            kubectl = f"kubectl --kubeconfig={path} --context={place}"
            commands += [
                f"az aks get-credentials {cluster.where} --name {cluster.name} --context {place} --file {path}",
                *(f"{kubectl} {line}" for line in _marking()),
                f"{kubectl} get nodes",
            ]
        return Explanation(commands=(*commands, f"chmod 600 {path}"))

    def explain_undo(self, run: Run) -> Explanation:
        path = shlex.quote(str(_azure(run).kubeconfig))
        return Explanation(
            commands=tuple(f"kubectl --kubeconfig={path} config delete-context {place}" for place in self._places)
        )


def _marking() -> tuple[str, ...]:
    """What ClusterGuard.adopt does, for kubectl."""
    from workshop.kubernetes.cluster_guard import MARK, NAMESPACE
    from workshop.kubernetes.manifests import PART_OF, WORKSHOP

    return (
        f"create namespace {NAMESPACE}",
        f"create configmap {MARK} --namespace {NAMESPACE} --from-literal=adopted-by=$USER "
        "--from-literal=adopted-at=$(date -u +%FT%TZ)",
        f"label namespace/{NAMESPACE} configmap/{MARK} --namespace {NAMESPACE} {PART_OF}={WORKSHOP}",
    )


def _file(path: Path) -> str:
    return f"kubeconfig {path}"


def _subject(place: str) -> str:
    return f"context {place}"


def _azure(run: Run) -> Azure:
    from workshop.azure.connection import Azure

    return run.use(Azure)


def _kubectl(run: Run, place: str, path: Any) -> Kubectl:
    from workshop.kubernetes.kubectl import Kubectl

    return replace(Kubectl.of(run), kubeconfig=path, context=place, start_hint="")

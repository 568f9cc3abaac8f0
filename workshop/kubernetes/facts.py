"""What is really in the cluster, in two calls that serve the checks of a whole runbook.

One `kubectl get` has Kubernetes' own kinds, another, at the same time, Istio's. Whether Istio's kinds exist is not
asked beforehand (its CRDs are megabytes on a real cluster): the second call says so itself when they do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.errors import KubectlError
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import WorkshopError

if TYPE_CHECKING:
    from workshop.runbook.run import Run

Object = dict[str, Any]

CORE = {
    "Namespace": "namespaces",
    "Pod": "pods",
    "Deployment": "deployments.apps",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
}
ISTIO = {
    "Gateway": "gateways.networking.istio.io",
    "VirtualService": "virtualservices.networking.istio.io",
    "DestinationRule": "destinationrules.networking.istio.io",
    "ServiceEntry": "serviceentries.networking.istio.io",
}


class Snapshot:
    """The objects found. `istio` says whether the cluster has Istio's kinds."""

    def __init__(self, objects: Iterable[Object], *, istio: bool) -> None:
        self.istio = istio
        self._objects = {_key(obj): obj for obj in objects}

    @property
    def cluster(self) -> str:
        """What identifies the cluster among all there are and ever were; empty when it is not there."""
        system = self.get("Namespace", "", "kube-system")
        return str(system["metadata"]["uid"]) if system else ""

    def find(self, wanted: Object) -> Object | None:
        """The live object of `wanted`'s kind, namespace and name. Raises WorkshopError for a kind that no facts are
        collected of: absent would be a guess."""
        kind = wanted["kind"]
        if kind not in CORE and kind not in ISTIO:
            raise WorkshopError(
                f"look for the {kind} {wanted['metadata']['name']}",
                "no facts are collected about this kind",
                cause=f"known are {', '.join((*CORE, *ISTIO))} (workshop/kubernetes/facts.py)",
            )
        return self._objects.get(_key(wanted))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """As `find`; `namespace` is empty for what is in none."""
        metadata = {"name": name, "namespace": namespace}
        api_version = "networking.istio.io/v1" if kind in ISTIO else ""
        return self.find({"apiVersion": api_version, "kind": kind, "metadata": metadata})

    def all(self, kind: str, namespace: str) -> list[Object]:
        return [
            obj
            for (_, found_kind, found_namespace, _), obj in self._objects.items()
            if (found_kind, found_namespace) == (kind, namespace)
        ]


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The source of a Snapshot; all steps observe the same one."""

    async def observe(self, run: Run) -> Snapshot:
        kubectl = Kubectl.of(run)
        if kubectl.absent:
            return Snapshot((), istio=False)
        try:
            async with asyncio.TaskGroup() as both:
                core = both.create_task(kubectl.get_items(",".join(CORE.values()), "-A"))
                istio = both.create_task(_items_if_served(kubectl, ISTIO.values()))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        own = istio.result()
        return Snapshot([*core.result(), *(own or [])], istio=own is not None)


async def cluster_of(run: Run) -> str:
    """See `Snapshot.cluster`."""
    return (await run.observe(ClusterFacts())).cluster


async def _items_if_served(kubectl: Kubectl, kinds: Iterable[str]) -> list[Object] | None:
    try:
        return await kubectl.get_items(",".join(kinds), "-A")
    except KubectlError as error:
        if error.reason == "NotServed":
            return None
        raise


def _key(obj: Object) -> tuple[str, str, str, str]:
    """By group, not version: the server may answer in another version than the manifest is written in."""
    group = obj["apiVersion"].rpartition("/")[0] if obj["kind"] in ISTIO else ""
    return (group, obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

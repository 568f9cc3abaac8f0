"""What is really in the cluster, in two calls that serve the checks of a whole runbook.

One `kubectl get` has the objects that labs make or look at, Istio's kinds among them. Whether those exist is not
asked beforehand (its CRDs are megabytes on a real cluster): the call says so itself when they do not, and is made
again without. The other call, at the same time, has the names of what istioctl has installed of all other kinds: as
a table, for which the server sends no more of an object than its metadata. Labs change none of those, but for the
one that installs: it is made once, not after each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workshop.kubernetes.kubectl import Kubectl, KubectlError, Reason
from workshop.kubernetes.manifests import ISTIO_NAMESPACE, LAB, Object
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Lasting
from workshop.runbook.run import Run

CORE = {
    "Namespace": "namespaces",
    "Pod": "pods",
    "Deployment": "deployments.apps",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations.admissionregistration.k8s.io",
}
ISTIO = {
    "Gateway": "gateways.networking.istio.io",
    "VirtualService": "virtualservices.networking.istio.io",
    "DestinationRule": "destinationrules.networking.istio.io",
    "ServiceEntry": "serviceentries.networking.istio.io",
}

CLUSTER_WIDE = {
    "ClusterRole": "clusterroles.rbac.authorization.k8s.io",
    "ClusterRoleBinding": "clusterrolebindings.rbac.authorization.k8s.io",
    "MutatingWebhookConfiguration": CORE["MutatingWebhookConfiguration"],
    "ValidatingWebhookConfiguration": CORE["ValidatingWebhookConfiguration"],
    "CustomResourceDefinition": "customresourcedefinitions.apiextensions.k8s.io",
}
_NAMES_ONLY = {
    "HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling",
    "PodDisruptionBudget": "poddisruptionbudgets.policy",
    "Role": "roles.rbac.authorization.k8s.io",
    "RoleBinding": "rolebindings.rbac.authorization.k8s.io",
    **{kind: plural for kind, plural in CLUSTER_WIDE.items() if kind not in CORE},
}
INSTALLED_LABEL = "operator.istio.io/component"
"""What istioctl puts on everything that it installs."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An object that istioctl has installed. `lab` is the workshop's label on it, empty when it has none."""

    kind: str
    name: str
    lab: str = ""

    @property
    def cluster_wide(self) -> bool:
        return self.kind in CLUSTER_WIDE

    @property
    def subject(self) -> str:
        return f"{self.kind} {'' if self.cluster_wide else ISTIO_NAMESPACE + '/'}{self.name}"


class Snapshot:
    """The objects found. `istio` says whether the cluster has Istio's kinds, `installed` what istioctl has put
    there."""

    def __init__(self, objects: Iterable[Object], *, istio: bool, installed: tuple[Installed, ...] = ()) -> None:
        self.istio, self.installed = istio, installed
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
                cause=f"known are {', '.join((*CORE, *ISTIO))} (workshop/kubernetes/cluster_facts.py)",
            )
        return self._objects.get(_key(wanted))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """As `find`; `namespace` is empty for what is in none."""
        metadata = {"name": name, "namespace": namespace}
        api_version = "networking.istio.io/v1" if kind in ISTIO else ""
        return self.find({"apiVersion": api_version, "kind": kind, "metadata": metadata})

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Those of one namespace, or of all."""
        return [
            obj
            for (_, found_kind, found_namespace, _), obj in self._objects.items()
            if found_kind == kind and namespace in (None, found_namespace)
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
                found = both.create_task(_objects(kubectl))
                named = both.create_task(run.observe(InstalledNames()))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        objects, istio = found.result()
        installed = (*_installed(objects), *named.result())
        return Snapshot(objects, istio=istio, installed=installed)


@dataclass(frozen=True, slots=True)
class InstalledNames(Lasting):
    """The source of what istioctl has installed of the kinds that no Snapshot has objects of. Whoever installs or
    uninstalls forgets it."""

    async def observe(self, run: Run) -> tuple[Installed, ...]:
        return await _named(Kubectl.of(run))


async def cluster_of(run: Run) -> str:
    """See `Snapshot.cluster`."""
    return (await run.observe(ClusterFacts())).cluster


async def _objects(kubectl: Kubectl) -> tuple[list[Object], bool]:
    """And whether Istio's kinds are there; when one is not, those of the others are not looked at."""
    try:
        return await kubectl.get_items(",".join((*CORE.values(), *ISTIO.values())), "-A"), True
    except KubectlError as error:
        if error.reason is not Reason.NOT_SERVED:
            raise
    return await kubectl.get_items(",".join(CORE.values()), "-A"), False


def _installed(objects: Iterable[Object]) -> Iterator[Installed]:
    for obj in objects:
        metadata = obj["metadata"]
        labels, home = metadata.get("labels", {}), metadata.get("namespace", ISTIO_NAMESPACE)
        if INSTALLED_LABEL in labels and home == ISTIO_NAMESPACE and obj["kind"] != "Pod":
            yield Installed(obj["kind"], metadata["name"], labels.get(LAB, ""))


async def _named(kubectl: Kubectl) -> tuple[Installed, ...]:
    printed = await kubectl.call(
        "get",
        ",".join(_NAMES_ONLY.values()),
        f"--namespace={ISTIO_NAMESPACE}",
        f"--selector={INSTALLED_LABEL}",
        "--no-headers",
        "--show-labels",
    )
    return tuple(_row(line) for line in printed.splitlines() if line.strip())


def _row(line: str) -> Installed:
    """Of a line of that table: "service/istiod  ClusterIP  ...  app=istiod,release=istio"."""
    columns = line.split()
    resource, _, name = columns[0].partition("/")
    labels = dict(pair.partition("=")[::2] for pair in columns[-1].split(","))
    return Installed(_KINDS[resource], name, labels.get(LAB, ""))


_KINDS = {
    ".".join(filter(None, (kind.lower(), plural.partition(".")[2]))): kind for kind, plural in _NAMES_ONLY.items()
}
"""By the name that kubectl puts before an object's: "clusterrole.rbac.authorization.k8s.io"."""


def _key(obj: Object) -> tuple[str, str, str, str]:
    """By group, not version: the server may answer in another version than the manifest is written in."""
    group = obj["apiVersion"].rpartition("/")[0] if obj["kind"] in ISTIO else ""
    return (group, obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

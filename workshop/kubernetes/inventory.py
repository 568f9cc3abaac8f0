"""What there is of the workshop in a cluster, by its labels, and what others have made in its namespaces.

Facts know the kinds and names that labs declare. Here it is asked the other way round, which a reset needs: is
there something else? So all kinds are looked at that can be deleted: by label in the whole cluster, which the API
server sorts out, and whole in each of the workshop's namespaces. Of an object only its metadata are asked for:
no Secret leaves the API server.

What controllers make is nobody's: it has an owner, or is what Kubernetes and istiod write into every namespace. In
istio-system, where an installation keeps what it needs, only Istio's own kinds count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workshop.kubernetes.attendee_access import ACCOUNT
from workshop.kubernetes.cluster_guard import NAMESPACE as MARK_NAMESPACE
from workshop.kubernetes.deletion import held_up
from workshop.kubernetes.drift import without
from workshop.kubernetes.kinds import Kind
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.manifests import ISTIO_NAMESPACE, LAB, PART_OF, WORKSHOP, Object
from workshop.kubernetes.other_clusters import OtherClusters, run_on
from workshop.runbook import events
from workshop.runbook.reset import Inventory, Item
from workshop.runbook.results import HeldUp
from workshop.runbook.run import Run, Source

_PASSING = frozenset(
    {
        "events",
        "events.events.k8s.io",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "leases.coordination.k8s.io",
        "controllerrevisions.apps",
    }
)
"""Kinds that only controllers write, as kubectl takes them: another group may have a kind of the same name."""

_WRITTEN = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
"""Into every namespace, by Kubernetes."""


_CONFIG = "istio.io/config"
_ACCOUNT = "kubernetes.io/service-account.name"
"""Whose token a Secret is, and no account's is without (https://kubernetes.io/docs/concepts/configuration/secret/)."""


def _escaped(label: str) -> str:
    """As JSONPath has it."""
    return label.replace(".", r"\.")


_FIELDS = (
    ".apiVersion",
    ".kind",
    ".metadata.namespace",
    ".metadata.name",
    f".metadata.labels.{_escaped(PART_OF)}",
    f".metadata.labels.{_escaped(LAB)}",
    ".metadata.ownerReferences[0].kind",
    f".metadata.labels.{_escaped(_CONFIG)}",
    f".metadata.annotations.{_escaped(_ACCOUNT)}",
)
_LINES = "{range .items[*]}" + r'{"\t"}'.join(f"{{{field}}}" for field in _FIELDS) + r'{"\n"}{end}'
"""Of what kubectl prints. A value may have blanks in it: names of roles have few rules."""


@dataclass(frozen=True, slots=True)
class Found:
    """A line of what kubectl prints."""

    api_version: str
    kind: str
    namespace: str
    name: str
    part_of: str
    lab: str
    owner: str
    config: str
    account: str

    @property
    def subject(self) -> str:
        return f"{self.kind} " + "/".join(filter(None, (self.namespace, self.name)))

    @property
    def ours(self) -> bool:
        return self.part_of == WORKSHOP

    @property
    def of_the_mark(self) -> bool:
        """What a cluster has for as long as it is adopted: no lab has made it, and no reset takes it away."""
        binding = self.kind == "ClusterRoleBinding" and self.name == ACCOUNT
        return binding or MARK_NAMESPACE in (self.namespace, self.name)

    @property
    def made_by_others(self) -> bool:
        """By a person, or a tool of his."""
        controlled = self.owner or self.config or (self.kind == "Secret" and self.account)
        return not (self.ours or controlled or (self.kind, self.name) in _WRITTEN)

    @property
    def object(self) -> Object:
        metadata = {"name": self.name} | ({"namespace": self.namespace} if self.namespace else {})
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


@dataclass(frozen=True, slots=True)
class ClusterItem(Item):
    found: Found | None = None


class ClusterInventory(Inventory):
    """Of the target's cluster, and of those beside it."""

    def __init__(self) -> None:
        self._told = set[str]()

    def source(self) -> Source[tuple[Item, ...]]:
        return _Items(self._told)

    async def remove(self, run: Run, items: tuple[Item, ...]) -> None:
        added: dict[str, list[str]] = {}
        for item in items:
            if item.path:
                added.setdefault(item.told, []).append(item.path)
        for told, paths in added.items():
            place, _, subject = told.rpartition(": ")
            if there := await self._there(run, place):
                await _take_away(there, subject, paths)
        for place in dict.fromkeys(item.place for item in items if not item.path):
            if there := await self._there(run, place):
                found = [item.found for item in items if isinstance(item, ClusterItem) and item.place == place]
                await there.delete([each.object for each in found if each], wait=False)

    async def _there(self, run: Run, place: str) -> Kubectl | None:
        """For a change in that cluster, once it may be changed."""
        there = run_on(run, place) if place else run
        if there and place:
            await run.cuttable(run.use(OtherClusters).take(place, run.emit, destroys=True))
        return Kubectl.of(there) if there else None

    async def held_up(self, run: Run, items: tuple[Item, ...]) -> HeldUp:
        for place in dict.fromkeys(item.place for item in items):
            if there := run_on(run, place) if place else run:
                left = [item.found for item in items if isinstance(item, ClusterItem) and item.place == place]
                if (held := await held_up(Kubectl.of(there), [each.object for each in left if each])).cause:
                    return held
        return HeldUp()

    looking = (
        "# what has the workshop's label, and whose it is",
        f"kubectl get all,configmaps,istio-io -A -l {PART_OF}={WORKSHOP} -L {LAB}",
    )


async def _take_away(kubectl: Kubectl, subject: str, paths: list[str]) -> None:
    """These parts of the object: all that is beside them stays as it is then."""
    kind, _, name = subject.partition(" ")
    namespace, _, name = name.rpartition("/")
    while live := await kubectl.find(kind, namespace, name):
        try:
            await kubectl.replace(without(live, paths))
            return
        except KubectlError as error:
            if error.reason is not Reason.CONFLICT:
                raise  # else a controller has just written its status


@dataclass(frozen=True, slots=True)
class _Items:
    """`told` is what could not be looked at, once it has been said."""

    told: set[str] = field(default_factory=set, compare=False)

    async def observe(self, run: Run) -> tuple[Item, ...]:
        places = ("", *run.use(OtherClusters).clusters)
        runs = [(place, run_on(run, place) if place else run) for place in places]
        silent = set[str]()
        found = await asyncio.gather(*(_of(place, there, silent) for place, there in runs if there))
        for group in sorted(silent - self.told):
            self.told.add(group)
            said = f"not looked at: what is there of {group}, whose API server does not answer"
            run.emit(events.Told(run.lab, said))
        return tuple(item for items in found for item in items)


async def _of(place: str, run: Run, silent: set[str]) -> list[Item]:
    kubectl = Kubectl.of(run)
    if kubectl.absent:
        return []
    kinds = await _kinds(kubectl, silent)
    ours = await _listed(kubectl, kinds, silent, selector=f"{PART_OF}={WORKSHOP}")
    ours = [each for each in ours if not each.of_the_mark]
    homes = {each.name: each.lab for each in ours if each.kind == "Namespace"}
    listed = await asyncio.gather(*(_listed(kubectl, _looked_at(kinds, home), silent, home) for home in homes))
    others = [each for one in listed for each in one if each.made_by_others and each.namespace in homes]
    return [*_items(place, ours, homes), *_items(place, others, homes)]


def _items(place: str, found: Iterable[Found], homes: Mapping[str, str]) -> Iterator[Item]:
    for each in found:
        lab = each.lab if each.ours else None
        yield ClusterItem(each.subject, lab, homes.get(each.namespace, ""), place, found=each)


async def _kinds(kubectl: Kubectl, silent: set[str]) -> list[Kind]:
    """All that can be listed and deleted. What is of an extension that does not answer is `silent`, and hinders
    nothing else."""
    kinds: list[Kind] = []
    printed, missing = await kubectl.api_resources("--verbs=list,delete", "--no-headers")
    silent.update(missing)
    for line in printed.splitlines():
        plural, *_, api_version, namespaced, name = line.split()  # between them, short names
        group, _, version = api_version.rpartition("/")
        kind = Kind(name, plural, group, version, namespaced=namespaced == "true")
        if kind.resource not in _PASSING:
            kinds.append(kind)
    return kinds


def _looked_at(kinds: Iterable[Kind], namespace: str) -> list[Kind]:
    there = [kind for kind in kinds if kind.namespaced]
    return [kind for kind in there if kind.group.endswith(".istio.io")] if namespace == ISTIO_NAMESPACE else there


async def _listed(
    kubectl: Kubectl, kinds: Sequence[Kind], silent: set[str], namespace: str = "", selector: str = ""
) -> list[Found]:
    if not kinds:
        return []
    found = await kubectl.metadata(kinds, namespace, selector=selector)
    if found is not None:
        return [_found(each) for each in found]
    where = ("-n", namespace) if namespace else ("-A",)
    return await _printed(kubectl, kinds, silent, *where, *([f"--selector={selector}"] if selector else ()))


def _found(obj: Object) -> Found:
    """Of metadata alone. A Secret's type is not among them, but a token of an account names the account there."""
    metadata = obj["metadata"]
    labels, owners = metadata.get("labels") or {}, metadata.get("ownerReferences") or [{}]
    return Found(
        api_version=obj["apiVersion"],
        kind=obj["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        part_of=labels.get(PART_OF, ""),
        lab=labels.get(LAB, ""),
        owner=owners[0].get("kind", ""),
        config=labels.get(_CONFIG, ""),
        account=(metadata.get("annotations") or {}).get(_ACCOUNT, "") if obj["kind"] == "Secret" else "",
    )


async def _printed(kubectl: Kubectl, kinds: Sequence[Kind], silent: set[str], *arguments: str) -> list[Found]:
    """The same of a kubectl process."""
    try:
        printed = await kubectl.call(
            "get",
            ",".join(kind.resource for kind in kinds),
            *arguments,
            "--ignore-not-found",
            "-o",
            f"jsonpath={_LINES}",
        )
    except KubectlError as error:
        if error.reason is not Reason.SERVICE_UNAVAILABLE:
            raise
        # kubectl does not say which does not answer. A group of Kubernetes' own is no extension's.
        groups = [*dict.fromkeys(kind.group for kind in kinds)]
        if len(groups) > 1:
            halves = (groups[::2], groups[1::2])
            parts = ([kind for kind in kinds if kind.group in half] for half in halves)
            found = await asyncio.gather(*(_printed(kubectl, part, silent, *arguments) for part in parts))
            return [each for one in found for each in one]
        if "." not in groups[0] or groups[0].endswith(".k8s.io"):
            raise
        silent.add(groups[0])
        return []
    return [Found(*line.split("\t")) for line in printed.split("\n") if line]

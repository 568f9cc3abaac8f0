"""What is really in the cluster, as far as the workshop has to do with it.

A check looks at places: all of a kind in a namespace where its objects are (what has lost its label there, or was
made by hand, is seen), and a namespace by its name. Nothing else of a cluster is looked at, whatever is in it. What
one check has looked at serves the others, until something is applied: then it is looked at anew, place by place, by
whom it concerns. That is a millisecond a place; facts that outlive an apply could call a step unchanged that
somebody has just edited.

**Learn from what was written.** The API server answers a write with the object as it is then: with what it has
filled in, and what webhooks have changed. It takes the place of what was seen before, so that whoever checks while
the one that wrote it still waits for its effect does not see what was there before.

A snapshot knows where it has looked, and refuses to tell of any other place: absent would be a guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workshop.kubernetes import kinds
from workshop.kubernetes.kinds import KINDS, OF_ISTIO, Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import ISTIO_NAMESPACE, LAB, Object
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Lasting
from workshop.runbook.run import Run

_KNOWN = frozenset(kind.name for kind in (*kinds.CORE, *kinds.ISTIO, kinds.TELEMETRY))
"""Of which there are facts."""
INSTALLED_LABEL = "operator.istio.io/component"
"""What istioctl puts on everything that it installs."""
CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "CustomResourceDefinition",
)
"""Kinds of it that are in no namespace."""
_WEBHOOK = "WebhookConfiguration"
_OWN_WEBHOOKS = "istio.io/rev"
"""A label of every webhook configuration of an Istio, whoever has installed it."""
_INSTALLATION = (
    Place("Namespace", "", ISTIO_NAMESPACE),
    *(Place(kind, ISTIO_NAMESPACE) for kind in ("Deployment", "Service", "ServiceAccount", "ConfigMap")),
    *(Place(kind.name, ISTIO_NAMESPACE) for kind in kinds.ISTIO),
    *(Place(f"{what}{_WEBHOOK}", selector=_OWN_WEBHOOKS) for what in ("Mutating", "Validating")),
)
_NAMES = tuple(
    Place(kind, "" if kind in CLUSTER_WIDE else ISTIO_NAMESPACE, selector=INSTALLED_LABEL, named_only=True)
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Role", "RoleBinding", *CLUSTER_WIDE)
    if not kind.endswith(_WEBHOOK)
)
INSTALLED_KINDS = tuple(dict.fromkeys(place.kind for place in (*_INSTALLATION, *_NAMES)))
"""Of what is looked at of an installation."""

_RULES = ("VirtualService", "DestinationRule")
_BESIDE = {"Deployment": ("Pod",), "Service": _RULES, **{rule: (rule,) for rule in _RULES}}
"""Kinds that a check of one looks at as well, in the same namespace: whether it is ready, and who else has made a
rule about the same host."""


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


_Key = tuple[str, str, str, str]


class Snapshot:
    """The objects found at `places` (None: everywhere). `istio` says whether the cluster has Istio's kinds,
    `installed` what istioctl has put there. `learned` is told of what has been written."""

    def __init__(
        self,
        objects: Iterable[Object],
        *,
        istio: bool,
        installed: tuple[Installed, ...] = (),
        places: Iterable[Place] | None = None,
        learned: Callable[[Sequence[Object]], None] = lambda objects: None,
    ) -> None:
        self.istio, self.installed = istio, installed
        self._places = None if places is None else frozenset((it.kind, it.namespace, it.name) for it in places)
        self._objects = {_key(obj): obj for obj in objects}
        self._learned = learned

    def find(self, wanted: Object) -> Object | None:
        """The live object of `wanted`'s kind, namespace and name. Raises WorkshopError for a kind that no facts are
        collected of, and LookupError for a place that was not looked at: absent would be a guess."""
        kind, metadata = wanted["kind"], wanted["metadata"]
        if kind not in _KNOWN:
            raise _without_facts(wanted)
        self._refuse_unseen(kind, metadata.get("namespace", ""), metadata["name"])
        return self._objects.get(_key(wanted))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """As `find`; `namespace` is empty for what is in none."""
        metadata = {"name": name, "namespace": namespace}
        api_version = f"{KINDS[kind].group}/v1" if kind in OF_ISTIO else ""
        return self.find({"apiVersion": api_version, "kind": kind, "metadata": metadata})

    def all(self, kind: str, namespace: str) -> list[Object]:
        """Those of one namespace, of which there may be none."""
        self._refuse_unseen(kind, namespace)
        return [
            obj
            for (_, found_kind, found_namespace, _), obj in self._objects.items()
            if found_kind == kind and namespace == found_namespace
        ]

    def learn(self, written: Sequence[Object]) -> None:
        """How objects are that have just been written."""
        self._objects.update({_key(obj): obj for obj in written})
        self._learned(written)

    def _refuse_unseen(self, kind: str, namespace: str, name: str = "") -> None:
        if self._places is not None and not {(kind, namespace, ""), (kind, namespace, name)} & self._places:
            raise LookupError(f"nobody has looked for {kind} {namespace}/{name}")


def places_of(objects: Iterable[Object]) -> frozenset[Place]:
    """Where a check of objects looks."""
    found: set[Place] = set()
    for obj in objects:
        kind, namespace = obj["kind"], obj["metadata"].get("namespace", "")
        if kind not in _KNOWN:
            raise _without_facts(obj)
        found |= {Place(one, namespace) if namespace else _named(obj) for one in (kind, *_BESIDE.get(kind, ()))}
    return frozenset(found)


def _named(obj: Object) -> Place:
    return Place(obj["kind"], "", obj["metadata"]["name"])


def _without_facts(obj: Object) -> WorkshopError:
    return WorkshopError(
        f"look for the {obj['kind']} {obj['metadata']['name']}",
        "no facts are collected about this kind",
        cause=f"known are {', '.join(sorted(_KNOWN))} (workshop/kubernetes/kinds.py)",
    )


async def look(run: Run, places: Iterable[Place]) -> Snapshot:
    """What is there. Raises KubectlError."""
    wanted = frozenset(places)
    if run.use(Kubectl).absent:
        return Snapshot((), istio=False)
    looked: _Looked = await run.observe(_LookedAt())
    found = await looked.at(wanted, run)
    objects = [obj for items in found.values() for obj in items or ()]
    istio = all(items is not None for place, items in found.items() if place.kind in OF_ISTIO)
    return Snapshot(objects, istio=istio, places=wanted, learned=looked.learn)


async def look_for(run: Run, objects: Iterable[Object]) -> Snapshot:
    """What there is of these objects, and beside them."""
    return await look(run, places_of(objects))


async def look_at_installation(run: Run) -> Snapshot:
    """Istio, whoever has installed it."""
    if run.use(Kubectl).absent:
        return Snapshot((), istio=False)
    try:
        async with asyncio.TaskGroup() as both:
            found, named = (
                both.create_task(look(run, _INSTALLATION)),
                both.create_task(run.observe(InstalledNames())),
            )
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    snapshot = found.result()
    snapshot.installed = (*_installed(snapshot), *named.result())
    return snapshot


Looks = Mapping[Place, list[Object] | None]


@dataclass
class _Looked:
    """What has been looked at since something was applied, and by which observation."""

    by: dict[Place, _Look] = field(default_factory=dict)
    seen: dict[Place, list[Object] | None] = field(default_factory=dict)
    looks: int = 0

    async def at(self, places: frozenset[Place], run: Run) -> Looks:
        if new := frozenset(places - self.by.keys()):
            self.looks += 1
            self.by.update(dict.fromkeys(new, _Look(new, self.looks)))
        found: dict[Place, list[Object] | None] = {}
        looks = {place: self.by[place] for place in places}
        for one in dict.fromkeys(looks.values()):
            # One that somebody else has begun is waited for; where it has been forgotten since, it is made anew.
            there = await run.observe(one)
            for place in [it for it, by in looks.items() if by is one]:
                found[place] = there[place]
                if self.by.get(place) is one:
                    self.seen[place] = there[place]
        return found

    def learn(self, written: Sequence[Object]) -> None:
        for obj in written:
            metadata = obj["metadata"]
            for place in [it for it in self.by if _is_at(metadata, obj["kind"], it)]:
                if (items := self.seen.get(place)) is None:
                    # The kind was not served, or it is being looked at just now, perhaps from before the write.
                    del self.by[place]
                    self.seen.pop(place, None)
                else:
                    items[:] = [it for it in items if it["metadata"]["name"] != metadata["name"]] + [obj]


def _is_at(metadata: Object, kind: str, place: Place) -> bool:
    home, name = metadata.get("namespace", ""), metadata["name"]
    return place.kind == kind and place.namespace == home and place.name in ("", name)


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """The source of where nobody has looked yet."""

    async def observe(self, run: Run) -> _Looked:
        return _Looked()


@dataclass(frozen=True, slots=True)
class _Look:
    """The source of what is at some places, asked all at once, the `number`th time."""

    places: frozenset[Place]
    number: int

    async def observe(self, run: Run) -> Looks:
        return await Kubectl.of(run).look(self.places)


@dataclass(frozen=True, slots=True)
class Selected:
    """The source of the names, in all namespaces, of those of a kind that a label selector takes."""

    kind: str
    selector: str

    async def observe(self, run: Run) -> list[Object]:
        place = Place(self.kind, selector=self.selector, named_only=True)
        kubectl = Kubectl.of(run)
        return [] if kubectl.absent else (await kubectl.look([place]))[place] or []


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The source of all objects of a kind in the whole cluster, those that `fields` (a field selector) takes; their
    metadata alone where they are `named_only`. None of a kind that the cluster does not have."""

    kind: str
    fields: str = ""
    named_only: bool = False

    async def observe(self, run: Run) -> list[Object]:
        place = Place(self.kind, fields=self.fields, named_only=self.named_only)
        kubectl = Kubectl.of(run)
        return [] if kubectl.absent else (await kubectl.look([place]))[place] or []


NODES = Everywhere("Node")


@dataclass(frozen=True, slots=True)
class InstalledNames(Lasting):
    """The source of what istioctl has installed of the kinds that no Snapshot has objects of. Whoever installs or
    uninstalls forgets it."""

    async def observe(self, run: Run) -> tuple[Installed, ...]:
        found = await Kubectl.of(run).look(_NAMES)
        return tuple(_part(obj) for place in _NAMES for obj in found[place] or ())


@dataclass(frozen=True, slots=True)
class Identity(Lasting):
    """The source of what identifies the cluster among all there are and ever were; empty when it is not there."""

    async def observe(self, run: Run) -> str:
        kubectl = Kubectl.of(run)
        system = None if kubectl.absent else await kubectl.find("Namespace", "", "kube-system")
        return str(system["metadata"]["uid"]) if system else ""


async def cluster_of(run: Run) -> str:
    """See `Identity`."""
    return await run.observe(Identity())


def _installed(snapshot: Snapshot) -> Iterator[Installed]:
    for place in _INSTALLATION:
        if place.kind not in ("Namespace", *OF_ISTIO):
            for obj in snapshot.all(place.kind, place.namespace):
                if INSTALLED_LABEL in obj["metadata"].get("labels", {}):
                    yield _part(obj)


def _part(obj: Object) -> Installed:
    metadata = obj["metadata"]
    return Installed(obj["kind"], metadata["name"], metadata.get("labels", {}).get(LAB, ""))


def _key(obj: Object) -> _Key:
    """By group, not version: the server may answer in another version than the manifest is written in."""
    kind = obj["kind"]
    group = obj["apiVersion"].rpartition("/")[0] if kind in OF_ISTIO else ""
    return (group, kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

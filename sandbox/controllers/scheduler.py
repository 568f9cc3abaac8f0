"""The scheduler: gives every pod a node, or says why there is none; and pods whose node is gone.

One rule for each thing a pod can ask of its node says why that will not do, in the words of Kubernetes' scheduler,
or None. What is not among them is refused when it is written (unsupported_fields.py); soft wishes (preferred
affinity, ScheduleAnyway) are kept, and the scheduler's own is to spread: of the nodes that will do it takes the one
with the fewest pods of the same owner, then with the fewest pods. A pod without a place is looked at again when a
node changes or a pod leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from sandbox.controllers import readiness
from sandbox.controllers.controller import Controller, NamespacedName, name_of
from sandbox.controllers.events import record
from sandbox.core import quantities
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.objects import manager_uid, terminating

_NAME = "default-scheduler"
_MANAGER = "kube-scheduler"
_HOST = "kubernetes.io/hostname"


Requests = dict[str, Fraction]


@dataclass(slots=True)
class Load:
    """What is on a node: pods, those of each owner, and what they ask for."""

    pods: int = 0
    of_owner: Counter[str] = field(default_factory=Counter)
    requests: Requests = field(default_factory=dict)

    def change(self, placed: Placed, by: int) -> None:
        self.pods += by
        self.of_owner[placed.owner] += by
        if not self.of_owner[placed.owner]:
            del self.of_owner[placed.owner]
        for resource, amount in placed.requests.items():
            self.requests[resource] = self.requests.get(resource, Fraction()) + by * amount


@dataclass(frozen=True, slots=True)
class Placed:
    """What a pod takes of its node."""

    node: str
    owner: str
    requests: Requests


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node with what is on it."""

    node: Object
    load: Load

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return {_HOST: self.name, **(self.node["metadata"].get("labels") or {})}


class Occupancy:
    """An observer of pods: what is on which node, and who waits for one."""

    def __init__(self) -> None:
        self.waiting: set[NamespacedName] = set()
        self._placed: dict[NamespacedName, Placed] = {}
        self._loads: dict[str, Load] = {}

    def __call__(self, old: Object | None, new: Object | None) -> None:
        if new is not None and old is not None and _same_place(old, new):
            return
        for pod in (old, new):
            if pod is not None:
                self._forget(name_of(pod))
        if new is None:
            return
        if _is_waiting(new):
            self.waiting.add(name_of(new))
        if (node := new["spec"].get("nodeName")) and not readiness.has_ended(new):
            placed = self._placed[name_of(new)] = Placed(node, manager_uid(new), _requests(new))
            self._loads.setdefault(node, Load()).change(placed, 1)

    def _forget(self, name: NamespacedName) -> None:
        self.waiting.discard(name)
        if (placed := self._placed.pop(name, None)) is not None:
            load = self._loads[placed.node]
            load.change(placed, -1)
            if not load.pods:
                del self._loads[placed.node]

    def of(self, node: str) -> Load:
        return self._loads.get(node) or Load()


def _same_place(old: Object, new: Object) -> bool:
    return (
        old["spec"] == new["spec"]
        and readiness.has_ended(old) == readiness.has_ended(new)
        and terminating(old) == terminating(new)
        and manager_uid(old) == manager_uid(new)
    )


class Scheduler(Controller[NamespacedName]):
    watches = ("nodes", "pods")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._occupancy = Occupancy()
        cluster.observe("pods", self._occupancy)

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == "pods" and event.type != "DELETED":
            return (name_of(event.object),) if _is_waiting(event.object) else ()
        return sorted(self._occupancy.waiting)

    def reconcile(self, key: NamespacedName) -> float | None:
        pod = self.cluster.find("pods", *key)
        if pod is None or not _is_waiting(pod):
            return None
        reasons: Counter[str] = Counter()
        possible = []
        for node in self.cluster.list("nodes"):
            candidate = Candidate(node, self._occupancy.of(node["metadata"]["name"]))
            if (reason := _obstacle(pod, candidate)) is None:
                possible.append(candidate)
            else:
                reasons[reason] += 1
        if possible:
            self._bind(pod, min(possible, key=lambda candidate: _crowding(pod, candidate)))
        else:
            self._explain(pod, reasons)
        return None

    def _bind(self, pod: Object, candidate: Candidate) -> None:
        def change(changed: Object) -> None:
            changed["spec"]["nodeName"] = candidate.name
            status = changed.setdefault("status", {})
            told = [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"]
            scheduled = readiness.with_condition([], "PodScheduled", "True", "", "")[0]
            status["conditions"] = [*told, {key: value for key, value in scheduled.items() if value}]

        namespace, name = name_of(pod)
        if self.cluster.edit("pods", namespace, name, change, manager=_MANAGER, subresource="binding") is not None:
            said = f"Successfully assigned {namespace}/{name} to {candidate.name}"
            record(self.cluster, pod, "Scheduled", said, source=_NAME)

    def _explain(self, pod: Object, reasons: Counter[str]) -> None:
        nodes = sum(reasons.values())
        told = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        message = f"0/{nodes} nodes are available: {told}." if nodes else "no nodes available to schedule pods"
        before = readiness.condition(pod, "PodScheduled")
        if before is not None and before.get("message") == message:
            return

        def change(changed: Object) -> None:
            status = changed.setdefault("status", {})
            status["conditions"] = readiness.with_condition(
                status.get("conditions"), "PodScheduled", "False", "Unschedulable", message
            )

        self.cluster.edit("pods", *name_of(pod), change, manager=_MANAGER, subresource="status")
        record(self.cluster, pod, "FailedScheduling", message, "Warning", _NAME)


class LostPods(Controller[NamespacedName]):
    """Pods whose node was deleted: nobody runs them any more, so they go and their owners make others."""

    watches = ("nodes", "pods")

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == "pods":
            return () if event.type == "DELETED" else (name_of(event.object),)
        if event.type != "DELETED":
            return ()
        node = event.object["metadata"]["name"]
        return [name_of(pod) for pod in self.cluster.list("pods") if pod["spec"].get("nodeName") == node]

    def reconcile(self, key: NamespacedName) -> float | None:
        pod = self.cluster.find("pods", *key)
        node = pod["spec"].get("nodeName") if pod else None
        if pod and node and self.cluster.find("nodes", None, node) is None:
            self.cluster.delete("pods", *key, grace_seconds=0, uid=pod["metadata"]["uid"])
        return None


def _is_waiting(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and spec.get("schedulerName", _NAME) == _NAME
        and not terminating(pod)
    )


def _crowding(pod: Object, candidate: Candidate) -> tuple[int, int, str]:
    owner = manager_uid(pod)
    return candidate.load.of_owner[owner] if owner else 0, candidate.load.pods, candidate.name


def _obstacle(pod: Object, candidate: Candidate) -> str | None:
    """The first reason why `pod` cannot run there, if any."""
    return next((reason for rule in _RULES if (reason := rule(pod, candidate)) is not None), None)


def _ready(pod: Object, candidate: Candidate) -> str | None:
    return None if readiness.holds(candidate.node, "Ready") else "node(s) were not ready"


def _schedulable(pod: Object, candidate: Candidate) -> str | None:
    return "node(s) were unschedulable" if (candidate.node.get("spec") or {}).get("unschedulable") else None


def _node_selector(pod: Object, candidate: Candidate) -> str | None:
    fits = (pod["spec"].get("nodeSelector") or {}).items() <= candidate.labels.items()
    return None if fits else "node(s) didn't match Pod's node affinity/selector"


def _room(pod: Object, candidate: Candidate) -> str | None:
    allocatable = (candidate.node.get("status") or {}).get("allocatable") or {}
    if "pods" in allocatable and candidate.load.pods >= quantities.parse(allocatable["pods"]):
        return "Too many pods"
    asked = _requests(pod)
    if not asked:
        return None
    for resource, amount in asked.items():
        if (
            amount
            and quantities.parse(allocatable.get(resource, 0)) < candidate.load.requests.get(resource, 0) + amount
        ):
            return f"Insufficient {resource}"
    return None


def _requests(pod: Object) -> Requests:
    """What a pod asks for: the sum of its containers, or more if an init container needs more."""
    spec = pod["spec"]
    total: Requests = {}
    for container in spec["containers"]:
        for resource, amount in _requests_of(container).items():
            total[resource] = total.get(resource, Fraction()) + amount
    for container in spec.get("initContainers") or ():
        stays = container.get("restartPolicy") == "Always"
        for resource, amount in _requests_of(container).items():
            before = total.get(resource, Fraction())
            total[resource] = before + amount if stays else max(before, amount)
    return total


def _requests_of(container: Object) -> Requests:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {resource: quantities.parse(amount) for resource, amount in asked.items()}


_RULES: tuple[Callable[[Object, Candidate], str | None], ...] = (
    _ready,
    _schedulable,
    _node_selector,
    _room,
)

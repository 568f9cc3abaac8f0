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
from dataclasses import dataclass
from fractions import Fraction

from sandbox.controllers import ownership, readiness
from sandbox.controllers.controller import Controller, NamespacedName, name_of
from sandbox.controllers.events import record
from sandbox.core import quantities
from sandbox.core.cluster import Object, WatchEvent
from sandbox.core.objects import terminating

_NAME = "default-scheduler"
_MANAGER = "kube-scheduler"
_HOST = "kubernetes.io/hostname"


@dataclass(slots=True)
class Candidate:
    """A node with the pods that are on it."""

    node: Object
    pods: list[Object]

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return {_HOST: self.name, **(self.node["metadata"].get("labels") or {})}


class Scheduler(Controller[NamespacedName]):
    watches = ("nodes", "pods")

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == "pods" and event.type != "DELETED":
            return (name_of(event.object),) if _is_waiting(event.object) else ()
        return [name_of(pod) for pod in self.cluster.list("pods") if _is_waiting(pod)]

    def reconcile(self, key: NamespacedName) -> float | None:
        pod = self.cluster.find("pods", *key)
        if pod is None or not _is_waiting(pod):
            return None
        reasons: Counter[str] = Counter()
        possible = []
        for candidate in self._candidates():
            if (reason := _obstacle(pod, candidate)) is None:
                possible.append(candidate)
            else:
                reasons[reason] += 1
        if possible:
            self._bind(pod, min(possible, key=lambda candidate: _crowding(pod, candidate)))
        else:
            self._explain(pod, reasons)
        return None

    def _candidates(self) -> list[Candidate]:
        by_node: dict[str, list[Object]] = {}
        for pod in self.cluster.list("pods"):
            node = pod["spec"].get("nodeName")
            if node and not readiness.has_ended(pod):
                by_node.setdefault(node, []).append(pod)
        return [Candidate(node, by_node.get(node["metadata"]["name"], [])) for node in self.cluster.list("nodes")]

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
    manager = ownership.controller_of(pod)
    same = sum(
        manager is not None and (ownership.controller_of(other) or {}).get("uid") == manager["uid"]
        for other in candidate.pods
    )
    return same, len(candidate.pods), candidate.name


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
    if "pods" in allocatable and len(candidate.pods) >= quantities.parse(allocatable["pods"]):
        return "Too many pods"
    asked = _requests(pod)
    if not asked:
        return None
    taken: Counter[str] = Counter()
    for other in candidate.pods:
        taken.update(_requests(other))
    for resource, amount in asked.items():
        if amount and quantities.parse(allocatable.get(resource, 0)) < taken[resource] + amount:
            return f"Insufficient {resource}"
    return None


def _requests(pod: Object) -> dict[str, Fraction]:
    """What a pod asks for: the sum of its containers, or more if an init container needs more."""
    spec = pod["spec"]
    total: dict[str, Fraction] = {}
    for container in spec["containers"]:
        for resource, amount in _requests_of(container).items():
            total[resource] = total.get(resource, Fraction()) + amount
    for container in spec.get("initContainers") or ():
        stays = container.get("restartPolicy") == "Always"
        for resource, amount in _requests_of(container).items():
            before = total.get(resource, Fraction())
            total[resource] = before + amount if stays else max(before, amount)
    return total


def _requests_of(container: Object) -> dict[str, Fraction]:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {resource: quantities.parse(amount) for resource, amount in asked.items()}


_RULES: tuple[Callable[[Object, Candidate], str | None], ...] = (
    _ready,
    _schedulable,
    _node_selector,
    _room,
)

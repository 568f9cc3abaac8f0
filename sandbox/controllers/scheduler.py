"""The scheduler: gives every pod a node, or says why there is none.

Of the nodes that will do it takes the one with the fewest pods of the same owner, then with the fewest pods,
so replicas spread over nodes one after the other. A pod without a place is looked at again when a node
changes or a pod leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sandbox.controllers import conditions, owners, pods
from sandbox.controllers.controller import Controller, Name, name_of
from sandbox.controllers.events import record
from sandbox.controllers.scheduling_rules import Place, obstacle
from sandbox.core.cluster import Object, WatchEvent
from sandbox.core.objects import terminating

_NAME = "default-scheduler"
_MANAGER = "kube-scheduler"


class Scheduler(Controller[Name]):
    watches = ("nodes", "pods")

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        if event.resource == "pods" and event.type != "DELETED":
            return (name_of(event.object),) if _is_waiting(event.object) else ()
        return [name_of(pod) for pod in self.cluster.list("pods") if _is_waiting(pod)]

    def reconcile(self, key: Name) -> float | None:
        pod = self.cluster.find("pods", *key)
        if pod is None or not _is_waiting(pod):
            return None
        places = self._places()
        reasons: Counter[str] = Counter()
        possible = []
        for place in places:
            reason = obstacle(pod, place, places)
            if reason is None:
                possible.append(place)
            else:
                reasons[reason] += 1
        if possible:
            self._bind(pod, min(possible, key=lambda place: _crowding(pod, place)))
        else:
            self._explain(pod, len(places), reasons)
        return None

    def _places(self) -> list[Place]:
        by_node: dict[str, list[Object]] = {}
        for pod in self.cluster.list("pods"):
            node = pod["spec"].get("nodeName")
            if node and pods.phase(pod) not in ("Succeeded", "Failed"):
                by_node.setdefault(node, []).append(pod)
        return [Place(node, by_node.get(node["metadata"]["name"], [])) for node in self.cluster.list("nodes")]

    def _bind(self, pod: Object, place: Place) -> None:
        def change(changed: Object) -> None:
            changed["spec"]["nodeName"] = place.name
            status = changed.setdefault("status", {})
            told = [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"]
            scheduled = conditions.merge([], "PodScheduled", "True", "", "")[0]
            status["conditions"] = [*told, {key: value for key, value in scheduled.items() if value}]

        namespace, name = name_of(pod)
        if self.cluster.edit("pods", namespace, name, change, manager=_MANAGER, subresource="binding") is not None:
            said = f"Successfully assigned {namespace}/{name} to {place.name}"
            record(self.cluster, pod, "Scheduled", said, source=_NAME)

    def _explain(self, pod: Object, nodes: int, reasons: Counter[str]) -> None:
        told = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        message = f"0/{nodes} nodes are available: {told}." if nodes else "no nodes available to schedule pods"
        before = conditions.find(pod, "PodScheduled")
        if before is not None and before.get("message") == message:
            return

        def change(changed: Object) -> None:
            status = changed.setdefault("status", {})
            status["conditions"] = conditions.merge(
                status.get("conditions"), "PodScheduled", "False", "Unschedulable", message
            )

        self.cluster.edit("pods", *name_of(pod), change, manager=_MANAGER, subresource="status")
        record(self.cluster, pod, "FailedScheduling", message, "Warning", _NAME)


def _is_waiting(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and spec.get("schedulerName", _NAME) == _NAME
        and not terminating(pod)
    )


def _crowding(pod: Object, place: Place) -> tuple[int, int, str]:
    manager = owners.controller_of(pod)
    siblings = [other for other in place.pods if manager and owners.controller_of(other)]
    same = sum((owners.controller_of(other) or {}).get("uid") == (manager or {}).get("uid") for other in siblings)
    return same, len(place.pods), place.name

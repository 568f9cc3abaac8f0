"""ReplicaSets: as many pods of a template as are asked for.

Too few: pods are made, a handful at a time so that the loop's other work goes on. Too many: the least useful
go first, and a ready one only when all that is left is ready. Refused pods (a service account that is not
there, a webhook) are told in an event and a condition, and tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sandbox.controllers import ownership, readiness
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, write_status
from sandbox.controllers.events import record
from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import clone, controller_of, terminating
from sandbox.core.selector_index import SelectorIndex

RESOURCE = "replicasets.apps"
_SOURCE = "replicaset-controller"
_AT_ONCE = 16
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSets(Controller[NamespacedName]):
    watches = (RESOURCE, "pods")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._managers = ownership.Managers()
        self._selectors = SelectorIndex(lambda replica_set: replica_set["spec"]["selector"])
        cluster.observe(RESOURCE, self._selectors)

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == RESOURCE:
            return (name_of(event.object),)
        metadata = event.object["metadata"]
        # Also the one that it was taken from, which has to replace it.
        concerned = [(metadata["namespace"], name) for name in self._managers.of(event, "ReplicaSet")]
        if controller_of(event.object) is None:
            # Nobody's pod: one that a selector finds may be adopted.
            concerned += self._selectors.find(metadata["namespace"], metadata.get("labels") or {})
        return concerned

    def reconcile(self, key: NamespacedName) -> float | None:
        replica_set = self.cluster.find(RESOURCE, *key)
        if replica_set is None:
            return None
        mine = ownership.claim(
            self.cluster, replica_set, "pods", replica_set["spec"]["selector"], readiness.is_active
        )
        active = [pod for pod in mine if readiness.is_active(pod)]
        failure: ApiError | None = None
        missing = 0
        if not terminating(replica_set):
            missing = replica_set["spec"].get("replicas", 1) - len(active)
            if missing > 0:
                failure = make_pods(
                    self.cluster, replica_set, pod_from_template(replica_set), min(missing, _AT_ONCE), _SOURCE
                )
            elif missing < 0:
                self._remove(replica_set, active, -missing)
        again = self._report(replica_set, failure)
        if failure is not None:
            raise failure
        return 0.0 if missing > _AT_ONCE else again

    def _remove(self, replica_set: Object, active: list[Object], count: int) -> None:
        for pod in by_usefulness(active)[:count]:
            namespace, name = name_of(pod)
            self.cluster.delete("pods", namespace, name, uid=pod["metadata"]["uid"])
            record(self.cluster, replica_set, "SuccessfulDelete", f"Deleted pod: {name}", source=_SOURCE)

    def _report(self, replica_set: Object, failure: ApiError | None) -> float | None:
        """Write the status; returns when a ready pod will have been so for long enough."""
        spec = replica_set["spec"]
        metadata = replica_set["metadata"]
        managed = self.cluster.list("pods", metadata["namespace"], manager=metadata["uid"])
        active = [pod for pod in managed if readiness.is_active(pod)]
        waits = [readiness.seconds_to_available(pod, spec.get("minReadySeconds", 0)) for pod in active]
        wanted_labels = ((spec["template"].get("metadata") or {}).get("labels") or {}).items()
        labelled = sum(wanted_labels <= (pod["metadata"].get("labels") or {}).items() for pod in active)
        counts = {
            "fullyLabeledReplicas": labelled,
            "readyReplicas": sum(wait is not None for wait in waits),
            "availableReplicas": sum(wait == 0 for wait in waits),
        }
        status: Object = {"replicas": len(active), **{name: count for name, count in counts.items() if count}}
        status["observedGeneration"] = replica_set["metadata"].get("generation", 1)
        told = (replica_set.get("status") or {}).get("conditions")
        if failure is not None:
            told = readiness.with_condition(told, "ReplicaFailure", "True", "FailedCreate", failure.message)
        elif told:
            told = [one for one in told if one["type"] != "ReplicaFailure"]
        if told:
            status["conditions"] = told
        write_status(self.cluster, RESOURCE, replica_set, status)
        return min((wait for wait in waits if wait), default=None)


def pod_from_template(replica_set: Object) -> Object:
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    given = template.get("metadata") or {}
    made: Object = {
        field: clone(given[field]) for field in ("labels", "annotations", "finalizers") if given.get(field)
    }
    made["generateName"] = f"{metadata['name']}-"
    made["namespace"] = metadata["namespace"]
    made["ownerReferences"] = [ownership.reference_to(replica_set)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": clone(template["spec"])}


def make_pods(cluster: Cluster, owner: Object, pod: Object, count: int, source: str) -> ApiError | None:
    """So many like `pod`, each with an event of the `owner`; the refusal that ended it, if any."""
    for _ in range(count):
        try:
            made = cluster.create("pods", pod, manager=MANAGER)
        except ApiError as refusal:
            record(cluster, owner, "FailedCreate", f"Error creating: {refusal.message}", "Warning", source)
            return refusal
        record(cluster, owner, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}", source=source)
    return None


def by_usefulness(active: list[Object]) -> list[Object]:
    """Least useful first: not placed, not running, not ready, cheap to delete, crowded on its node, youngest."""
    crowd = Counter(pod["spec"].get("nodeName") for pod in active if readiness.is_ready(pod))

    def usefulness(pod: Object) -> tuple[object, ...]:
        node = pod["spec"].get("nodeName")
        ready = readiness.is_ready(pod)
        ready_since = (readiness.condition(pod, "Ready") or {}).get("lastTransitionTime", "") if ready else ""
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        return (
            bool(node),
            {"Pending": 0, "Unknown": 1}.get(readiness.phase(pod), 2),
            ready,
            _deletion_cost(pod),
            -crowd[node] if ready else 0,
            -_seconds(ready_since) if ready_since else 0.0,
            -max((status.get("restartCount", 0) for status in statuses), default=0),
            -_seconds(pod["metadata"]["creationTimestamp"]),
            pod["metadata"]["name"],
        )

    return sorted(active, key=usefulness)


def _deletion_cost(pod: Object) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {}).get(_DELETION_COST, 0))
    except ValueError:
        return 0


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()

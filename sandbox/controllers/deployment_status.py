"""What a deployment's status says: counts, and whether it is available, progressing or stuck.

`kubectl rollout status` follows these fields: the counts of updated and available pods, and the Progressing
condition's reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.controllers import conditions, owners, pods
from sandbox.controllers.clock import seconds_since
from sandbox.controllers.rollout import limits_of
from sandbox.core.cluster import Cluster, Object
from sandbox.core.objects import timestamp

RESOURCE = "deployments.apps"
_NO_DEADLINE = 2**31 - 1
_DONE, _STUCK = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


@dataclass(slots=True)
class Seen:
    """Pods and replica sets, counted. Pods on their way out do not count."""

    new: Object | None
    old: list[Object]
    made: bool = False
    """Whether `new` was made just now."""
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    next_available: float | None = None
    pods_of: dict[str, int] = field(default_factory=dict)


def see(cluster: Cluster, deployment: Object, new: Object | None, old: list[Object], *, made: bool) -> Seen:
    seen = Seen(new, old, made)
    seconds = deployment["spec"].get("minReadySeconds", 0)
    uids = {one["metadata"]["uid"] for one in ([*old, new] if new else old)}
    for pod in cluster.list("pods", deployment["metadata"]["namespace"]):
        manager = owners.controller_of(pod)
        if manager is None or manager["uid"] not in uids or not pods.is_active(pod):
            continue
        seen.pods_of[manager["uid"]] = seen.pods_of.get(manager["uid"], 0) + 1
        seen.replicas += 1
        seen.updated += new is not None and manager["uid"] == new["metadata"]["uid"]
        wait = pods.seconds_to_available(pod, seconds)
        seen.ready += wait is not None
        seen.available += wait == 0
        if wait and (seen.next_available is None or wait < seen.next_available):
            seen.next_available = wait
    return seen


def is_complete(deployment: Object, status: Object) -> bool:
    desired = deployment["spec"].get("replicas", 1)
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    return all(count == desired for count in counts)


def status_of(deployment: Object, seen: Seen) -> tuple[Object, float | None]:
    """The status, and in how many seconds it may change without anything else changing."""
    before = deployment.get("status") or {}
    limits = limits_of(deployment)
    counts = {
        "replicas": seen.replicas,
        "updatedReplicas": seen.updated,
        "readyReplicas": seen.ready,
        "availableReplicas": seen.available,
        "unavailableReplicas": max(0, limits.desired - seen.available, seen.replicas - seen.available),
    }
    status: Object = {name: count for name, count in counts.items() if count}
    status["observedGeneration"] = deployment["metadata"].get("generation", 1)
    if collisions := before.get("collisionCount"):
        status["collisionCount"] = collisions
    told = _availability(before.get("conditions"), seen.available >= limits.least)
    told, deadline = _progress(deployment, told, status, seen)
    told = [one for one in told if one["type"] != "ReplicaFailure"]
    if failure := _failure(seen):
        told.append(failure)
    status["conditions"] = told
    return status, min((wait for wait in (seen.next_available, deadline) if wait is not None), default=None)


def _availability(told: list[Object] | None, enough: bool) -> list[Object]:
    if enough:
        return _tell(told, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    return _tell(
        told, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    )


def _progress(
    deployment: Object, told: list[Object], status: Object, seen: Seen
) -> tuple[list[Object], float | None]:
    spec, before = deployment["spec"], deployment.get("status") or {}
    reason = next((one["reason"] for one in told if one["type"] == "Progressing"), "")
    deadline = spec.get("progressDeadlineSeconds", 600)
    if spec.get("paused"):
        if reason == _STUCK:
            return told, None
        return _tell(told, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if reason == "DeploymentPaused":
        told = _tell(told, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        reason = "DeploymentResumed"
    if seen.new is None or deadline == _NO_DEADLINE:
        return [one for one in told if one["type"] != "Progressing" or seen.new is None], None
    name = seen.new["metadata"]["name"]
    if is_complete(deployment, status):
        done = f'ReplicaSet "{name}" has successfully progressed.'
        return _tell(told, "Progressing", "True", _DONE, done), None
    if reason == _DONE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        # Complete once and still on the same template: lost pods come back, that is no rollout.
        return told, None
    if seen.made:
        told = _tell(told, "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
    elif reason in ("", _DONE):
        told = _tell(told, "Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')
    elif _moved(before, status):
        told = _tell(
            told, "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.', fresh=True
        )
    elif reason == _STUCK:
        return told, None
    last = next(one for one in told if one["type"] == "Progressing")
    left = deadline - seconds_since(last["lastUpdateTime"])
    if left > 0:
        return told, left
    stuck = f'ReplicaSet "{name}" has timed out progressing.'
    return _tell(told, "Progressing", "False", _STUCK, stuck), None


def _moved(before: Object, status: Object) -> bool:
    def old_pods(counts: Object) -> int:
        return int(counts.get("replicas", 0)) - int(counts.get("updatedReplicas", 0))

    more = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_pods(status) < old_pods(before) or any(status.get(name, 0) > before.get(name, 0) for name in more)


def _failure(seen: Seen) -> Object | None:
    for replica_set in [seen.new, *seen.old]:
        condition = conditions.find(replica_set, "ReplicaFailure") if replica_set else None
        if condition is not None:
            return {**condition, "lastUpdateTime": condition.get("lastTransitionTime", timestamp())}
    return None


def _tell(
    told: list[Object] | None, kind: str, status: str, reason: str, message: str, *, fresh: bool = False
) -> list[Object]:
    """Deployments' conditions also say when they were last told; the same again is only told if `fresh`."""
    for one in told or ():
        same = one["type"] == kind and (one["status"], one["reason"], one["message"]) == (status, reason, message)
        if same and not fresh:
            return list(told or ())
    return conditions.merge(told, kind, status, reason, message, lastUpdateTime=timestamp())

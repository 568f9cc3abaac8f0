"""Deployments: a replica set for each template they ever had, and the way from one to the next.

One look at a deployment counts its pods, finds (or makes) the replica set of its template, sizes all of them as the
strategy allows, and writes what it saw as the status. Counts come from the pods themselves, so the arithmetic
(rollout.py) never works with a number that is out of date.

The revision number and the rollout history live in annotations, where `kubectl rollout history` and `undo` read
them. An undo is nothing special here: kubectl writes an older template into the deployment, and the replica set
that has it becomes the newest revision. `kubectl rollout status` follows the status: the counts of updated and
available pods, and the Progressing condition's reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sandbox.controllers import ownership, readiness
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, seconds_since, write_status
from sandbox.controllers.events import record
from sandbox.controllers.rollout import Limits, Size, limits_of, new_size, old_sizes, proportional
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.constants import NAME_LETTERS
from sandbox.core.objects import clone, controller_of, terminating, timestamp
from sandbox.core.selector_index import SelectorIndex

RESOURCE = "deployments.apps"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_REPLICA_SETS = "replicasets.apps"
_SOURCE = "deployment-controller"
_NO_DEADLINE = 2**31 - 1
_DONE, _STUCK = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_HISTORY = "deployment.kubernetes.io/revision-history"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_OWN = {REVISION, _HISTORY, _DESIRED, _MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}


@dataclass(slots=True)
class DeploymentState:
    """All there is of a deployment. `new` is the replica set of its present template, `old` the others,
    the oldest first; `sizes` is by name. Pods on their way out do not count.
    """

    deployment: Object
    limits: Limits
    new: Object | None
    old: list[Object]
    sizes: dict[str, Size]
    ready: int
    next_available: float | None
    """In how many seconds a ready pod will have been so for long enough."""
    made: bool = False
    """Whether `new` was made just now."""

    @property
    def all(self) -> list[Object]:
        return [*self.old, self.new] if self.new else list(self.old)

    def size(self, replica_set: Object | None) -> Size:
        return self.sizes[replica_set["metadata"]["name"]] if replica_set else Size(0, 0)


class Deployments(Controller[NamespacedName]):
    watches = (RESOURCE, _REPLICA_SETS, "pods")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._managers = ownership.Managers()
        self._selectors = SelectorIndex(lambda deployment: deployment["spec"]["selector"])
        cluster.observe(RESOURCE, self._selectors)

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        obj = event.object
        namespace = obj["metadata"].get("namespace", "")
        if event.resource == RESOURCE:
            return (name_of(obj),)
        if event.resource == "pods":
            manager = controller_of(obj)
            if manager is None or manager["kind"] != "ReplicaSet":
                return ()
            replica_set = self.cluster.find(_REPLICA_SETS, namespace, manager["name"])
            manager = controller_of(replica_set) if replica_set else None
            return ((namespace, manager["name"]),) if manager else ()
        concerned = [(namespace, name) for name in self._managers.of(event, "Deployment")]
        if controller_of(obj) is None:
            # A replica set of nobody's: whose selector finds it adopts it.
            concerned += self._selectors.find(namespace, obj["metadata"].get("labels") or {})
        return concerned

    def reconcile(self, key: NamespacedName) -> float | None:
        deployment = self.cluster.find(RESOURCE, *key)
        if deployment is None:
            return None
        replica_sets = ownership.claim(self.cluster, deployment, _REPLICA_SETS, deployment["spec"]["selector"])
        state = self._look(deployment, replica_sets)
        if not terminating(deployment):
            if deployment["spec"].get("paused") or self._was_scaled(state):
                self._keep_shares(state)
            elif (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
                self._recreate(state)
            else:
                self._roll(state)
        return self._report(state)

    def _look(self, deployment: Object, replica_sets: list[Object]) -> DeploymentState:
        seconds = deployment["spec"].get("minReadySeconds", 0)
        there: Counter[str] = Counter()
        available: Counter[str] = Counter()
        waits = []
        for uid, pod in self._pods_of(replica_sets):
            if readiness.is_active(pod):
                there[uid] += 1
                wait = readiness.seconds_to_available(pod, seconds)
                available[uid] += wait == 0
                waits.append(wait)
        new = find_new(deployment, replica_sets)
        old = [one for one in sorted(replica_sets, key=age) if one is not new]
        sizes = {
            one["metadata"]["name"]: Size(one["spec"].get("replicas", 1), available[uid], there[uid])
            for one in replica_sets
            for uid in (one["metadata"]["uid"],)
        }
        ready, next_available = sum(wait is not None for wait in waits), min(filter(None, waits), default=None)
        return DeploymentState(deployment, limits_of(deployment), new, old, sizes, ready, next_available)

    def _pods_of(self, replica_sets: Iterable[Object]) -> Iterator[tuple[str, Object]]:
        """With the uid of the replica set that manages each."""
        for one in replica_sets:
            uid = one["metadata"]["uid"]
            for pod in self.cluster.list("pods", one["metadata"]["namespace"], manager=uid):
                yield uid, pod

    def _was_scaled(self, state: DeploymentState) -> bool:
        """Whether the deployment's own size changed since its replica sets were last sized."""
        desired = str(state.limits.desired)
        annotations = [one["metadata"].get("annotations") or {} for one in state.all if state.size(one).wanted]
        return any(noted.get(_DESIRED, desired) != desired for noted in annotations)

    def _keep_shares(self, state: DeploymentState) -> None:
        """Scale without rolling on: the one replica set that has pods, or all of them in proportion."""
        running = [one for one in state.all if state.size(one).wanted]
        if len(running) > 1:
            new = state.size(state.new)
            running.sort(key=lambda one: -state.size(one).wanted)
            if new.staying == state.limits.desired:
                sizes = [state.limits.desired if one is state.new else 0 for one in running]
            else:
                sizes = proportional(state.limits, [state.size(one).wanted for one in running])
            for one, size in zip(running, sizes, strict=True):
                self._resize(state, one, size)
        elif only := [*running, *([state.new] if state.new else []), *reversed(state.old)]:
            self._resize(state, only[0], state.limits.desired)

    def _recreate(self, state: DeploymentState) -> None:
        for one in state.old:
            self._resize(state, one, 0)
        if any(not readiness.has_ended(pod) for _, pod in self._pods_of(state.old)):
            return
        self._advance(state, state.limits.desired)

    def _roll(self, state: DeploymentState) -> None:
        size = new_size(state.limits, state.size(state.new), [state.size(one) for one in state.old])
        self._advance(state, size)
        sizes = old_sizes(state.limits, state.size(state.new), [state.size(one) for one in state.old])
        for one, size in zip(list(state.old), sizes, strict=True):
            self._resize(state, one, size)

    def _advance(self, state: DeploymentState, size: int) -> None:
        """Have the replica set of the present template, of this size, as the newest revision."""
        revision = max(map(revision_of, state.old), default=0) + 1
        if state.new is None:
            self._make(state, size, revision)
        else:
            self._describe(state, revision)
            self._resize(state, state.new, size)
        if state.new is not None:
            self._show_revision(state)

    def _make(self, state: DeploymentState, size: int, revision: int) -> None:
        made = make_replica_set(state.deployment, size, revision, state.limits)
        name = made["metadata"]["name"]
        state.new = self.cluster.create(_REPLICA_SETS, made, manager=MANAGER)
        state.sizes[name] = Size(size, 0)
        state.made = True
        if size:
            record(self.cluster, state.deployment, "ScalingReplicaSet", _scaled(name, 0, size), source=_SOURCE)

    def _describe(self, state: DeploymentState, revision: int) -> None:
        new, deployment = state.new, state.deployment
        assert new is not None

        def change(changed: Object) -> None:
            describe(changed, deployment, revision)
            if seconds := deployment["spec"].get("minReadySeconds", 0):
                changed["spec"]["minReadySeconds"] = seconds
            else:
                changed["spec"].pop("minReadySeconds", None)

        state.new = self.cluster.edit(_REPLICA_SETS, *name_of(new), change, manager=MANAGER) or new

    def _show_revision(self, state: DeploymentState) -> None:
        revision = str(revision_of(state.new or {}))
        if (state.deployment["metadata"].get("annotations") or {}).get(REVISION) == revision:
            return

        def change(changed: Object) -> None:
            changed["metadata"].setdefault("annotations", {})[REVISION] = revision

        state.deployment = self._edit(state.deployment, change, None)

    def _resize(self, state: DeploymentState, replica_set: Object, size: int) -> None:
        name, before = replica_set["metadata"]["name"], state.size(replica_set)
        if before.wanted == size and has_noted(replica_set, state.limits):
            return

        def change(changed: Object) -> None:
            changed["spec"]["replicas"] = size
            note_sizes(changed, state.limits)

        changed = self.cluster.edit(_REPLICA_SETS, *name_of(replica_set), change, manager=MANAGER)
        if changed is None or before.wanted == size:
            return
        state.sizes[name] = Size(size, before.available, before.there)
        record(
            self.cluster, state.deployment, "ScalingReplicaSet", _scaled(name, before.wanted, size), source=_SOURCE
        )

    def _report(self, state: DeploymentState) -> float | None:
        live = self.cluster.find(RESOURCE, *name_of(state.deployment))
        if live is None:
            return None
        status, again = status_of(live, state)
        write_status(self.cluster, RESOURCE, live, status)
        if not terminating(live) and is_complete(live, status):
            self._forget_revisions(state)
        return again

    def _forget_revisions(self, state: DeploymentState) -> None:
        limit = state.deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [one for one in state.old if not terminating(one) and not state.size(one).most]
        for one in sorted(idle, key=revision_of)[: max(0, len(idle) - limit)]:
            self.cluster.delete(_REPLICA_SETS, *name_of(one), uid=one["metadata"]["uid"])

    def _edit(self, deployment: Object, change: Callable[[Object], None], subresource: str | None) -> Object:
        namespace, name = name_of(deployment)
        edited = self.cluster.edit(RESOURCE, namespace, name, change, manager=MANAGER, subresource=subresource)
        return edited or deployment


def _scaled(name: str, before: int, after: int) -> str:
    return f"Scaled {'up' if after > before else 'down'} replica set {name} from {before} to {after}"


def is_complete(deployment: Object, status: Object) -> bool:
    desired = deployment["spec"].get("replicas", 1)
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    return all(count == desired for count in counts)


def status_of(deployment: Object, state: DeploymentState) -> tuple[Object, float | None]:
    """The status, and in how many seconds it may change without anything else changing."""
    before = deployment.get("status") or {}
    sizes = [state.size(one) for one in state.all]
    replicas, available = sum(size.there for size in sizes), sum(size.available for size in sizes)
    counts = {
        "replicas": replicas,
        "updatedReplicas": state.size(state.new).there,
        "readyReplicas": state.ready,
        "availableReplicas": available,
        "unavailableReplicas": max(0, limits_of(deployment).desired - available, replicas - available),
    }
    status: Object = {name: count for name, count in counts.items() if count}
    status["observedGeneration"] = deployment["metadata"].get("generation", 1)
    told = _availability(before.get("conditions"), available >= limits_of(deployment).least)
    told, deadline = _progress(deployment, told, status, state)
    told = [one for one in told if one["type"] != "ReplicaFailure"]
    if failure := _failure(state):
        told.append(failure)
    status["conditions"] = told
    return status, min((wait for wait in (state.next_available, deadline) if wait is not None), default=None)


def _availability(told: list[Object] | None, enough: bool) -> list[Object]:
    if enough:
        return _tell(told, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    return _tell(
        told, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    )


def _progress(
    deployment: Object, told: list[Object], status: Object, state: DeploymentState
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
    if state.new is None or deadline == _NO_DEADLINE:
        return [one for one in told if one["type"] != "Progressing" or state.new is None], None
    name = state.new["metadata"]["name"]
    if is_complete(deployment, status):
        done = f'ReplicaSet "{name}" has successfully progressed.'
        return _tell(told, "Progressing", "True", _DONE, done), None
    if reason == _DONE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        # Complete once and still on the same template: lost pods come back, that is no rollout.
        return told, None
    if state.made:
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


def _failure(state: DeploymentState) -> Object | None:
    for replica_set in [state.new, *state.old]:
        condition = readiness.condition(replica_set, "ReplicaFailure") if replica_set else None
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
    return readiness.with_condition(told, kind, status, reason, message, lastUpdateTime=timestamp())


def template_hash(template: Object) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(10):
        number, at = divmod(number, len(NAME_LETTERS))
        letters.append(NAME_LETTERS[at])
    return "".join(letters)


def plain_template(replica_set: Object) -> Object:
    """The template as the deployment has it: without the label that tells replica sets apart."""
    template: Object = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    template["metadata"] = {**metadata, "labels": labels}
    return template


def same_template(deployment: Object, replica_set: Object) -> bool:
    wanted, there = deployment["spec"]["template"], plain_template(replica_set)
    metadata = {key: value for key, value in (wanted.get("metadata") or {}).items() if value}
    kept = {key: value for key, value in there["metadata"].items() if value}
    return bool(wanted["spec"] == there["spec"]) and metadata == kept


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """The replica set of the present template; the oldest one, should there be several."""
    for replica_set in sorted(replica_sets, key=age):
        if same_template(deployment, replica_set):
            return replica_set
    return None


def age(obj: Object) -> tuple[str, int]:
    """Sorts the oldest first; creation times are whole seconds only, so the revision decides within one."""
    return obj["metadata"]["creationTimestamp"], revision_of(obj)


def revision_of(obj: Object) -> int:
    try:
        return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))
    except ValueError:
        return 0


def make_replica_set(deployment: Object, size: int, revision: int, limits: Limits) -> Object:
    """A replica set of the present template."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    suffix = template_hash(spec["template"])
    template = clone(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH_LABEL] = suffix
    selector = clone(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = suffix
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [ownership.reference_to(deployment)],
        },
        "spec": {"replicas": size, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    describe(made, deployment, revision)
    note_sizes(made, limits)
    return made


def describe(replica_set: Object, deployment: Object, revision: int) -> None:
    """Carry the deployment's annotations (such as the change's cause) and the revision on its replica set."""
    annotations = replica_set["metadata"].setdefault("annotations", {})
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in _OWN:
            annotations[key] = value
    before = revision_of(replica_set)
    if before < revision:
        if before:
            history = [one for one in annotations.get(_HISTORY, "").split(",") if one]
            annotations[_HISTORY] = ",".join([*history, str(before)])
        annotations[REVISION] = str(revision)


def has_noted(replica_set: Object, limits: Limits) -> bool:
    annotations = replica_set["metadata"].get("annotations") or {}
    return annotations.get(_DESIRED) == str(limits.desired) and annotations.get(_MAXIMUM) == str(limits.most)


def note_sizes(replica_set: Object, limits: Limits) -> None:
    """What the sizes were decided from, so that a later scaling of the deployment is noticed."""
    annotations = replica_set["metadata"].setdefault("annotations", {})
    annotations[_DESIRED] = str(limits.desired)
    annotations[_MAXIMUM] = str(limits.most)

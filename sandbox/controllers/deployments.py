"""Deployments: a replica set for each template they ever had, and the way from one to the next.

One look at a deployment counts its pods, finds (or makes) the replica set of its template, sizes all of them
as the strategy allows, and writes what it saw as the status. Counts come from the pods themselves, so the
arithmetic (rollout.py) never works with a number that is out of date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sandbox.controllers import deployment_status, owners, pods, revisions
from sandbox.controllers.controller import MANAGER, Controller, Name, name_of, write_status
from sandbox.controllers.deployment_status import RESOURCE, Seen
from sandbox.controllers.events import record
from sandbox.controllers.rollout import Limits, Size, limits_of, new_size, old_sizes, proportional
from sandbox.core.cluster import ApiError, Object, WatchEvent
from sandbox.core.objects import terminating

_REPLICA_SETS = "replicasets.apps"
_SOURCE = "deployment-controller"


@dataclass(slots=True)
class Scene:
    """All there is of a deployment. `new` is the replica set of its present template, `old` the others,
    the oldest first; `sizes` is by name.
    """

    deployment: Object
    limits: Limits
    new: Object | None
    old: list[Object]
    sizes: dict[str, Size]
    made: bool = False
    """Whether `new` is there since this look."""

    @property
    def all(self) -> list[Object]:
        return [*self.old, self.new] if self.new else list(self.old)

    def size(self, replica_set: Object | None) -> Size:
        return self.sizes[replica_set["metadata"]["name"]] if replica_set else Size(0, 0)


class Deployments(Controller[Name]):
    watches = (RESOURCE, _REPLICA_SETS, "pods")

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        obj = event.object
        namespace = obj["metadata"].get("namespace", "")
        if event.resource == RESOURCE:
            return (name_of(obj),)
        manager = owners.controller_of(obj)
        if event.resource == "pods":
            if manager is None or manager["kind"] != "ReplicaSet":
                return ()
            replica_set = self.cluster.find(_REPLICA_SETS, namespace, manager["name"])
            manager = owners.controller_of(replica_set) if replica_set else None
            return ((namespace, manager["name"]),) if manager else ()
        if manager is not None:
            return ((namespace, manager["name"]),) if manager["kind"] == "Deployment" else ()
        # A replica set of nobody's: whose selector finds it adopts it.
        return [name_of(deployment) for deployment in self.cluster.list(RESOURCE, namespace)]

    def reconcile(self, key: Name) -> float | None:
        deployment = self.cluster.find(RESOURCE, *key)
        if deployment is None:
            return None
        replica_sets = owners.claim(self.cluster, deployment, _REPLICA_SETS, deployment["spec"]["selector"])
        scene = self._look(deployment, replica_sets)
        if not terminating(deployment):
            if deployment["spec"].get("paused") or self._was_scaled(scene):
                self._keep_shares(scene)
            elif (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
                self._recreate(scene)
            else:
                self._roll(scene)
        return self._report(scene)

    def _look(self, deployment: Object, replica_sets: list[Object]) -> Scene:
        seconds = deployment["spec"].get("minReadySeconds", 0)
        there: Counter[str] = Counter()
        available: Counter[str] = Counter()
        for pod in self.cluster.list("pods", deployment["metadata"]["namespace"]):
            manager = owners.controller_of(pod)
            if manager and pods.is_active(pod):
                there[manager["uid"]] += 1
                available[manager["uid"]] += pods.seconds_to_available(pod, seconds) == 0
        new = revisions.find_new(deployment, replica_sets)
        old = [one for one in sorted(replica_sets, key=revisions.age) if one is not new]
        sizes = {
            one["metadata"]["name"]: Size(one["spec"].get("replicas", 1), available[uid], there[uid])
            for one in replica_sets
            for uid in (one["metadata"]["uid"],)
        }
        return Scene(deployment, limits_of(deployment), new, old, sizes)

    def _was_scaled(self, scene: Scene) -> bool:
        """Whether the deployment's own size changed since its replica sets were last sized."""
        desired = str(scene.limits.desired)
        annotations = [one["metadata"].get("annotations") or {} for one in scene.all if scene.size(one).wanted]
        return any(noted.get(revisions.DESIRED, desired) != desired for noted in annotations)

    def _keep_shares(self, scene: Scene) -> None:
        """Scale without rolling on: the one replica set that has pods, or all of them in proportion."""
        running = [one for one in scene.all if scene.size(one).wanted]
        if len(running) > 1:
            new = scene.size(scene.new)
            running.sort(key=lambda one: -scene.size(one).wanted)
            if new.staying == scene.limits.desired:
                sizes = [scene.limits.desired if one is scene.new else 0 for one in running]
            else:
                sizes = proportional(scene.limits, [scene.size(one).wanted for one in running])
            for one, size in zip(running, sizes, strict=True):
                self._resize(scene, one, size)
        elif only := [*running, *([scene.new] if scene.new else []), *reversed(scene.old)]:
            self._resize(scene, only[0], scene.limits.desired)

    def _recreate(self, scene: Scene) -> None:
        for one in scene.old:
            self._resize(scene, one, 0)
        olds = {one["metadata"]["uid"] for one in scene.old}
        for pod in self.cluster.list("pods", scene.deployment["metadata"]["namespace"]):
            manager = owners.controller_of(pod)
            if manager and manager["uid"] in olds and pods.phase(pod) not in ("Succeeded", "Failed"):
                return
        self._advance(scene, scene.limits.desired)

    def _roll(self, scene: Scene) -> None:
        size = new_size(scene.limits, scene.size(scene.new), [scene.size(one) for one in scene.old])
        self._advance(scene, size)
        sizes = old_sizes(scene.limits, scene.size(scene.new), [scene.size(one) for one in scene.old])
        for one, size in zip(list(scene.old), sizes, strict=True):
            self._resize(scene, one, size)

    def _advance(self, scene: Scene, size: int) -> None:
        """Have the replica set of the present template, of this size, as the newest revision."""
        revision = max(map(revisions.revision_of, scene.old), default=0) + 1
        if scene.new is None:
            self._make(scene, size, revision)
        else:
            self._describe(scene, revision)
            self._resize(scene, scene.new, size)
        if scene.new is not None:
            self._show_revision(scene)

    def _make(self, scene: Scene, size: int, revision: int) -> None:
        made = revisions.make(scene.deployment, size, revision, scene.limits)
        name = made["metadata"]["name"]
        try:
            scene.new = self.cluster.create(_REPLICA_SETS, made, manager=MANAGER)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                self._count_collision(scene)
            raise
        scene.sizes[name] = Size(size, 0)
        scene.made = True
        if size:
            record(self.cluster, scene.deployment, "ScalingReplicaSet", _scaled(name, 0, size), source=_SOURCE)

    def _count_collision(self, scene: Scene) -> None:
        """Another template has this name (or the replica set of the name is on its way out): take another."""

        def count(changed: Object) -> None:
            status = changed.setdefault("status", {})
            status["collisionCount"] = status.get("collisionCount", 0) + 1

        scene.deployment = self._edit(scene.deployment, count, "status")

    def _describe(self, scene: Scene, revision: int) -> None:
        new, deployment = scene.new, scene.deployment
        assert new is not None

        def change(changed: Object) -> None:
            revisions.describe(changed, deployment, revision)
            if (seconds := deployment["spec"].get("minReadySeconds", 0)) != changed["spec"].get(
                "minReadySeconds", 0
            ):
                changed["spec"]["minReadySeconds"] = seconds

        scene.new = self.cluster.edit(_REPLICA_SETS, *name_of(new), change, manager=MANAGER) or new

    def _show_revision(self, scene: Scene) -> None:
        revision = str(revisions.revision_of(scene.new or {}))
        if (scene.deployment["metadata"].get("annotations") or {}).get(revisions.REVISION) == revision:
            return

        def change(changed: Object) -> None:
            changed["metadata"].setdefault("annotations", {})[revisions.REVISION] = revision

        scene.deployment = self._edit(scene.deployment, change, None)

    def _resize(self, scene: Scene, replica_set: Object, size: int) -> None:
        name, before = replica_set["metadata"]["name"], scene.size(replica_set)
        if before.wanted == size and revisions.has_noted(replica_set, scene.limits):
            return

        def change(changed: Object) -> None:
            changed["spec"]["replicas"] = size
            revisions.note_sizes(changed, scene.limits)

        changed = self.cluster.edit(_REPLICA_SETS, *name_of(replica_set), change, manager=MANAGER)
        if changed is None or before.wanted == size:
            return
        scene.sizes[name] = Size(size, before.available, before.there)
        record(
            self.cluster, scene.deployment, "ScalingReplicaSet", _scaled(name, before.wanted, size), source=_SOURCE
        )

    def _report(self, scene: Scene) -> float | None:
        live = self.cluster.find(RESOURCE, *name_of(scene.deployment))
        if live is None:
            return None
        seen = deployment_status.see(self.cluster, live, scene.new, scene.old, made=scene.made)
        status, again = deployment_status.status_of(live, seen)
        write_status(self.cluster, RESOURCE, live, status)
        if not terminating(live) and deployment_status.is_complete(live, status):
            self._forget_revisions(scene, seen)
        return again

    def _forget_revisions(self, scene: Scene, seen: Seen) -> None:
        limit = scene.deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [
            one
            for one in scene.old
            if not terminating(one) and not scene.size(one).wanted and not seen.pods_of.get(one["metadata"]["uid"])
        ]
        for one in sorted(idle, key=revisions.revision_of)[: max(0, len(idle) - limit)]:
            self.cluster.delete(_REPLICA_SETS, *name_of(one), uid=one["metadata"]["uid"])

    def _edit(self, deployment: Object, change: Callable[[Object], None], subresource: str | None) -> Object:
        namespace, name = name_of(deployment)
        edited = self.cluster.edit(RESOURCE, namespace, name, change, manager=MANAGER, subresource=subresource)
        return edited or deployment


def _scaled(name: str, before: int, after: int) -> str:
    return f"Scaled {'up' if after > before else 'down'} replica set {name} from {before} to {after}"

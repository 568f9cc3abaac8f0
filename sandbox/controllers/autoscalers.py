"""HorizontalPodAutoscalers, in a cluster without metrics.

There is no metrics server, so nothing is known of the load: `kubectl get hpa` shows `<unknown>`, and the
conditions say why, as they do on a real cluster without one. What does not depend on metrics holds: the
target's size is kept within minReplicas and maxReplicas.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.controllers import readiness
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, write_status
from sandbox.controllers.events import record
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.objects import timestamp

RESOURCE = "horizontalpodautoscalers.autoscaling"
_SOURCE = "horizontal-pod-autoscaler"
_TARGETS = {("apps", "Deployment"): "deployments.apps", ("apps", "ReplicaSet"): "replicasets.apps"}
_NO_METRICS = "unable to get metrics for resource {}: the sandbox has no metrics API (metrics.k8s.io)"


class Autoscalers(Controller[NamespacedName]):
    watches = (RESOURCE, *_TARGETS.values())

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._of_target: dict[tuple[str | None, str, str], dict[NamespacedName, None]] = {}
        """By the target's kind, namespace and name."""
        cluster.observe(RESOURCE, self._note_target)

    def _note_target(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            of_target = self._of_target[_place_of_target(old)]
            del of_target[name_of(old)]
            if not of_target:
                del self._of_target[_place_of_target(old)]
        if new is not None:
            self._of_target.setdefault(_place_of_target(new), {})[name_of(new)] = None

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == RESOURCE:
            return (name_of(event.object),)
        return list(self._of_target.get((event.resource, *name_of(event.object)), ()))

    def reconcile(self, key: NamespacedName) -> float | None:
        autoscaler = self.cluster.find(RESOURCE, *key)
        if autoscaler is None:
            return None
        kind, name = _target(autoscaler), autoscaler["spec"]["scaleTargetRef"]["name"]
        target = self.cluster.find(kind, key[0], name) if kind else None
        if target is None:
            why = f"the HPA controller was unable to get the target's current scale: {kind} {name!r} not found"
            self._write(autoscaler, 0, 0, [("AbleToScale", "False", "FailedGetScale", why)])
            record(self.cluster, autoscaler, "FailedGetScale", why, "Warning", _SOURCE)
            return None
        spec = autoscaler["spec"]
        current = target["spec"].get("replicas", 1)
        desired = min(max(current, spec.get("minReplicas", 1)), spec["maxReplicas"]) if current else 0
        able, said = "SucceededGetScale", "the HPA controller was able to get the target's scale"
        inactive = []
        if not current:
            why = "scaling is disabled since the replica count of the target is zero"
            inactive = [("ScalingActive", "False", "ScalingDisabled", why)]
        elif desired != current:
            assert kind is not None
            self._rescale(autoscaler, kind, name, current, desired)
            able, said = "SucceededRescale", f"the HPA controller set the target size to {desired}"
        else:
            inactive = [("ScalingActive", "False", "FailedGetResourceMetric", _why_inactive(spec))]
        told = [("AbleToScale", "True", able, said), *inactive]
        self._write(autoscaler, (target.get("status") or {}).get("replicas", 0), desired, told)
        return None

    def _rescale(self, autoscaler: Object, kind: str, name: str, current: int, desired: int) -> None:
        def change(changed: Object) -> None:
            changed["spec"]["replicas"] = desired

        namespace = autoscaler["metadata"]["namespace"]
        self.cluster.edit(kind, namespace, name, change, manager=MANAGER, subresource="scale")
        side = "below Spec.MinReplicas" if desired > current else "above Spec.MaxReplicas"
        said = f"New size: {desired}; reason: Current number of replicas {side}"
        record(self.cluster, autoscaler, "SuccessfulRescale", said, source=_SOURCE)

    def _write(self, autoscaler: Object, current: int, desired: int, told: list[tuple[str, str, str, str]]) -> None:
        before = autoscaler.get("status") or {}
        entries = before.get("conditions")
        for one in told:
            entries = readiness.with_condition(entries, *one)
        status = {**before, "currentReplicas": current, "desiredReplicas": desired, "conditions": entries}
        if any(reason == "SucceededRescale" for _, _, reason, _ in told):
            status["lastScaleTime"] = timestamp()
        write_status(self.cluster, RESOURCE, autoscaler, status)


def _place_of_target(autoscaler: Object) -> tuple[str | None, str, str]:
    return _target(autoscaler), name_of(autoscaler)[0], autoscaler["spec"]["scaleTargetRef"]["name"]


def _target(autoscaler: Object) -> str | None:
    reference = autoscaler["spec"]["scaleTargetRef"]
    return _TARGETS.get((reference.get("apiVersion", "").rpartition("/")[0], reference["kind"]))


def _why_inactive(spec: Object) -> str:
    names = [
        (metric.get("resource") or metric.get("containerResource") or {}).get("name") for metric in spec["metrics"]
    ]
    return (
        f"the HPA was unable to compute the replica count: {_NO_METRICS.format(next(filter(None, names), 'cpu'))}"
    )

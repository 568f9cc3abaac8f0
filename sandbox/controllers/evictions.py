"""The taint NoExecute: pods on such a node that do not tolerate it go, at once or after their tolerationSeconds."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sandbox.controllers.controller import Controller, Name, name_of
from sandbox.controllers.events import record
from sandbox.controllers.scheduling_rules import tolerations_of
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.objects import terminating

_SOURCE = "taint-eviction-controller"


class Evictions(Controller[Name]):
    watches = ("nodes", "pods")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._since: dict[Name, tuple[str, float]] = {}
        """By pod that only tolerates for a while: its uid, and when that began."""

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        if event.resource == "pods":
            return (name_of(event.object),)
        node = event.object["metadata"]["name"]
        return [name_of(pod) for pod in self.cluster.list("pods") if pod["spec"].get("nodeName") == node]

    def reconcile(self, key: Name) -> float | None:
        pod = self.cluster.find("pods", *key)
        patience = self._patience(pod) if pod and not terminating(pod) else None
        if pod is None or patience is None:
            self._since.pop(key, None)
            return None
        uid, now = pod["metadata"]["uid"], time.monotonic()
        if self._since.get(key, ("",))[0] != uid:
            self._since[key] = (uid, now)
        left = self._since[key][1] + patience - now
        if left > 0:
            return left
        record(
            self.cluster, pod, "TaintManagerEviction", f"Marking for deletion Pod {'/'.join(key)}", source=_SOURCE
        )
        self.cluster.delete("pods", *key, uid=uid)
        return None

    def _patience(self, pod: Object) -> float | None:
        """How many seconds the pod may stay after the taint came; None: for ever."""
        node = self.cluster.find("nodes", None, pod["spec"].get("nodeName") or "")
        taints = [
            taint for taint in (node or {}).get("spec", {}).get("taints") or () if taint["effect"] == "NoExecute"
        ]
        limits: list[float] = []
        for taint in taints:
            tolerations = tolerations_of(pod, taint)
            if not tolerations:
                return 0.0
            limits += [max(0, one["tolerationSeconds"]) for one in tolerations if "tolerationSeconds" in one]
        return min(limits, default=None)

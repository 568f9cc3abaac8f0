"""Pods whose node was deleted: nobody runs them any more, so they go and their owners make others."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.controllers.controller import Controller, Name, name_of
from sandbox.core.cluster import WatchEvent


class LostPods(Controller[Name]):
    watches = ("nodes", "pods")

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        if event.resource == "pods":
            return () if event.type == "DELETED" else (name_of(event.object),)
        if event.type != "DELETED":
            return ()
        node = event.object["metadata"]["name"]
        return [name_of(pod) for pod in self.cluster.list("pods") if pod["spec"].get("nodeName") == node]

    def reconcile(self, key: Name) -> float | None:
        pod = self.cluster.find("pods", *key)
        node = pod["spec"].get("nodeName") if pod else None
        if pod and node and self.cluster.find("nodes", None, node) is None:
            self.cluster.delete("pods", *key, grace_seconds=0, uid=pod["metadata"]["uid"])
        return None

"""PodDisruptionBudgets: how many of their pods may be evicted now (the eviction subresource asks)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sandbox.api import label_selectors as selectors
from sandbox.controllers import readiness
from sandbox.controllers.controller import Controller, NamespacedName, name_of, write_status
from sandbox.core.cluster import Object, WatchEvent
from sandbox.core.objects import terminating

RESOURCE = "poddisruptionbudgets.policy"


class DisruptionBudgets(Controller[NamespacedName]):
    watches = (RESOURCE, "pods")

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        namespace, _ = name_of(event.object)
        if event.resource == RESOURCE:
            return (name_of(event.object),)
        return [
            name_of(budget)
            for budget in self.cluster.list(RESOURCE, namespace)
            if selectors.selects(budget["spec"].get("selector"), event.object)
        ]

    def reconcile(self, key: NamespacedName) -> float | None:
        budget = self.cluster.find(RESOURCE, *key)
        if budget is None:
            return None
        selector = budget["spec"].get("selector")
        mine = [pod for pod in self.cluster.list("pods", key[0]) if selectors.selects(selector, pod)]
        mine = [pod for pod in mine if not readiness.has_ended(pod)]
        healthy = sum(readiness.is_ready(pod) and not terminating(pod) for pod in mine)
        expected, desired = self._amounts(budget["spec"], mine)
        allowed = max(0, healthy - desired) if mine else 0
        enough = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        told = (budget.get("status") or {}).get("conditions")
        status = {
            "observedGeneration": budget["metadata"].get("generation", 1),
            "expectedPods": expected,
            "desiredHealthy": desired,
            "currentHealthy": healthy,
            "disruptionsAllowed": allowed,
            "conditions": readiness.with_condition(told, "DisruptionAllowed", *enough, ""),
        }
        write_status(self.cluster, RESOURCE, budget, status)
        return None

    @staticmethod
    def _amounts(spec: Object, mine: list[Object]) -> tuple[int, int]:
        """How many pods are expected (those there are), and how many of them must be healthy."""
        least, most_gone = spec.get("minAvailable"), spec.get("maxUnavailable")
        if isinstance(least, int):
            return len(mine), least
        expected = len(mine)
        if isinstance(least, str):
            return expected, math.ceil(int(least.rstrip("%")) * expected / 100)
        if isinstance(most_gone, str):
            most_gone = math.ceil(int(most_gone.rstrip("%")) * expected / 100)
        return expected, max(0, expected - (most_gone or 0))

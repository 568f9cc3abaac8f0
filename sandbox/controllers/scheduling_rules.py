"""Where a pod may run: one rule for each thing a pod can ask of its node or of its neighbours there.

A rule answers why a node will not do, in the words of Kubernetes' scheduler, or None. All hard rules are
here; soft ones (preferred affinity, ScheduleAnyway) are wishes, and the scheduler's own is to spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sandbox.controllers import conditions
from sandbox.core import label_selectors as selectors
from sandbox.core import quantities
from sandbox.core.cluster import Object

_HOST = "kubernetes.io/hostname"


@dataclass(slots=True)
class Place:
    """A node with the pods that are on it."""

    node: Object
    pods: list[Object]

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return {_HOST: self.name, **(self.node["metadata"].get("labels") or {})}


Rule = Callable[[Object, Place, list[Place]], str | None]


def obstacle(pod: Object, place: Place, places: list[Place]) -> str | None:
    """The first reason why `pod` cannot run at `place`, if any."""
    for rule in _RULES:
        if (reason := rule(pod, place, places)) is not None:
            return reason
    return None


def _ready(pod: Object, place: Place, places: list[Place]) -> str | None:
    return None if conditions.is_true(place.node, "Ready") else "node(s) were not ready"


def _schedulable(pod: Object, place: Place, places: list[Place]) -> str | None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if not (place.node.get("spec") or {}).get("unschedulable") or tolerations_of(pod, taint):
        return None
    return "node(s) were unschedulable"


def _taints(pod: Object, place: Place, places: list[Place]) -> str | None:
    for taint in (place.node.get("spec") or {}).get("taints") or ():
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerations_of(pod, taint):
            return "node(s) had untolerated taint(s)"
    return None


def tolerations_of(pod: Object, taint: Mapping[str, Any]) -> list[Object]:
    """The pod's tolerations that fit the taint."""
    return [one for one in pod["spec"].get("tolerations") or () if _fits(one, taint)]


def _fits(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    mine, its = (toleration.get("key"), toleration.get("value", "")), (taint["key"], taint.get("value", ""))
    return bool(mine == its)


def _node_affinity(pod: Object, place: Place, places: list[Place]) -> str | None:
    spec, labels = pod["spec"], place.labels
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    fits = (spec.get("nodeSelector") or {}).items() <= labels.items()
    if fits and required:
        fits = any(_term_fits(term, place) for term in required["nodeSelectorTerms"])
    return None if fits else "node(s) didn't match Pod's node affinity/selector"


def _term_fits(term: Mapping[str, Any], place: Place) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    named = {"metadata.name": place.name}
    return all(selectors.requirement_holds(one, place.labels) for one in expressions) and all(
        selectors.requirement_holds(one, named) for one in fields
    )


def _room(pod: Object, place: Place, places: list[Place]) -> str | None:
    allocatable = (place.node.get("status") or {}).get("allocatable") or {}
    if "pods" in allocatable and len(place.pods) >= quantities.parse(allocatable["pods"]):
        return "Too many pods"
    asked = requests(pod)
    if not asked:
        return None
    taken: Counter[str] = Counter()
    for other in place.pods:
        taken.update(requests(other))
    for resource, amount in asked.items():
        if amount and quantities.parse(allocatable.get(resource, 0)) < taken[resource] + amount:
            return f"Insufficient {resource}"
    return None


def requests(pod: Object) -> dict[str, Fraction]:
    """What a pod asks for: the sum of its containers, or more if an init container needs more."""
    spec = pod["spec"]
    total: dict[str, Fraction] = {}
    for container in spec["containers"]:
        for resource, amount in _requests(container).items():
            total[resource] = total.get(resource, Fraction()) + amount
    for container in spec.get("initContainers") or ():
        stays = container.get("restartPolicy") == "Always"
        for resource, amount in _requests(container).items():
            before = total.get(resource, Fraction())
            total[resource] = before + amount if stays else max(before, amount)
    return total


def _requests(container: Object) -> dict[str, Fraction]:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {resource: quantities.parse(amount) for resource, amount in asked.items()}


def _affinity(pod: Object, place: Place, places: list[Place]) -> str | None:
    for term in _terms(pod, "podAffinity"):
        near = [other for other in _near(place, places, term["topologyKey"]) if _term_selects(pod, term, other)]
        if near:
            continue
        # The first of a group that wants to be together has nobody to be with.
        anywhere = any(_term_selects(pod, term, other) for there in places for other in there.pods)
        if anywhere or not _term_selects(pod, term, pod) or term["topologyKey"] not in place.labels:
            return "node(s) didn't match pod affinity rules"
    return None


def _anti_affinity(pod: Object, place: Place, places: list[Place]) -> str | None:
    for term in _terms(pod, "podAntiAffinity"):
        if any(_term_selects(pod, term, other) for other in _near(place, places, term["topologyKey"])):
            return "node(s) didn't match pod anti-affinity rules"
    for there in places:
        for other in there.pods:
            for term in _terms(other, "podAntiAffinity"):
                key = term["topologyKey"]
                same = key in place.labels and place.labels[key] == there.labels.get(key)
                if same and _term_selects(other, term, pod):
                    return "node(s) didn't satisfy existing pods anti-affinity rules"
    return None


def _terms(pod: Object, kind: str) -> Iterable[Mapping[str, Any]]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    terms: Iterable[Mapping[str, Any]] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return terms


def _near(place: Place, places: list[Place], key: str) -> Iterable[Object]:
    """Pods on nodes with the same value of the label `key`."""
    if key in place.labels:
        for there in places:
            if there.labels.get(key) == place.labels[key]:
                yield from there.pods


def _term_selects(pod: Object, term: Mapping[str, Any], other: Object) -> bool:
    namespaces = term.get("namespaces") or [pod["metadata"]["namespace"]]
    return other["metadata"]["namespace"] in namespaces and selectors.selects(term.get("labelSelector"), other)


def _spread(pod: Object, place: Place, places: list[Place]) -> str | None:
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        if constraint["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key = constraint["topologyKey"]
        if key not in place.labels:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        counts: Counter[str] = Counter()
        for there in places:
            if key in there.labels and _node_affinity(pod, there, places) is None:
                counts[there.labels[key]] += sum(
                    other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                    and selectors.selects(constraint.get("labelSelector"), other)
                    for other in there.pods
                )
        more = int(selectors.selects(constraint.get("labelSelector"), pod))
        if counts[place.labels[key]] + more - min(counts.values(), default=0) > constraint["maxSkew"]:
            return "node(s) didn't match pod topology spread constraints"
    return None


_RULES: tuple[Rule, ...] = (
    _ready,
    _schedulable,
    _taints,
    _node_affinity,
    _room,
    _affinity,
    _anti_affinity,
    _spread,
)

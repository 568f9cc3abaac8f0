"""Which endpoints a proxy asks for where they are: a DestinationRule's `localityLbSetting`.

Shares (`distribute`) are weights of places in Envoy. An order is its priorities: of a rule with outlier detection
the own subzone comes first, then the own zone, the own region, and all others, without anybody saying so. Without
outlier detection there is no order, as nobody would notice that the first ones fail. All of it is istiod's
(pilot/pkg/networking/core/loadbalancer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import ceil
from typing import Any

from sandbox.mesh.places import Place, matches, place
from sandbox.mesh.registry import Endpoint

Labels = Mapping[str, str]
Policy = Mapping[str, Any]


def is_weighted(traffic: Policy) -> bool:
    """Whether a cluster heeds the weights of places. Otherwise they would change what its load balancer does."""
    if _is_off(traffic):
        return False
    setting = _setting(traffic)
    said = setting.get("failover") or setting.get("failoverPriority")
    return bool(setting.get("distribute") or (said and _is_ordered(traffic)))


def _setting(traffic: Policy) -> Policy:
    return (traffic.get("loadBalancer") or {}).get("localityLbSetting") or {}


def _is_off(traffic: Policy) -> bool:
    return _setting(traffic).get("enabled") is False


def _is_ordered(traffic: Policy) -> bool:
    return traffic.get("outlierDetection") is not None and not _is_off(traffic)


@dataclass(frozen=True)
class _Group:
    """Endpoints of one place, and how Envoy is told of each."""

    place: Place
    members: tuple[tuple[Endpoint, dict[str, Any]], ...]
    priority: int = 0
    share: int = 0
    """Its weight, if not that of all its endpoints."""

    def told(self, *, weighted: bool = False) -> dict[str, Any]:
        made: dict[str, Any] = {"lb_endpoints": [described for _, described in self.members]}
        if any(self.place):
            named = zip(("region", "zone", "sub_zone"), self.place, strict=True)
            made["locality"] = {name: part for name, part in named if part}
        if weighted or any(self.place):
            made["load_balancing_weight"] = self.share or self.weight
        return {**made, "priority": self.priority} if self.priority else made

    @property
    def weight(self) -> int:
        return sum(endpoint.weight for endpoint, _ in self.members)


@dataclass(frozen=True)
class Localities:
    """The endpoints of one destination, by where they are."""

    groups: tuple[_Group, ...]

    @cached_property
    def alike(self) -> list[dict[str, Any]]:
        """The `endpoints` of a ClusterLoadAssignment for whoever asks all of them alike."""
        return [group.told() for group in self.groups] or [{"lb_endpoints": []}]

    def depends(self, traffic: Policy) -> bool:
        """Whether what is seen depends on who looks."""
        return is_weighted(traffic) or (len(self.groups) > 1 and _is_ordered(traffic))

    def seen_from(self, proxy: Labels, traffic: Policy) -> list[dict[str, Any]]:
        """The same for a proxy with these labels that follows this policy."""
        if not self.depends(traffic):
            return self.alike
        setting, found = _setting(traffic), self.groups
        if setting.get("distribute"):
            found = _shared(found, place(proxy), setting["distribute"])
        else:
            if setting.get("failoverPriority"):
                found = _by_labels(found, proxy, setting["failoverPriority"])
            if setting.get("failover") or not setting.get("failoverPriority"):
                found = _by_distance(found, place(proxy), setting.get("failover") or ())
        return [group.told(weighted=is_weighted(traffic)) for group in found] or [{"lb_endpoints": []}]


def grouped(endpoints: Iterable[Endpoint], describe: Callable[[Endpoint], dict[str, Any]]) -> Localities:
    """In order of place, address and port."""
    ordered = sorted(endpoints, key=lambda one: (place(one.labels), one.address, one.port))
    return Localities(
        tuple(
            _Group(where, tuple((one, describe(one)) for one in members))
            for where, members in groupby(ordered, key=lambda one: place(one.labels))
        )
    )


def _shared(groups: tuple[_Group, ...], here: Place, distribute: Iterable[Policy]) -> tuple[_Group, ...]:
    """The first that is for whoever is here says how much goes where; elsewhere nothing goes."""
    chosen = next((one.get("to") or {} for one in distribute if matches(here, one.get("from") or "")), None)
    if chosen is None:
        return groups
    left, found = list(groups), []
    for pattern, percent in chosen.items():
        there = [group for group in left if matches(group.place, pattern)]
        whole = sum(group.weight for group in there)
        for group in there:
            found.append(_Group(group.place, group.members, share=ceil(group.weight * percent / whole)))
            left.remove(group)
    return tuple(found)


def _by_distance(groups: tuple[_Group, ...], here: Place, failover: Iterable[Policy]) -> tuple[_Group, ...]:
    next_region = next((one.get("to", "") for one in failover if one.get("from", "") == here[0]), None)

    def distance(there: Place) -> int:
        same = next((at for at, (a, b) in enumerate(zip(here, there, strict=True)) if a != b), 3)
        if same:
            return 3 - same
        return 3 if next_region in (None, there[0]) else 4

    return _in_order([(group.priority * 5 + distance(group.place), group) for group in groups])


def _by_labels(groups: tuple[_Group, ...], proxy: Labels, wanted: list[str]) -> tuple[_Group, ...]:
    """Those come first that are as who asks, by most of these labels from the first on. A label may have a value to
    be compared with instead (`label=value`)."""
    values = []
    for one in wanted:
        label, told, value = one.partition("=")
        values.append((label, value if told else proxy.get(label, "")))

    def lacks(endpoint: Endpoint) -> int:
        agree = next(
            (at for at, (label, value) in enumerate(values) if endpoint.labels.get(label, "") != value), None
        )
        return 0 if agree is None else len(values) - agree

    split = []
    for group in groups:
        by_priority: dict[int, list[tuple[Endpoint, dict[str, Any]]]] = {}
        for member in group.members:
            by_priority.setdefault(lacks(member[0]), []).append(member)
        split += [(order, _Group(group.place, tuple(some))) for order, some in by_priority.items()]
    return _in_order(split)


def _in_order(found: list[tuple[int, _Group]]) -> tuple[_Group, ...]:
    """With priorities from 0 on, of which Envoy wants none left out."""
    at = {order: priority for priority, order in enumerate(sorted({order for order, _ in found}))}
    return tuple(_Group(group.place, group.members, at[order]) for order, group in found)

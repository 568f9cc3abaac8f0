"""Quantities of Kubernetes, and whether what is asked for fits on the nodes that are there, as the scheduler sees
it.

It counts requests, not use: a pod goes where the requests of all pods stay within what the node can give. A pod
that fits on no node waits for ever, and with it the step that has deployed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from workshop.kubernetes.manifests import Object

_SUFFIXES = {
    **{suffix: Decimal(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", *"kMGTPE"))},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(rf"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+)|({'|'.join(_SUFFIXES)}))")


def quantity(value: object) -> Decimal:
    """Of "500m", 0.5, "2Gi" or "1e3": k8s.io/apimachinery/pkg/api/resource/quantity.go. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None:
        raise ValueError(f"{value!r} is no quantity")
    number, exponent, suffix = match.groups()
    return Decimal(number).scaleb(int(exponent)) if exponent else Decimal(number) * _SUFFIXES[suffix]


@dataclass(frozen=True, slots=True)
class Amount:
    """CPUs and bytes."""

    cpus: float = 0.0
    memory: float = 0.0

    @classmethod
    def of(cls, quantities: Mapping[str, str]) -> Amount:
        """Of `requests` or `allocatable`, where what is not said is nothing."""
        return cls(*(float(quantity(quantities.get(name, "0"))) for name in ("cpu", "memory")))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpus + other.cpus, self.memory + other.memory)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpus - other.cpus, self.memory - other.memory)

    def times(self, count: int) -> Amount:
        return Amount(self.cpus * count, self.memory * count)

    def fits(self, free: Amount) -> bool:
        """A millionth of a CPU is nothing: quantities are decimal, and these numbers are not."""
        return self.cpus <= free.cpus + 1e-6 and self.memory <= free.memory + 1

    def __str__(self) -> str:
        return f"{self.cpus:.2f} CPUs and {self.memory / 1024**3:.1f} GiB"


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())


def requested(pod: Object) -> Amount:
    """By a pod: its containers and those beside them (native sidecars) together, or one of those before them."""
    spec = pod["spec"]
    first = spec.get("initContainers", [])
    beside = [container for container in first if container.get("restartPolicy") == "Always"]
    together = total(_of(container) for container in (*spec["containers"], *beside))
    before = [_of(container) for container in first if container not in beside]
    return Amount(
        max(together.cpus, *(one.cpus for one in before), 0.0),
        max(together.memory, *(one.memory for one in before), 0.0),
    )


def free(nodes: Iterable[Object], pods: Iterable[Object]) -> dict[str, Amount]:
    """What these pods leave of each node that takes any."""
    left = {
        node["metadata"]["name"]: Amount.of(node["status"].get("allocatable", {}))
        for node in nodes
        if not node["spec"].get("unschedulable")
        and not any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", ()))
    }
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if name in left and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            left[name] -= requested(pod)
    return left


def without_place(asked: Iterable[Amount], left: Mapping[str, Amount]) -> list[Amount]:
    """Of pods that ask for so much, those that find no node when the largest are placed first."""
    rest, homeless = dict(left), []
    for amount in sorted(asked, key=lambda one: (one.cpus, one.memory), reverse=True):
        for name, room in rest.items():
            if amount.fits(room):
                rest[name] = room - amount
                break
        else:
            homeless.append(amount)
    return homeless


def _of(container: Object) -> Amount:
    return Amount.of(container.get("resources", {}).get("requests", {}))

"""The arithmetic of a rolling update: how large each replica set may be, given how many pods serve.

Two promises bound every step: never more than `desired + surge` pods, never fewer than
`desired - unavailable` available because of the rollout. What a replica set was asked for but has not done
yet counts against both: pods that it is to lose are taken as lost when it is about who serves, and as still
there when it is about room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.core.cluster import Object


@dataclass(frozen=True, slots=True)
class Size:
    """A replica set: how many pods it is asked to have, how many of its pods are available, and how many it
    has at all (those on their way out apart).
    """

    wanted: int
    available: int
    there: int = 0

    @property
    def staying(self) -> int:
        return min(self.wanted, self.available)

    @property
    def most(self) -> int:
        return max(self.wanted, self.there)


@dataclass(frozen=True, slots=True)
class Limits:
    desired: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.desired + self.surge

    @property
    def least(self) -> int:
        return self.desired - self.unavailable


def limits_of(deployment: Object) -> Limits:
    """A Recreate deployment never surges and may lose everything."""
    spec = deployment["spec"]
    desired = spec.get("replicas", 1)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(desired, 0, desired)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), desired, math.ceil)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), desired, math.floor)
    if not surge and not unavailable:
        # Both round to nothing: then no step would ever be possible.
        unavailable = 1
    return Limits(desired, surge if desired else 0, min(unavailable, desired))


def _share(value: int | str, whole: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, int):
        return value
    return rounded(int(value.rstrip("%")) * whole / 100)


def new_size(limits: Limits, new: Size, old: Sequence[Size]) -> int:
    """What the new replica set should be asked for now."""
    if new.wanted >= limits.desired:
        return limits.desired
    room = limits.most - new.wanted - sum(size.most for size in old)
    return min(limits.desired, new.wanted + max(0, room))


def old_sizes(limits: Limits, new: Size, old: Sequence[Size]) -> list[int]:
    """What the old replica sets, oldest first, should be asked for now.

    Pods that do not serve go first: that costs nobody anything. Then ones that do, as far as the new ones
    allow.
    """
    sizes = [size.wanted for size in old]
    # New pods that do not serve yet are no reason to take old ones away.
    budget = new.staying + sum(sizes) - limits.least
    for at, size in enumerate(old):
        idle = size.wanted - size.staying
        gone = max(0, min(idle, budget))
        sizes[at] -= gone
        budget -= gone
    spare = new.staying + sum(size.staying for size in old) - limits.least
    for at in range(len(old)):
        gone = max(0, min(sizes[at], spare))
        sizes[at] -= gone
        spare -= gone
    return sizes


def proportional(limits: Limits, sizes: Sequence[int]) -> list[int]:
    """Sizes after the deployment was scaled in the middle of a rollout: each keeps its share, the largest
    replica set takes what rounding leaves. `sizes` come with the largest first.
    """
    total = sum(sizes)
    target = limits.most if limits.desired else 0
    left = target - total
    scaled = []
    for size in sizes:
        share = round(size * target / total) - size if total else 0
        share = max(min(share, left), 0) if left > 0 else min(max(share, left), 0)
        scaled.append(max(0, size + share))
        left -= scaled[-1] - size
    if scaled:
        scaled[0] = max(0, scaled[0] + left)
    return scaled

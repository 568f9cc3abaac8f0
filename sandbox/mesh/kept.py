"""What was made once and is still good: made anew only when what it was made of has changed.

What does not change stays the same object, so that whoever holds it against an earlier one sees that at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """By key. Made for rounds: what is not asked for in one is forgotten at the end of the next."""

    def __init__(self) -> None:
        self._now: dict[K, tuple[object, V]] = {}
        self._before: dict[K, tuple[object, V]] = {}

    def get(self, key: K, origin: object, make: Callable[[], V]) -> V:
        """What was made for `key`, if it was made of this `origin`, else what `make` gives."""
        known = self._now.get(key) or self._before.get(key)
        if known is None or not (known[0] is origin or known[0] == origin):
            known = (origin, make())
        self._now[key] = known
        return known[1]

    def same(self, key: K, value: V) -> V:
        """`value`, or what was given for `key` before if that is equal."""
        return self.get(key, value, lambda: value)

    def turn(self) -> None:
        """A round has ended."""
        self._before, self._now = self._now, {}

"""Who sees an object of Istio's (`exportTo`), and which of several comes first: the older.

The mesh asks it of rules, the mesh and the pods' name resolution of ServiceEntries.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from sandbox.core.cluster import Object

EVERYBODY = "*"


def exports(rule: Object) -> set[str]:
    own = rule["metadata"]["namespace"]
    return {own if name == "." else name for name in rule["spec"].get("exportTo") or [EVERYBODY]}


def exported_to(rule: Object, namespace: str) -> bool:
    """Whether `namespace` may see it, as its exportTo says."""
    return not exports(rule).isdisjoint((EVERYBODY, namespace))


_Age = tuple[str, str, str]


def _age(obj: Object) -> _Age:
    metadata = obj["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["name"], metadata["namespace"]


def by_age(objects: Iterable[Object]) -> list[Object]:
    return sorted(objects, key=_age)


class ByAge:
    """An observer of a kind: its objects by age, without sorting them at every question."""

    def __init__(self) -> None:
        self._ages: list[_Age] = []
        self._objects: list[Object] = []
        self._all: tuple[Object, ...] | None = ()

    def __call__(self, old: Object | None, new: Object | None) -> None:
        self._all = None
        if old is not None:
            at = bisect_left(self._ages, _age(old))
            del self._ages[at], self._objects[at]
        if new is not None:
            age = _age(new)
            at = bisect_left(self._ages, age)
            self._ages.insert(at, age)
            self._objects.insert(at, new)

    def all(self) -> tuple[Object, ...]:
        """The same one until something changes."""
        if self._all is None:
            self._all = tuple(self._objects)
        return self._all

"""Who sees an object of Istio's (`exportTo`), and which of several comes first: the older.

The mesh asks it of rules, the mesh and the pods' name resolution of ServiceEntries.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.core.cluster import Object

EVERYBODY = "*"


def exports(rule: Object) -> set[str]:
    own = rule["metadata"]["namespace"]
    return {own if name == "." else name for name in rule["spec"].get("exportTo") or [EVERYBODY]}


def exported_to(rule: Object, namespace: str) -> bool:
    """Whether `namespace` may see it, as its exportTo says."""
    return not exports(rule).isdisjoint((EVERYBODY, namespace))


def by_age(objects: Iterable[Object]) -> list[Object]:
    def age(obj: Object) -> tuple[str, str, str]:
        metadata = obj["metadata"]
        return metadata.get("creationTimestamp") or "", metadata["name"], metadata["namespace"]

    return sorted(objects, key=age)

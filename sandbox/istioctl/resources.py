"""Objects to analyze, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

_SYSTEM = ("istio-system", "kube-system", "kube-public", "kube-node-lease", "local-path-storage")


class Resources:
    def __init__(self, objects: Iterable[Object]) -> None:
        self._by_kind: dict[str, list[Object]] = {}
        for obj in objects:
            self._by_kind.setdefault(obj["kind"], []).append(obj)

    def of(self, kind: str) -> list[Object]:
        return self._by_kind.get(kind, [])

    def outside_the_system(self, kind: str) -> list[Object]:
        """Those of namespaces that are a user's."""
        return [obj for obj in self.of(kind) if namespace_of(obj) not in _SYSTEM]


def namespace_of(obj: Object) -> str:
    """The namespace an object is in, or is."""
    metadata = obj["metadata"]
    return str(metadata["name"] if obj["kind"] == "Namespace" else metadata.get("namespace") or "default")


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}

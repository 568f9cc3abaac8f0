"""Rules beyond an object's shape: names, selectors, ports, what may not change."""

from __future__ import annotations

from ..cluster import Object, Resource
from .findings import Cause
from .types import Type


def semantic(
    resource: Resource, obj: Object, old: Object | None = None, crd_type: Type | None = None
) -> list[Cause]:
    """Findings on the meaning of `obj`, and on what it changes of `old`."""
    return []

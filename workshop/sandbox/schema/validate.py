"""Whether an object is one its kind allows; the findings are 422 Invalid, in Kubernetes' words."""

from __future__ import annotations

from ..cluster import Object, Resource
from .findings import Cause, invalid
from .semantic import semantic
from .types import Type


def check(resource: Resource, obj: Object, old: Object | None = None, crd_type: Type | None = None) -> None:
    """Raises ApiError Invalid with every finding. `old` is the live object of an update."""
    causes = validate(resource, obj, crd_type) + semantic(resource, obj, old, crd_type)
    if causes:
        name = obj.get("metadata", {}).get("name", "")
        raise invalid(resource, name, causes)


def validate(resource: Resource, obj: Object, crd_type: Type | None = None) -> list[Cause]:
    """Findings on the object's shape: required fields, enumerations, a CRD's schema."""
    return []

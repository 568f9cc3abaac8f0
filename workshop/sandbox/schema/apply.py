"""Who owns which field: server-side apply and the managedFields of all other writes."""

from __future__ import annotations

from ..api.objects import clone
from ..cluster import Object, Resource
from .types import Type


def server_side_apply(
    resource: Resource,
    live: Object | None,
    applied: Object,
    manager: str,
    force: bool,
    now: str,
    subresource: str = "",
    crd_type: Type | None = None,
) -> Object:
    """What is there after `manager` applied `applied`; `live` is not changed.

    Raises ApiError Conflict (409) with a FieldManagerConflict cause for each field others own.
    """
    return clone(applied)


def track_update(
    resource: Resource,
    old: Object | None,
    new: Object,
    manager: str,
    now: str,
    subresource: str = "",
    crd_type: Type | None = None,
) -> None:
    """Record in `new`, in place, that `manager` changed what differs from `old` (None: created it)."""

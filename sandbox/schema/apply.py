"""Who owns which field: server-side apply, and the managedFields of all other writes.

Every write is by a manager. One that applies owns what its configuration sets, and gives up (and thereby
removes) what it no longer sets and nobody else owns; to change what another manager owns is a conflict unless
forced. All other writes own what they changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.core import nesting
from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.core.objects import clone
from sandbox.schema import fieldsets
from sandbox.schema.fieldsets import Fields
from sandbox.schema.types import Type

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_OWNED: Fields = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:creationTimestamp": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:name": {},
        "f:namespace": {},
        "f:resourceVersion": {},
        "f:selfLink": {},
        "f:uid": {},
    },
}


class _Owner(NamedTuple):
    """What tells one entry of managedFields from another."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    def shown(self) -> str:
        text = f'"{self.manager}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(slots=True)
class _Entry:
    fields: Fields
    time: str
    api_version: str


class _Managed:
    """The managedFields of an object: sets of fields by owner, and when each was last changed."""

    def __init__(self, obj: Mapping[str, Any] | None) -> None:
        self.entries: dict[_Owner, _Entry] = {}
        for entry in (obj or {}).get("metadata", {}).get("managedFields") or ():
            if entry.get("manager"):
                version, subresource = entry.get("apiVersion", ""), entry.get("subresource", "")
                owner = _owner(entry["manager"], entry.get("operation", "Update"), version, subresource)
                fields = fieldsets.union(self.fields(owner), entry.get("fieldsV1") or {})
                self.entries[owner] = _Entry(fields, entry.get("time", ""), version)

    def fields(self, owner: _Owner) -> Fields:
        return self.entries[owner].fields if owner in self.entries else {}

    def others(self, owner: _Owner) -> list[tuple[_Owner, _Entry]]:
        return [each for each in self.entries.items() if each[0] != owner]

    def set(self, owner: _Owner, fields: Fields, now: str, api_version: str) -> None:
        """The time of an entry is that of its own last change, by its manager."""
        entry = self.entries.setdefault(owner, _Entry({}, "", api_version))
        if entry.fields != fields:
            entry.time = now
        entry.fields, entry.api_version = fields, api_version

    def write(self, obj: Object, now: str) -> None:
        """Into `obj`."""
        entries = [
            {
                "manager": owner.manager,
                "operation": owner.operation,
                "apiVersion": entry.api_version,
                "time": entry.time or now,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.fields,
                **({"subresource": owner.subresource} if owner.subresource else {}),
            }
            for owner, entry in self.entries.items()
            if entry.fields
        ]
        obj["metadata"].pop("managedFields", None)
        if entries:
            entries.sort(key=lambda entry: (entry["operation"], entry["time"], entry["manager"]))
            obj["metadata"]["managedFields"] = entries


def _owner(manager: str, operation: str, api_version: str, subresource: str) -> _Owner:
    # An applier stays the same one when it goes on to another version.
    return _Owner(manager, operation, "" if operation == "Apply" else api_version, subresource)


def server_side_apply(
    resource: Resource,
    kind: Type,
    live: Object | None,
    applied: Object,
    manager: str,
    force: bool,
    now: str,
    subresource: str = "",
) -> Object:
    """What is there after `manager` applied `applied`; `live` is not changed, and shares nothing with it.

    Raises ApiError: Conflict (409) with a FieldManagerConflict cause for each field others own, BadRequest
    for a configuration that has managedFields.
    """
    if applied.get("metadata", {}).get("managedFields"):
        raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
    wanted = clone(_written(resource, applied, subresource))
    before: Object = clone(live) if live is not None else {}
    managed = _Managed(live)
    owner = _owner(manager, "Apply", resource.api_version, subresource)
    last = managed.fields(owner)
    mine = fieldsets.difference(fieldsets.of(wanted, kind), _NOT_OWNED)
    managed.set(owner, mine, now, resource.api_version)
    merged: Object = fieldsets.merge(before, wanted, kind)
    if last:
        kept: Fields = {}
        for entry in managed.entries.values():
            kept = fieldsets.union(kept, fieldsets.with_parents(entry.fields, kind))
        gone = fieldsets.difference(fieldsets.with_parents(last, kind), kept)
        merged = fieldsets.remove(merged, fieldsets.difference(gone, _NOT_OWNED), kind)
    changed, removed = fieldsets.compare(before, merged, kind)
    changed = fieldsets.difference(changed, _NOT_OWNED)
    conflicts = {
        other: shared
        for other, entry in managed.others(owner)
        if (shared := fieldsets.intersection(entry.fields, changed))
    }
    if conflicts and not force:
        if manager == "kubectl":
            allowed = _applied_before(before, kind)
            conflicts = {
                other: left
                for other, fields in conflicts.items()
                if (left := fieldsets.difference(fields, allowed))
            }
        if conflicts:
            raise _conflict(conflicts)
    for _, entry in managed.others(owner):
        entry.fields = fieldsets.difference(fieldsets.difference(entry.fields, changed), removed, below=True)
    annotations = merged.get("metadata", {}).get("annotations") or {}
    if manager == "kubectl" and not subresource and _LAST_APPLIED in annotations:
        # So that a later client-side apply goes on from here.
        shown = clone(applied)
        shown.get("metadata", {}).get("annotations", {}).pop(_LAST_APPLIED, None)
        annotations[_LAST_APPLIED] = json.dumps(shown, separators=(",", ":")) + "\n"
    merged.setdefault("metadata", {})
    managed.write(merged, now)
    result: Object = clone(merged)
    return result


def _written(resource: Resource, obj: Object, subresource: str) -> Object:
    """The part of an object that a write to (a subresource of) it is about."""
    if subresource == "status":
        return {key: value for key, value in obj.items() if key in ("apiVersion", "kind", "metadata", "status")}
    if not subresource and "status" in resource.subresources:
        return {key: value for key, value in obj.items() if key != "status"}
    return obj


def _applied_before(live: Object, kind: Type) -> Fields:
    """What client-side apply set and nobody changed since: kubectl may take that over without a conflict."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(_LAST_APPLIED)
    try:
        last = nesting.parse(text or "null")
    except ValueError:
        return {}
    if not isinstance(last, dict):
        return {}
    changed, removed = fieldsets.compare(live, last, kind)
    fields = fieldsets.difference(fieldsets.of(last, kind), changed)
    return fieldsets.difference(fields, removed, below=True)


def _conflict(conflicts: Mapping[_Owner, Fields]) -> ApiError:
    found = [
        (owner, path) for owner, fields in sorted(conflicts.items()) for path in sorted(fieldsets.paths(fields))
    ]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner.shown()}", "field": path}
        for owner, path in found
    ]
    if len(found) == 1:
        owner, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {owner.shown()}: {path}"
    else:
        lines: list[str] = []
        for owner in sorted(conflicts):
            lines.append(f"conflicts with {owner.shown()}:")
            lines += [f"- {path}" for each, path in found if each == owner]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def track_update(
    resource: Resource,
    kind: Type,
    old: Object | None,
    new: Object,
    manager: str,
    now: str,
    subresource: str = "",
) -> None:
    """Record in `new`, in place, that `manager` changed what differs from `old` (None: created it).

    managedFields that `new` brings itself count (kubectl moves ownership that way); where it has none, those
    of `old` do.
    """
    brought = new["metadata"].get("managedFields")
    if brought and not subresource:
        managed = _Managed(new)
        reset = not managed.entries
    else:
        managed, reset = _Managed(old), False
    if reset:  # [{}] forgets all owners
        new["metadata"].pop("managedFields")
        return
    before = _written(resource, old or {}, subresource)
    changed, removed = fieldsets.compare(before, _written(resource, new, subresource), kind)
    changed = fieldsets.difference(changed, _NOT_OWNED)
    if subresource == "status":
        changed = {key: node for key, node in changed.items() if key == "f:status"}
        removed = {key: node for key, node in removed.items() if key == "f:status"}
    owner = _owner(manager, "Update", resource.api_version, subresource)
    for _, entry in managed.others(owner):
        left = fieldsets.difference(entry.fields, changed) if changed else entry.fields
        entry.fields = fieldsets.difference(left, removed, below=True) if removed else left
    mine = fieldsets.difference(managed.fields(owner), removed, below=True)
    managed.set(owner, fieldsets.union(mine, changed), now, resource.api_version)
    managed.write(new, now)

"""The same object in the words of another version or kind.

Versions of a CRD differ in their apiVersion only (conversion webhooks are refused when the CRD is created);
`events.k8s.io` shows the events of the core group under other field names.
"""

from __future__ import annotations

from sandbox.core.cluster import Object, Resource

_TO_NEW = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_TO_CORE = {new: core for core, new in _TO_NEW.items()}


def as_served(obj: Object, resource: Resource) -> Object:
    """A stored object as `resource` shows it; the object itself where that is the same."""
    if obj.get("apiVersion") == resource.api_version:
        return obj
    if resource.key == "events.events.k8s.io":
        obj = {_TO_NEW.get(key, key): value for key, value in obj.items()}
    return {**obj, "apiVersion": resource.api_version}


def as_stored(obj: Object, resource: Resource, stored: Resource) -> Object:
    """The reverse: what came in as `resource`, to be stored as `stored`."""
    if resource.key == "events.events.k8s.io":
        obj = {_TO_CORE.get(key, key): value for key, value in obj.items()}
    if obj.get("apiVersion") == stored.api_version:
        return obj
    return {**obj, "apiVersion": stored.api_version}

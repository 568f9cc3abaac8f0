"""Events: what happened to an object, as `kubectl describe` and `kubectl events` show it.

The same thing happening again is counted on one Event rather than told again. Names sort by time, since
timestamps are whole seconds and clients show what happened within one in the order of names. Events are the
best effort of whoever records them: where none can be stored (a namespace on its way out) there is none.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal
from weakref import WeakKeyDictionary

from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, seconds_since
from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import timestamp

_KEPT_SECONDS = 3600
_REMEMBERED = 4096

_names: WeakKeyDictionary[Cluster, OrderedDict[tuple[str, ...], str]] = WeakKeyDictionary()
"""The events of each cluster that the same thing happening again is counted on, the latest last."""


def record(
    cluster: Cluster,
    obj: Object,
    reason: str,
    message: str,
    type: Literal["Normal", "Warning"] = "Normal",
    source: str = MANAGER,
    *,
    host: str | None = None,
    field_path: str | None = None,
) -> None:
    """Tell that `message` happened to `obj`.

    `source` is the component that tells, `host` its node, `field_path` the part of the object it is about,
    such as `spec.containers{productpage}`.
    """
    metadata = obj["metadata"]
    namespace = metadata.get("namespace") or "default"
    same = (metadata["uid"], type, reason, message, source, field_path or "")
    names = _names.setdefault(cluster, OrderedDict())
    now = timestamp()

    def again(event: Object) -> None:
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = now

    with contextlib.suppress(ApiError):
        known = names.get(same)
        if known is None or cluster.edit("events", namespace, known, again, manager=source) is None:
            names[same] = name = f"{metadata['name']}.{time.time_ns():x}"
            if len(names) > _REMEMBERED:
                names.popitem(last=False)
            cluster.create(
                "events",
                {
                    "metadata": {"name": name, "namespace": namespace},
                    "involvedObject": _reference(obj, field_path),
                    "reason": reason,
                    "message": message,
                    "type": type,
                    "source": {"component": source, **({"host": host} if host else {})},
                    "firstTimestamp": now,
                    "lastTimestamp": now,
                    "count": 1,
                    "eventTime": None,
                    "reportingComponent": source,
                    "reportingInstance": host or "",
                },
                manager=source,
            )


def _reference(obj: Object, field_path: str | None) -> Object:
    metadata = obj["metadata"]
    reference = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"]}
    for field in ("namespace", "uid", "resourceVersion"):
        if metadata.get(field):
            reference[field] = metadata[field]
    if field_path:
        reference["fieldPath"] = field_path
    return reference


class EventExpiry(Controller[NamespacedName]):
    """Forgets events an hour after they last happened, as an API server does."""

    watches = ("events",)

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        return () if event.type == "DELETED" else (name_of(event.object),)

    def reconcile(self, key: NamespacedName) -> float | None:
        event = self.cluster.find("events", *key)
        if event is None:
            return None
        last = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
        left = _KEPT_SECONDS - seconds_since(last)
        if left > 0:
            return left
        self.cluster.delete("events", *key)
        return None

"""Subresources that are not simply a part of their object: scale, binding and eviction."""

from __future__ import annotations

from typing import Any

from sandbox.api import errors
from sandbox.api.delete_options import deletion_of
from sandbox.api.deletion import delete
from sandbox.api.kinds import Registry
from sandbox.api.label_selectors import selects
from sandbox.api.requests import Target
from sandbox.api.tables.columns import NONE, selector
from sandbox.api.writes import Write, Writer
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import at, clone, timestamp
from sandbox.schema.findings import bad_value, invalid, required

_PLACES = ("spec.replicas", "status.replicas", "")


def _scale_places(registry: Registry, target: Target) -> tuple[str, str, str]:
    """Where a kind has its wanted and present number of replicas, and its selector as text."""
    crd = registry.crds.get(target.resource.key)
    if crd is None:
        return _PLACES
    served = next(entry for entry in crd["spec"]["versions"] if entry["name"] == target.resource.version)
    scale = served["subresources"]["scale"]
    spec, status, labels = (
        scale.get(name, "").removeprefix(".")
        for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
    )
    return spec, status, labels


def scale_of(registry: Registry, target: Target, live: Object) -> Object:
    """An autoscaling/v1 Scale that shows `live`."""
    spec, status, labels = _scale_places(registry, target)
    metadata = live["metadata"]
    present: Object = {"replicas": at(live, *status.split(".")) or 0}
    if labels:
        present["selector"] = at(live, *labels.split(".")) or ""
    elif (text := selector(at(live, "spec", "selector"))) != NONE:
        present["selector"] = text
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "spec": {"replicas": at(live, *spec.split(".")) or 0},
        "status": present,
    }


def set_scale(
    writer: Writer, target: Target, live: Object, scale: Object, write: Write
) -> tuple[int, Object, list[str]]:
    resource, name = target.resource, live["metadata"]["name"]
    wanted: Any = at(scale, "spec", "replicas") or 0
    if not isinstance(wanted, int) or wanted < 0:
        detail = "must be greater than or equal to 0"
        raise invalid(resource, name, [bad_value("spec.replicas", wanted, detail)])
    expected = at(scale, "metadata", "resourceVersion")
    if expected and expected != live["metadata"]["resourceVersion"]:
        raise errors.modified(resource, name)
    new = clone(live)
    *parents, last = _scale_places(writer.registry, target)[0].split(".")
    place = new
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = wanted
    write.patch = None
    stored = writer.replace(writer.registry.by_key(resource.key), live, new, write)
    return 200, scale_of(writer.registry, target, stored), write.warnings


def post(writer: Writer, target: Target, live: Object, body: Object, write: Write) -> tuple[int, Object, list[str]]:
    if target.subresource == "binding":
        return _bind(writer, target, live, body, write)
    if target.subresource == "eviction":
        return _evict(writer, target, live, body, write)
    raise errors.method_not_allowed()


def _bind(
    writer: Writer, target: Target, live: Object, body: Object, write: Write
) -> tuple[int, Object, list[str]]:
    name, node = live["metadata"]["name"], at(body, "target", "name")
    if live["spec"].get("nodeName"):
        raise errors.conflict(target.resource, name, f"pod {name} is already assigned to node")
    if not isinstance(node, str) or not node:
        raise invalid(target.resource, name, [required("target.name")])
    new = clone(live)
    new["spec"]["nodeName"] = node
    new["status"]["conditions"] = [
        *(entry for entry in at(new, "status", "conditions") or () if entry["type"] != "PodScheduled"),
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": timestamp()},
    ]
    write.subresource = "binding"
    writer.replace(target.resource, live, new, write)
    return 201, _success(), write.warnings


def _evict(
    writer: Writer, target: Target, live: Object, body: Object, write: Write
) -> tuple[int, Object, list[str]]:
    """A delete that a disruption budget can hold back."""
    for budget in writer.store.list("poddisruptionbudgets.policy", target.namespace):
        guarded = selects(budget["spec"].get("selector"), live)
        if guarded and not at(budget, "status", "disruptionsAllowed"):
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            raise ApiError(429, "TooManyRequests", message)
    options = body.get("deleteOptions") or {}
    if not isinstance(options, dict):
        raise errors.bad_request("deleteOptions: it is not an object")
    delete(writer, target.resource, live, deletion_of(options, {"dryRun": "All" if write.dry_run else ""}))
    return 201, _success(), []


def _success() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

"""What the API itself fills in, keeps or protects when an object of some kind is written.

Kubernetes calls these strategies: a status cannot be written with the spec, a spec not with the status, and
some kinds get fields that no client sends.
"""

from __future__ import annotations

import base64
from typing import Any

from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import at, clone, timestamp

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a CRD until its objects are gone."""

_COUNTS_GENERATIONS = frozenset(
    {
        "pods",
        "deployments.apps",
        "replicasets.apps",
        "poddisruptionbudgets.policy",
        "customresourcedefinitions.apiextensions.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }
)


def counts_generations(resource: Resource, custom: bool) -> bool:
    return custom or resource.key in _COUNTS_GENERATIONS


def prepare_create(resource: Resource, obj: Object) -> None:
    # A kubelet registers its node together with the status; everything else earns its status afterwards.
    if "status" in resource.subresources and resource.key != "nodes":
        obj.pop("status", None)
    if resource.key == "namespaces":
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj["status"] = {"phase": "Active"}
    elif resource.key == "pods":
        obj["status"] = {"phase": "Pending"}
    elif resource.key == "secrets":
        take_string_data(obj)
    elif resource.key == CRDS:
        obj["metadata"].setdefault("finalizers", []).append(CRD_CLEANUP)
        obj["status"] = _crd_status(obj, {})


def complete_create(resource: Resource, obj: Object) -> None:
    """What follows from the whole object: admission may have put containers into a pod."""
    if resource.key == "pods":
        obj["status"]["qosClass"] = quality_of_service(obj["spec"])


def prepare_update(resource: Resource, new: Object, old: Object, subresource: str | None) -> None:
    """Leave in `new` only what this (sub)resource may change."""
    if subresource == "status":
        status = new.get("status")
        kept = {"managedFields": new["metadata"].get("managedFields")}
        new.clear()
        new.update(clone(old))
        new["metadata"].update({key: value for key, value in kept.items() if value})
        if status is None:
            new.pop("status", None)
        else:
            new["status"] = status
        return
    if "status" in resource.subresources and subresource is None:
        if "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)
    if resource.key == "namespaces" and subresource != "finalize":
        new.setdefault("spec", {}).pop("finalizers", None)
        if finalizers := old.get("spec", {}).get("finalizers"):
            new["spec"]["finalizers"] = finalizers
        new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"]["name"]
    elif resource.key == "secrets":
        take_string_data(new)
    elif resource.key == CRDS:
        new["status"] = _crd_status(new, old.get("status") or {})


def _crd_status(crd: Object, old: Object) -> Object:
    """A CRD that was accepted is served at once."""
    stored = [version["name"] for version in at(crd, "spec", "versions") or () if version.get("storage")]
    now = timestamp()
    accepted = {
        "NamesAccepted": ("NoConflicts", "no conflicts found"),
        "Established": ("InitialNamesAccepted", "the initial names have been accepted"),
    }
    conditions = old.get("conditions") or [
        {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
        for kind, (reason, message) in accepted.items()
    ]
    kept = [name for name in old.get("storedVersions") or () if name not in stored]
    return {
        "conditions": conditions,
        "acceptedNames": clone(at(crd, "spec", "names")),
        "storedVersions": kept + stored,
    }


def take_string_data(secret: Object) -> None:
    """`stringData` is a way to write `data`; it is never read back."""
    for key, value in (secret.pop("stringData", None) or {}).items():
        secret.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()


def quality_of_service(spec: dict[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort, from the containers' cpu and memory."""
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    amounts = [container.get("resources") or {} for container in containers]
    if not any(amount.get("requests") or amount.get("limits") for amount in amounts):
        return "BestEffort"
    for amount in amounts:
        limits = amount.get("limits") or {}
        requests = {**limits, **(amount.get("requests") or {})}
        if any(name not in limits or requests[name] != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"

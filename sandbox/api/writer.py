"""The one path of every write: decoding, identity, defaults, admission, validation, optimistic lock, store.

A request over HTTP and a call of a controller in this process both end here. Everything is synchronous, so a
write never interleaves with another; the optimistic lock is about clients that read earlier.

DELETE removes an object at once unless something holds it: a finalizer, a pod's grace period, a namespace's
content. Then it is only marked, and the write that releases the last hold removes it. `Foreground` and `Orphan` are
finalizers too; the garbage collector acts on them.

Behind that is what the API itself fills in, keeps or protects: names and identity, and what Kubernetes calls
the strategies of kinds (a status cannot be written with the spec, nor a spec with the status; some kinds get fields
that no client sends).
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.api import api_errors as errors
from sandbox.api.kinds import Registry
from sandbox.api.store import Store
from sandbox.core.cluster import Admission, AdmissionHook, ApiError, Object, Resource
from sandbox.core.constants import CRDS, FOREGROUND, NAME_LETTERS, ORPHAN
from sandbox.core.objects import at, clone, name_of, namespace_of, terminating, timestamp
from sandbox.schema.apply import track_update
from sandbox.schema.decode import Strictness, decode
from sandbox.schema.defaults import default
from sandbox.schema.findings import bad_value, forbidden, invalid, required
from sandbox.schema.validate import check

CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a CRD until its objects are gone."""

_DEFAULT_GRACE = 30
_LONGEST_PREFIX = 58

_KEPT = (
    *("name", "namespace", "uid", "creationTimestamp", "generateName", "generation"),
    *("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
)
_COUNTS_GENERATIONS = frozenset(
    {
        *("pods", "deployments.apps", "replicasets.apps", "jobs.batch", "cronjobs.batch"),
        *("poddisruptionbudgets.policy", CRDS),
        *(f"{kind}webhookconfigurations.admissionregistration.k8s.io" for kind in ("mutating", "validating")),
    }
)

Notice = Callable[[Resource, Object], None]


@dataclass(slots=True)
class WriteOptions:
    """Who writes, and how it is meant."""

    manager: str
    dry_run: bool = False
    subresource: str | None = None
    strictness: Strictness = "Strict"
    duplicates: Sequence[str] = ()
    """Fields that were there twice in the request's body."""
    patch: Any = None
    """What made the object from the live one; findings of the decoder are then about the patch."""
    tracked: bool = False
    """managedFields are up to date already (server-side apply keeps them itself)."""
    warnings: list[str] = field(default_factory=list)
    """What the client is told beside the answer."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How a DELETE is meant (metav1.DeleteOptions)."""

    propagation: str | None = None
    """None: what the object's finalizers say already, else Background."""
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


class Writer:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.admission: list[AdmissionHook] = []
        self.validation: list[AdmissionHook] = []
        self.after_write: list[Notice] = []
        """Called with what was stored; how the API notices CRDs."""
        self.after_removal: list[Notice] = []

    def create(self, resource: Resource, namespace: str | None, obj: Object, options: WriteOptions) -> Object:
        """Store a new object of `resource`; `obj` becomes the store's."""
        obj = self._decoded(resource, obj, options)
        resource = self.registry.by_key(resource.key)
        metadata = _new_metadata(resource, namespace, obj, lambda name: self.find(resource, namespace, name))
        _prepare_create(resource, obj)
        self._may_create_in(resource, namespace, metadata["name"])
        if self.find(resource, namespace, metadata["name"]) is not None:
            raise errors.already_exists(resource, metadata["name"])
        kind = self.registry.type_of(resource)
        default(kind, obj)
        _ask(self.admission, Admission("CREATE", resource, obj, None, options.dry_run), options)
        default(kind, obj)
        check(resource, kind, obj)
        _ask(self.validation, Admission("CREATE", resource, obj, None, options.dry_run), options)
        if resource.key == "pods":  # only now: admission may have put containers into it
            obj["status"]["qosClass"] = quality_of_service(obj["spec"])
        if self._counts_generations(resource):
            metadata["generation"] = 1
        if not options.tracked:
            track_update(resource, kind, None, obj, options.manager, timestamp())
        return obj if options.dry_run else self.put(resource, obj)

    def replace(self, resource: Resource, old: Object, new: Object, options: WriteOptions) -> Object:
        """Store `new` in place of `old`, the live object. Storing what is there already changes nothing."""
        new = self._decoded(resource, new, options)
        resource, custom = self.registry.by_key(resource.key), self.registry.is_custom(resource.key)
        _keep_identity(resource, old, new, custom=custom)
        _prepare_update(resource, new, old, options.subresource)
        kind = self.registry.type_of(resource)
        default(kind, new)
        if options.subresource is None:
            _ask(self.admission, Admission("UPDATE", resource, new, old, options.dry_run), options)
            default(kind, new)
        if options.subresource is None or custom:
            check(resource, kind, new, old)
        if options.subresource is None:
            _ask(self.validation, Admission("UPDATE", resource, new, old, options.dry_run), options)
        if self._counts_generations(resource) and _generation_changed(resource, old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if not options.tracked and new != old:
            track_update(resource, kind, old, new, options.manager, timestamp(), options.subresource or "")
        if _same(old, new):
            return old
        if options.dry_run:
            return new
        stored = self.put(resource, new)
        self.remove_if_done(resource, stored)
        return stored

    def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return self.store.get(resource.key, namespace if resource.namespaced else None, name)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store without further questions, and let those know who asked to."""
        stored = self.store.put(resource.key, obj)
        for noticed in self.after_write:
            noticed(resource, stored)
        return stored

    def remove(self, resource: Resource, obj: Object) -> Object:
        last = self.store.remove(resource.key, namespace_of(obj), name_of(obj))
        for noticed in self.after_removal:
            noticed(resource, last)
        return last

    def remove_if_done(self, resource: Resource, obj: Object) -> None:
        """Remove a terminating object that nothing holds any more."""
        metadata = obj["metadata"]
        held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
        if resource.key == "namespaces":
            held = held or (obj.get("spec") or {}).get("finalizers")
        if terminating(obj) and not held and self.find(resource, namespace_of(obj), name_of(obj)) is obj:
            self.remove(resource, obj)

    def _decoded(self, resource: Resource, obj: Object, options: WriteOptions) -> Object:
        """`obj` in the version that is stored, with only the fields it knows."""
        kind = self.registry.type_of(resource)
        found = decode(resource, kind, obj, options.strictness, options.duplicates, patch=options.patch)
        options.warnings.extend(found)
        return self.registry.by_key(resource.key).versioned(obj)

    def _counts_generations(self, resource: Resource) -> bool:
        return resource.key in _COUNTS_GENERATIONS or self.registry.is_custom(resource.key)

    def _may_create_in(self, resource: Resource, namespace: str | None, name: str) -> None:
        crd = self.registry.crds.get(resource.key)
        if crd is not None and terminating(crd):
            why = "create not allowed while custom resource definition is terminating"
            raise ApiError(405, "MethodNotAllowed", why, errors.details(resource, name))
        if not resource.namespaced:
            return
        if not namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        home = self.store.get("namespaces", None, namespace)
        if home is None:
            raise errors.not_found(self.registry.by_key("namespaces"), namespace)
        # Events still tell what happens while the rest of a namespace goes; the real API refuses them, too.
        if terminating(home):
            raise errors.namespace_terminating(resource, name, namespace)


def _ask(hooks: Sequence[AdmissionHook], admission: Admission, options: WriteOptions) -> None:
    for hook in list(hooks):
        hook(admission)
    options.warnings.extend(admission.warnings)


def _differ(old: Object, new: Object, but: set[str]) -> bool:
    return any(old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - but)


def _generation_changed(resource: Resource, old: Object, new: Object) -> bool:
    own = {"status"} if "status" in resource.subresources else set()
    return _differ(old, new, {"metadata", "apiVersion", "kind", *own})


def _same(old: Object, new: Object) -> bool:
    """Whether nothing changed but when somebody wrote it."""
    if new == old:
        return True
    return not _differ(old, new, {"metadata"}) and _timeless(old["metadata"]) == _timeless(new["metadata"])


def _timeless(metadata: Object) -> Object:
    managers = clone(metadata.get("managedFields") or [])
    for entry in managers:
        entry.pop("time", None)
    return {**metadata, "managedFields": managers}


# Identity


def _new_metadata(
    resource: Resource, namespace: str | None, obj: Object, find: Callable[[str], Object | None]
) -> Object:
    """Fill in a new object's metadata and return it. `find` looks up by name."""
    metadata: Object = obj.setdefault("metadata", {})
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    for ours in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(ours, None)
    if not metadata.get("name"):
        prefix = metadata.get("generateName")
        if not prefix:
            raise invalid(resource, "", [required("metadata.name", "name or generateName is required")])
        metadata["name"] = _generated(prefix, find)
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()
    return metadata


def _generated(prefix: str, find: Callable[[str], Object | None]) -> str:
    while True:
        name = prefix[:_LONGEST_PREFIX] + "".join(random.choices(NAME_LETTERS, k=5))  # noqa: S311 - no secret
        if find(name) is None:
            return name


def _keep_identity(resource: Resource, old: Object, new: Object, *, custom: bool) -> None:
    """Check what `new` says about the object it replaces, and put the API's own fields back."""
    was, now = old["metadata"], new.setdefault("metadata", {})
    name = was["name"]
    if now.get("uid") not in (None, "", was["uid"]):
        why = f"Precondition failed: UID in precondition: {now['uid']}, UID in object meta: {was['uid']}"
        raise errors.conflict(resource, name, why)
    if not now.get("resourceVersion") and custom:
        detail = "must be specified for an update"
        raise invalid(resource, name, [bad_value("metadata.resourceVersion", 0, detail)])
    if now.get("resourceVersion") not in (None, "", was["resourceVersion"]):
        raise errors.modified(resource, name)
    for key in _KEPT:
        if key in was:
            now[key] = was[key]
        else:
            now.pop(key, None)
    now.pop("selfLink", None)
    if "managedFields" not in now and "managedFields" in was:
        now["managedFields"] = was["managedFields"]
    added = set(now.get("finalizers") or ()) - set(was.get("finalizers") or ())
    if terminating(old) and added:
        detail = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
        )
        raise invalid(resource, name, [forbidden("metadata.finalizers", detail)])


# Strategies


def _prepare_create(resource: Resource, obj: Object) -> None:
    # A kubelet registers its node together with the status; everything else earns its status afterwards.
    if "status" in resource.subresources and resource.key != "nodes":
        obj.pop("status", None)
    if resource.key == "namespaces":
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj["status"] = {"phase": "Active"}
    elif resource.key == "pods":
        obj["status"] = {"phase": "Pending"}
    elif resource.key == "jobs.batch":
        obj["status"] = {}
        _find_pods_again(obj)
    elif resource.key == "cronjobs.batch":
        obj["status"] = {}
    elif resource.key == "secrets":
        _take_string_data(obj)
    elif resource.key == CRDS:
        obj["metadata"].setdefault("finalizers", []).append(CRD_CLEANUP)
        obj["status"] = _crd_status(obj, {})


def _prepare_update(resource: Resource, new: Object, old: Object, subresource: str | None) -> None:
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
        _take_string_data(new)
    elif resource.key == CRDS:
        new["status"] = _crd_status(new, old.get("status") or {})


def _find_pods_again(job: Object) -> None:
    """Labels that no other Job's pods have, in template and selector. Validation finds what contradicts them."""
    spec, metadata = job.get("spec"), job["metadata"]
    template = spec.get("template") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(template, dict) or spec.get("manualSelector"):
        return
    labels = _mapping(_mapping(template, "metadata"), "labels")
    for label in ("job-name", "batch.kubernetes.io/job-name"):
        labels.setdefault(label, metadata["name"])
    for label in ("controller-uid", "batch.kubernetes.io/controller-uid"):
        labels.setdefault(label, metadata["uid"])
    _mapping(_mapping(spec, "selector"), "matchLabels").setdefault(
        "batch.kubernetes.io/controller-uid", metadata["uid"]
    )


def _mapping(obj: Object, field: str) -> Object:
    """The mapping at a field of an object that is not held against its schema yet."""
    found = obj.get(field)
    if not isinstance(found, dict):
        found = obj[field] = {}
    return found


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


def _take_string_data(secret: Object) -> None:
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


# DELETE


def delete(writer: Writer, resource: Resource, live: Object, options: DeleteOptions) -> tuple[Object, bool]:
    """What is (or was last) there, and whether it is gone."""
    metadata = live["metadata"]
    _check_preconditions(resource, metadata, options)
    admission = Admission("DELETE", resource, live, live, options.dry_run)
    for hook in [*writer.admission, *writer.validation]:
        hook(admission)
    resource = writer.registry.by_key(resource.key)
    marked = clone(live)
    finalizers = _finalizers(marked, options.propagation, job=resource.key == "jobs.batch")
    grace = _grace(resource, live, options.grace_seconds)
    held = bool(finalizers or grace or (resource.key == "namespaces" and at(live, "spec", "finalizers")))
    if not held:
        return (live, True) if options.dry_run else (writer.remove(resource, live), True)
    _mark(resource, marked, finalizers, grace)
    if marked == live or options.dry_run:
        return marked, False
    stored = writer.put(resource, marked)
    return stored, writer.find(resource, metadata.get("namespace"), metadata["name"]) is None


def _check_preconditions(resource: Resource, metadata: Object, options: DeleteOptions) -> None:
    for what, wanted, found in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
    ):
        if wanted and wanted != found:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            raise errors.conflict(resource, metadata["name"], why)


def _finalizers(obj: Object, propagation: str | None, *, job: bool = False) -> list[str]:
    present: list[str] = obj["metadata"].get("finalizers") or []
    if propagation is None:
        # A Job leaves its pods behind where nobody says otherwise, as it did before there was a choice.
        return [*present, ORPHAN] if job and not {FOREGROUND, ORPHAN} & {*present} else present
    others = [name for name in present if name not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    return others + wanted


def _grace(resource: Resource, live: Object, asked: int | None) -> int:
    """Seconds an object may still take. Only pods that run somewhere have any."""
    if resource.key != "pods":
        return 0
    spec, status = live["spec"], live.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    default: int = spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    wanted = default if asked is None else max(asked, 0)
    already = live["metadata"].get("deletionGracePeriodSeconds")
    return wanted if already is None else min(already, wanted)


def _mark(resource: Resource, obj: Object, finalizers: list[str], grace: int) -> None:
    metadata = obj["metadata"]
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if not terminating(obj) or grace != metadata.get("deletionGracePeriodSeconds"):
        metadata["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1
    if resource.key == "namespaces":
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}

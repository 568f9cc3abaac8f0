"""POST, PUT, PATCH and DELETE: from a request's body and options to the write path.

`scale` is the one subresource here that is not a part of its object; it is what `kubectl scale` reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from sandbox.api import api_errors as errors
from sandbox.api import kubernetes_protobuf as protobuf
from sandbox.api.deletion import Deletion, delete
from sandbox.api.read_requests import Reader
from sandbox.api.requests import Target, deletion_of, dry_run, flag, manager
from sandbox.api.writer import Write, Writer
from sandbox.core import label_selectors
from sandbox.core.cluster import Object
from sandbox.core.objects import at, clone, timestamp
from sandbox.schema import patch as patches
from sandbox.schema.apply import server_side_apply
from sandbox.schema.decode import Strictness, decode, parse_strict
from sandbox.schema.findings import bad_value, invalid, required

Result = tuple[int, Object, list[str]]
"""HTTP status, object, warnings."""

APPLY = "application/apply-patch+yaml"
_PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge_patch,
}


class Writes:
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def post(self, request: web.BaseRequest, target: Target) -> Result:
        obj, write = await _read(request)
        if target.name is not None:
            raise errors.method_not_allowed()
        _check_kind(target, obj)
        _check_names(target, obj)
        stored = self._writer.create(target.resource, target.namespace, obj, write)
        return 201, stored, write.warnings

    async def put(self, request: web.BaseRequest, target: Target) -> Result:
        obj, write = await _read(request)
        write.subresource = target.subresource
        live = self._reader.find(target)
        if target.subresource == "scale":
            return self._set_scale(target, live, obj, write)
        _check_kind(target, obj)
        _check_names(target, obj)
        stored = self._writer.replace(target.resource, live, obj, write)
        return 200, stored, write.warnings

    async def patch(self, request: web.BaseRequest, target: Target) -> Result:
        kind = request.content_type
        body, write = await _read(request)
        write.subresource = target.subresource
        if kind == APPLY:
            return self._apply(request, target, body, write)
        live = self._reader.find(target)
        scale = target.subresource == "scale"
        shown = scale_of(live) if scale else target.resource.versioned(live)
        if kind in _PATCHES:
            new = _PATCHES[kind](shown, body)
        elif kind == patches.STRATEGIC:
            new = patches.strategic_merge(self._writer.registry.type_of(target.resource), shown, body)
        else:
            raise errors.media_type_refused(kind, [*_PATCHES, APPLY])
        write.patch = body
        if scale:
            return self._set_scale(target, live, new, write)
        _check_names(target, new)
        stored = self._writer.replace(target.resource, live, new, write)
        return 200, stored, write.warnings

    def _apply(self, request: web.BaseRequest, target: Target, applied: Object, write: Write) -> Result:
        """Server-side apply: also creates."""
        if not request.query.get("fieldManager"):
            raise invalid(None, "", [required("fieldManager", "is required for apply patch")])
        if target.subresource == "scale":
            raise errors.media_type_refused(APPLY, _PATCHES)
        resource, name = target.resource, cast(str, target.name)
        _check_kind(target, applied)
        schema = self._writer.registry.type_of(resource)
        write.warnings += decode(resource, schema, applied, write.strictness, write.duplicates)
        applied.setdefault("metadata", {}).setdefault("name", name)
        if resource.namespaced:
            applied["metadata"].setdefault("namespace", target.namespace)
        _check_names(target, applied)
        live = self._writer.find(resource, target.namespace, name)
        merged = server_side_apply(
            resource,
            schema,
            None if live is None else resource.versioned(live),
            applied,
            write.manager,
            flag(request.query, "force"),
            timestamp(),
            target.subresource or "",
        )
        write.tracked, write.duplicates = True, ()
        if live is not None:
            return 200, self._writer.replace(resource, live, merged, write), write.warnings
        if target.subresource is not None:
            raise errors.not_found(resource, name)
        return 201, self._writer.create(resource, target.namespace, merged, write), write.warnings

    async def delete(self, request: web.BaseRequest, target: Target) -> Result:
        if target.subresource is not None:
            raise errors.method_not_allowed()
        how = await _deletion(request)
        last, gone = delete(self._writer, target.resource, self._reader.find(target), how)
        if not gone:
            return 200, last, []
        details = {**errors.details(target.resource, last["metadata"]["name"]), "uid": last["metadata"]["uid"]}
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return 200, status, []

    def _set_scale(self, target: Target, live: Object, scale: Object, write: Write) -> Result:
        resource, name = target.resource, live["metadata"]["name"]
        wanted: Any = at(scale, "spec", "replicas") or 0
        if not isinstance(wanted, int) or wanted < 0:
            detail = "must be greater than or equal to 0"
            raise invalid(resource, name, [bad_value("spec.replicas", wanted, detail)])
        expected = at(scale, "metadata", "resourceVersion")
        if expected and expected != live["metadata"]["resourceVersion"]:
            raise errors.modified(resource, name)
        new = clone(live)
        new["spec"]["replicas"] = wanted
        write.patch = None
        return 200, scale_of(self._writer.replace(resource, live, new, write)), write.warnings


def scale_of(live: Object) -> Object:
    """An autoscaling/v1 Scale that shows `live`, a Deployment or ReplicaSet."""
    metadata, selector = live["metadata"], label_selectors.to_text(at(live, "spec", "selector"))
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "spec": {"replicas": at(live, "spec", "replicas") or 0},
        "status": {"replicas": at(live, "status", "replicas") or 0, **({"selector": selector} if selector else {})},
    }


async def read_body(request: web.BaseRequest) -> tuple[Any, list[str]]:
    """The body's value (an object, unless it is a patch), and what is there twice in it."""
    # kubectl scale says nothing about its body, which is JSON.
    kind = request.content_type if "Content-Type" in request.headers else "application/json"
    if kind == protobuf.MEDIA_TYPE:
        return protobuf.decode(await request.read()), []
    yaml = kind in (APPLY, "application/yaml")
    if not yaml and "json" not in kind and request.method != "PATCH":
        raise errors.media_type_refused(kind, ["application/json", "application/yaml", protobuf.MEDIA_TYPE])
    value, duplicates = parse_strict(await request.read(), yaml=yaml)
    if not isinstance(value, dict) and "-patch+json" not in kind:
        raise errors.bad_request("the object provided is unrecognized: it is not an object")
    return value, duplicates


async def _read(request: web.BaseRequest) -> tuple[Any, Write]:
    """The body's value, and how the write is meant."""
    value, duplicates = await read_body(request)
    strictness = request.query.get("fieldValidation") or "Warn"
    if strictness not in ("Strict", "Warn", "Ignore"):
        raise errors.bad_request(f'fieldValidation: Unsupported value: "{strictness}"')
    return value, Write(
        manager(request.query, request.headers.get("User-Agent", "")),
        dry_run(request.query),
        strictness=cast(Strictness, strictness),
        duplicates=duplicates,
    )


def _check_kind(target: Target, obj: Object) -> None:
    resource = target.resource
    version = obj.setdefault("apiVersion", resource.api_version)
    kind = obj.setdefault("kind", resource.kind)
    for what, got, expected in (("API version", version, resource.api_version), ("kind", kind, resource.kind)):
        if got != expected:
            why = f"the {what} in the data ({got}) does not match the expected {what} ({expected})"
            raise errors.bad_request(why)


def _check_names(target: Target, obj: Object) -> None:
    """What an object says about where it is must agree with the URL."""
    namespace, name = at(obj, "metadata", "namespace"), at(obj, "metadata", "name")
    if target.resource.namespaced and namespace not in (None, "", target.namespace):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name is not None and name != target.name:
        raise errors.bad_request(
            f"the name of the object ({name or ''}) does not match the name on the URL ({target.name})"
        )


async def _deletion(request: web.BaseRequest) -> Deletion:
    """From the body (metav1.DeleteOptions) or, without one, the query."""
    options = (await read_body(request))[0] if request.body_exists and await request.read() else {}
    return deletion_of(options, request.query)

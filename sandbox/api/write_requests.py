"""POST, PUT, PATCH and DELETE: from a request's body and options to the write path.

`scale` is the one subresource here that is not a part of its object; it is what `kubectl scale` reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from sandbox.api import api_errors as errors
from sandbox.api import kubernetes_protobuf as protobuf
from sandbox.api.read_requests import Reader
from sandbox.api.requests import RequestInfo, delete_options, dry_run, flag, manager
from sandbox.api.writer import DeleteOptions, WriteOptions, Writer, delete
from sandbox.core import label_selectors
from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import at, clone, timestamp
from sandbox.schema import patch as patches
from sandbox.schema import types
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

    async def post(self, request: web.BaseRequest, info: RequestInfo) -> Result:
        obj, options = await _read(request)
        if info.name is not None:
            raise errors.method_not_allowed()
        _check_kind(info.resource, obj)
        _check_names(info, obj)
        stored = self._writer.create(info.resource, info.namespace, obj, options)
        return 201, stored, options.warnings

    async def put(self, request: web.BaseRequest, info: RequestInfo) -> Result:
        obj, options = await _read(request)
        options.subresource = info.subresource
        live = self._reader.find(info)
        if info.subresource == "scale":
            return self._set_scale(info, live, obj, options)
        _check_kind(info.resource, obj)
        _check_names(info, obj)
        stored = self._writer.replace(info.resource, live, obj, options)
        return 200, stored, options.warnings

    async def patch(self, request: web.BaseRequest, info: RequestInfo) -> Result:
        media_type = request.content_type
        body, options = await _read(request)
        options.subresource = info.subresource
        if media_type == APPLY:
            return self._apply(request, info, body, options)
        live = self._reader.find(info)
        scale = info.subresource == "scale"
        shown = scale_of(live) if scale else info.resource.versioned(live)
        if media_type in _PATCHES:
            new = _PATCHES[media_type](shown, body)
        elif media_type == patches.STRATEGIC:
            new = patches.strategic_merge(self._writer.registry.type_of(info.resource), shown, body)
        else:
            raise errors.media_type_refused(media_type, [*_PATCHES, APPLY])
        options.patch = body
        if scale:
            return self._set_scale(info, live, new, options)
        _check_names(info, new)
        stored = self._writer.replace(info.resource, live, new, options)
        return 200, stored, options.warnings

    def _apply(self, request: web.BaseRequest, info: RequestInfo, applied: Object, options: WriteOptions) -> Result:
        """Server-side apply: also creates."""
        if not request.query.get("fieldManager"):
            raise invalid(None, "", [required("fieldManager", "is required for apply patch")])
        if info.subresource == "scale":
            raise errors.media_type_refused(APPLY, _PATCHES)
        resource, name = info.resource, cast(str, info.name)
        _check_kind(info.resource, applied)
        schema = self._writer.registry.type_of(resource)
        options.warnings += decode(resource, schema, applied, options.strictness, options.duplicates)
        applied.setdefault("metadata", {}).setdefault("name", name)
        if resource.namespaced:
            applied["metadata"].setdefault("namespace", info.namespace)
        _check_names(info, applied)
        live = self._writer.find(resource, info.namespace, name)
        merged = server_side_apply(
            resource,
            schema,
            None if live is None else resource.versioned(live),
            applied,
            options.manager,
            flag(request.query, "force"),
            timestamp(),
            info.subresource or "",
        )
        options.tracked, options.duplicates = True, ()
        if live is not None:
            return 200, self._writer.replace(resource, live, merged, options), options.warnings
        if info.subresource is not None:
            raise errors.not_found(resource, name)
        return 201, self._writer.create(resource, info.namespace, merged, options), options.warnings

    async def delete(self, request: web.BaseRequest, info: RequestInfo) -> Result:
        if info.subresource is not None:
            raise errors.method_not_allowed()
        options = await _delete_options(request)
        last, gone = delete(self._writer, info.resource, self._reader.find(info), options)
        if not gone:
            return 200, last, []
        details = {**errors.details(info.resource, last["metadata"]["name"]), "uid": last["metadata"]["uid"]}
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return 200, status, []

    def _set_scale(self, info: RequestInfo, live: Object, scale: Object, options: WriteOptions) -> Result:
        resource, name = info.resource, live["metadata"]["name"]
        _check_kind(_SCALE, scale)
        kind = types.named("io.k8s.api.autoscaling.v1.Scale")
        options.warnings += decode(_SCALE, kind, scale, options.strictness, options.duplicates, patch=options.patch)
        options.duplicates = ()
        wanted: Any = at(scale, "spec", "replicas") or 0
        if wanted < 0:
            detail = "must be greater than or equal to 0"
            raise invalid(resource, name, [bad_value("spec.replicas", wanted, detail)])
        expected = at(scale, "metadata", "resourceVersion")
        if expected and expected != live["metadata"]["resourceVersion"]:
            raise errors.modified(resource, name)
        new = clone(live)
        new["spec"]["replicas"] = wanted
        options.patch = None
        return 200, scale_of(self._writer.replace(resource, live, new, options)), options.warnings


_SCALE = Resource("autoscaling", "v1", "scale", "Scale", namespaced=True)


def scale_of(live: Object) -> Object:
    """An autoscaling/v1 Scale that shows `live`, a Deployment or ReplicaSet."""
    metadata, selector = live["metadata"], label_selectors.to_text(at(live, "spec", "selector"))
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": _SCALE.kind,
        "apiVersion": _SCALE.api_version,
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "spec": {"replicas": at(live, "spec", "replicas") or 0},
        "status": {"replicas": at(live, "status", "replicas") or 0, **({"selector": selector} if selector else {})},
    }


async def read_body(request: web.BaseRequest) -> tuple[Any, list[str]]:
    """The body's value (an object, unless it is a patch), and what is there twice in it."""
    # kubectl scale says nothing about its body, which is JSON.
    media_type = request.content_type if "Content-Type" in request.headers else "application/json"
    if media_type == protobuf.MEDIA_TYPE:
        return protobuf.decode(await request.read()), []
    yaml = media_type in (APPLY, "application/yaml")
    if not yaml and "json" not in media_type and request.method != "PATCH":
        raise errors.media_type_refused(media_type, ["application/json", "application/yaml", protobuf.MEDIA_TYPE])
    value, duplicates = parse_strict(await request.read(), yaml=yaml)
    if not isinstance(value, dict) and "-patch+json" not in media_type:
        raise errors.bad_request("the object provided is unrecognized: it is not an object")
    return value, duplicates


async def read_object(request: web.BaseRequest, resource: Resource) -> tuple[Object, WriteOptions]:
    """The body's object, of a kind that is not stored, and the query's options."""
    obj, options = await _read(request)
    _check_kind(resource, obj)
    kind = types.of_kind(resource.api_version, resource.kind)
    assert kind is not None
    options.warnings += decode(resource, kind, obj, options.strictness, options.duplicates)
    return obj, options


async def _read(request: web.BaseRequest) -> tuple[Any, WriteOptions]:
    """The body's value, and the query's options."""
    value, duplicates = await read_body(request)
    strictness = request.query.get("fieldValidation") or "Warn"
    if strictness not in ("Strict", "Warn", "Ignore"):
        raise errors.bad_request(f'fieldValidation: Unsupported value: "{strictness}"')
    return value, WriteOptions(
        manager(request.query, request.headers.get("User-Agent", "")),
        dry_run(request.query),
        strictness=cast(Strictness, strictness),
        duplicates=duplicates,
    )


def _check_kind(resource: Resource, obj: Object) -> None:
    version = obj.setdefault("apiVersion", resource.api_version)
    kind = obj.setdefault("kind", resource.kind)
    for what, got, expected in (("API version", version, resource.api_version), ("kind", kind, resource.kind)):
        if got != expected:
            why = f"the {what} in the data ({got}) does not match the expected {what} ({expected})"
            raise errors.bad_request(why)


def _check_names(info: RequestInfo, obj: Object) -> None:
    """What an object says about where it is must agree with the URL."""
    namespace, name = at(obj, "metadata", "namespace"), at(obj, "metadata", "name")
    if info.resource.namespaced and namespace not in (None, "", info.namespace):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if info.name is not None and name != info.name:
        raise errors.bad_request(
            f"the name of the object ({name or ''}) does not match the name on the URL ({info.name})"
        )


async def _delete_options(request: web.BaseRequest) -> DeleteOptions:
    """From the body (metav1.DeleteOptions) or, without one, the query."""
    options = (await read_body(request))[0] if request.body_exists and await request.read() else {}
    return delete_options(options, request.query)

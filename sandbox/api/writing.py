"""POST, PUT, PATCH and DELETE: from a request's body and options to the write path."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from aiohttp import web

from sandbox.api import errors, protobuf, subresources
from sandbox.api.conversion import as_served
from sandbox.api.delete_options import deletion_of
from sandbox.api.deletion import Deletion, delete
from sandbox.api.reading import Reader
from sandbox.api.requests import Answer, Target, dry_run, flag, manager
from sandbox.api.writes import Write, Writer
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import at, timestamp
from sandbox.schema import patch as patches
from sandbox.schema.apply import server_side_apply
from sandbox.schema.decode import Strictness, decode, parse_strict
from sandbox.schema.findings import invalid, required

Result = tuple[int, Object, list[str]]
"""HTTP status, object, warnings."""

APPLY = "application/apply-patch+yaml"
_PATCH_TYPES = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge_patch,
}
STRATEGIC = "application/strategic-merge-patch+json"


class Writes:
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def post(self, request: web.BaseRequest, target: Target) -> Result:
        obj, write = await _read(request)
        if target.subresource is not None:
            return subresources.post(self._writer, target, self._reader.find(target), obj, write)
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
            return subresources.set_scale(self._writer, target, live, obj, write)
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
        if target.subresource == "scale":
            shown = subresources.scale_of(self._writer.registry, target, live)
        else:
            shown = as_served(live, target.resource)
        write.patch = body
        if kind == STRATEGIC:
            if self._writer.registry.is_custom(target.resource.key):
                raise _unsupported(kind, [*_PATCH_TYPES, APPLY])
            new = patches.strategic_merge(target.resource, shown, body)
        elif kind in _PATCH_TYPES:
            new = _PATCH_TYPES[kind](shown, body)
        else:
            raise _unsupported(kind, [*_PATCH_TYPES, STRATEGIC, APPLY])
        if target.subresource == "scale":
            return subresources.set_scale(self._writer, target, live, new, write)
        _check_names(target, new)
        stored = self._writer.replace(target.resource, live, new, write)
        return 200, stored, write.warnings

    def _apply(self, request: web.BaseRequest, target: Target, applied: Object, write: Write) -> Result:
        """Server-side apply: also creates."""
        if not request.query.get("fieldManager"):
            raise invalid(None, "", [required("fieldManager", "is required for apply patch")])
        if target.subresource == "scale":
            raise _unsupported(APPLY, [*_PATCH_TYPES])
        resource, name = target.resource, cast(str, target.name)
        _check_kind(target, applied)
        crd_type = self._writer.registry.type_of(resource)
        write.warnings += decode(resource, applied, write.strictness, write.duplicates, crd_type)
        applied.setdefault("metadata", {}).setdefault("name", name)
        if resource.namespaced:
            applied["metadata"].setdefault("namespace", target.namespace)
        _check_names(target, applied)
        live = self._writer.find(resource, target.namespace, name)
        merged = server_side_apply(
            resource,
            None if live is None else as_served(live, resource),
            applied,
            write.manager,
            flag(request.query, "force"),
            timestamp(),
            target.subresource or "",
            crd_type,
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
        if target.name is None:
            return self._delete_collection(request, target, how)
        last, gone = delete(self._writer, target.resource, self._reader.find(target), how)
        if not gone:
            return 200, last, []
        details = {**errors.details(target.resource, target.name), "uid": last["metadata"]["uid"]}
        return (
            200,
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details},
            [],
        )

    def _delete_collection(self, request: web.BaseRequest, target: Target, how: Deletion) -> Result:
        found = self._reader.collect(target, Answer("object"), request.query)
        for item in found["items"]:
            named = replace(target, namespace=item["metadata"].get("namespace"), name=item["metadata"]["name"])
            delete(self._writer, target.resource, self._reader.find(named), how)
        return 200, found, []


async def read_body(request: web.BaseRequest) -> tuple[Any, list[str]]:
    """The body's value (an object, unless it is a patch), and what is there twice in it."""
    # kubectl scale says nothing about its body, which is JSON.
    kind = request.content_type if "Content-Type" in request.headers else "application/json"
    if kind == protobuf.MEDIA_TYPE:
        return protobuf.decode(await request.read()), []
    yaml = kind in (APPLY, "application/yaml", "application/x-yaml")
    if not yaml and "json" not in kind and request.method != "PATCH":
        raise _unsupported(kind, ["application/json", "application/yaml", protobuf.MEDIA_TYPE])
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


def _unsupported(kind: str, known: list[str]) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
    return ApiError(415, "UnsupportedMediaType", f"{message} (got {kind})")


def _check_kind(target: Target, obj: Object) -> None:
    resource = target.resource
    version = obj.setdefault("apiVersion", resource.api_version)
    kind = obj.setdefault("kind", resource.kind)
    if version != resource.api_version:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match "
            f"the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        raise errors.bad_request(
            f"the kind in the data ({kind}) does not match the expected kind ({resource.kind})"
        )


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
    if request.body_exists and await request.read():
        options, _ = await read_body(request)
        return deletion_of(options, request.query)
    return deletion_of({}, request.query)

"""GET of an object and of lists: selectors, pages, and the form the client wants."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import cast

from sandbox.api import errors, tables
from sandbox.api.conversion import as_served
from sandbox.api.kinds import Registry, storage_key
from sandbox.api.requests import Answer, Target, number
from sandbox.api.selectors import Match, field_selector, label_selector
from sandbox.api.store import Store
from sandbox.core import nesting
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import at

_KEPT_PAGES = 16


class Reader:
    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._pages: dict[int, tuple[str, list[Object]]] = {}
        """Lists that a client has begun to read, so that all its pages show one moment."""
        self._last_page = 0

    def find(self, target: Target) -> Object:
        """The stored object. Raises ApiError NotFound."""
        assert target.name is not None
        found = self._store.get(storage_key(target.resource), target.namespace, target.name)
        if found is None:
            raise errors.not_found(target.resource, target.name)
        return found

    def get(self, target: Target, answer: Answer, query: Mapping[str, str]) -> Object:
        return self.shown(target, self.find(target), answer, query)

    def shown(self, target: Target, obj: Object, answer: Answer, query: Mapping[str, str]) -> Object:
        """One object in the form asked for."""
        obj = as_served(obj, target.resource)
        if answer.form == "object":
            return obj
        if answer.form == "metadata":
            return _partial(obj)
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return self._table(target, [obj], metadata, answer, query)

    def collect(self, target: Target, answer: Answer, query: Mapping[str, str]) -> Object:
        revision, objects = self._selected(target, query)
        metadata: Object = {"resourceVersion": revision}
        objects = self._page(revision, objects, metadata, query)
        served = [as_served(obj, target.resource) for obj in objects]
        if answer.form == "table":
            return self._table(target, served, metadata, answer, query)
        if answer.form == "metadata":
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            served = [_partial(obj) for obj in served]
        else:
            kind, version = self._list_kind(target), target.resource.api_version
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": served}

    def matcher(self, target: Target, query: Mapping[str, str]) -> Match:
        """What of a kind's stored objects a list or watch is about."""
        resource = target.resource
        tests: list[Match] = []
        if target.namespace is not None:
            tests.append(lambda obj: obj["metadata"].get("namespace") == target.namespace)
        if text := query.get("labelSelector"):
            tests.append(label_selector(text))
        if text := query.get("fieldSelector"):
            crd = self._registry.crds.get(resource.key)
            tests.append(field_selector(resource, text, _selectable(crd, resource.version)))
        return lambda obj: all(test(obj) for test in tests)

    def layout(self, target: Target) -> tables.Layout:
        return tables.layout_of(target.resource, self._registry.crds.get(target.resource.key))

    def _selected(self, target: Target, query: Mapping[str, str]) -> tuple[str, list[Object]]:
        if query.get("continue"):
            return self._continued(query["continue"])
        wanted = number(query, "resourceVersion")
        if wanted and wanted > self._store.revision:
            raise ApiError(504, "Timeout", f"Too large resource version: {wanted}, current: {self._store.revision}")
        if query.get("resourceVersionMatch") == "Exact" and wanted != self._store.revision:
            raise ApiError(410, "Expired", f"The resourceVersion for the provided list is too old: {wanted}")
        match = self.matcher(target, query)
        found = self._store.list(storage_key(target.resource), target.namespace)
        return str(self._store.revision), [obj for obj in found if match(obj)]

    def _page(
        self, revision: str, objects: list[Object], metadata: Object, query: Mapping[str, str]
    ) -> list[Object]:
        limit = number(query, "limit")
        if not limit or limit < 0 or len(objects) <= limit:
            return objects
        self._last_page += 1
        self._pages[self._last_page] = (revision, objects[limit:])
        while len(self._pages) > _KEPT_PAGES:
            self._pages.pop(next(iter(self._pages)))
        metadata["continue"] = base64.urlsafe_b64encode(json.dumps({"page": self._last_page}).encode()).decode()
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            metadata["remainingItemCount"] = len(objects) - limit
        return objects[:limit]

    def _continued(self, token: str) -> tuple[str, list[Object]]:
        try:
            page = int(nesting.parse(base64.urlsafe_b64decode(token))["page"])
        except (binascii.Error, ValueError, KeyError, TypeError):
            raise errors.bad_request("continue key is not valid") from None
        if page not in self._pages:
            why = "The provided continue parameter is too old to display a consistent list result."
            raise ApiError(410, "Expired", why)
        return self._pages[page]

    def _list_kind(self, target: Target) -> str:
        crd = self._registry.crds.get(target.resource.key)
        return at(crd, "spec", "names", "listKind") or f"{target.resource.kind}List"

    def _table(
        self,
        target: Target,
        objects: Sequence[Object],
        metadata: Object,
        answer: Answer,
        query: Mapping[str, str],
    ) -> Object:
        return tables.table(self.layout(target), objects, include(query), metadata=metadata, version=answer.version)


def include(query: Mapping[str, str]) -> tables.IncludeObject:
    wanted = query.get("includeObject") or "Metadata"
    if wanted in ("None", "Metadata", "Object"):
        return cast(tables.IncludeObject, wanted)
    raise errors.bad_request(f"unrecognized includeObject value: {wanted!r}")


def _partial(obj: Object) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _selectable(crd: Object | None, version: str) -> list[str]:
    if crd is None:
        return []
    served = next(entry for entry in crd["spec"]["versions"] if entry["name"] == version)
    return [field["jsonPath"].removeprefix(".") for field in served.get("selectableFields") or ()]

"""GET and WATCH: objects and lists by selectors, in the form the client wants, and lists' changes as a stream.

Lists are given whole, though a large one is written and sent in pieces, between which the loop has its turn: it is
the state of one moment all the same, as objects are never changed in place. `limit` is a wish that a server may
leave unmet (metav1.ListOptions says so), and then there is no `continue`.

A watch begins with what is there (no resourceVersion), with what happened since a resourceVersion, or, for
clients that ask for `sendInitialEvents`, with what is there followed by a bookmark that says so; there are no other
bookmarks, on which no client may count. An object that comes to match a selector is ADDED for this watch, one that
ceases to is DELETED.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from sandbox.api import api_errors as errors
from sandbox.api import kubectl_tables as tables
from sandbox.api.answers import whole
from sandbox.api.kinds import Registry
from sandbox.api.requests import Form, RequestInfo, flag, number
from sandbox.api.store import Record, Store
from sandbox.core import json_text, label_selectors
from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.core.objects import at
from sandbox.core.turns import Turns

Match = Callable[[Object], bool]
Encode = Callable[[str, Object], Object]
Event = tuple[str, Object]
"""ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and what it is about."""

_LONGEST = 3600.0
_FIELDS: Mapping[str, str] = {
    "pods": "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
    "status.phase status.podIP status.nominatedNodeName",
    "events": "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
    "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath "
    "reason reportingComponent source type",
    "namespaces": "status.phase",
    "nodes": "spec.unschedulable",
    "secrets": "type",
    "services": "spec.clusterIP spec.type",
    "replicasets.apps": "status.replicas",
}
"""What field selectors may ask of kinds, besides their name and namespace."""


_PIECE = 32
"""Objects that are written in one go."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a list or a watch is about: all that `match` have at least these `labels`."""

    labels: Mapping[str, str]
    match: Match


class Reader:
    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def find(self, info: RequestInfo) -> Object:
        """The stored object. Raises ApiError NotFound."""
        assert info.name is not None
        found = self._store.get(info.resource.key, info.namespace, info.name)
        if found is None:
            raise errors.not_found(info.resource, info.name)
        return found

    def shown(self, info: RequestInfo, obj: Object, form: Form, query: Mapping[str, str]) -> Object:
        """One object in the form asked for."""
        obj = info.resource.versioned(obj)
        if form == "object":
            return obj
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return tables.table(self._layout(info), [obj], _include(query), metadata=metadata)

    async def listing(self, request: web.BaseRequest, info: RequestInfo, form: Form) -> web.StreamResponse:
        """What is there at this moment, in pieces where it is much."""
        query = request.query
        number(query, "limit")
        if query.get("continue"):
            raise errors.bad_request("continue key is not valid: the sandbox gives lists whole")
        revision, wanted = self._store.revision, number(query, "resourceVersion")
        if wanted and wanted > revision:
            raise ApiError(504, "Timeout", f"Too large resource version: {wanted}, current: {revision}")
        if query.get("resourceVersionMatch") == "Exact" and wanted != revision:
            raise ApiError(410, "Expired", f"The resourceVersion for the provided list is too old: {wanted}")
        asked, resource = self._question(info, query), info.resource
        found = self._present(info, asked)
        metadata = {"resourceVersion": str(revision)}
        if form == "table":
            layout, include = self._layout(info), _include(query)
            head, field = tables.table(layout, [], include, metadata=metadata), "rows"

            def shown(obj: Object) -> Object:
                return tables.row(layout, resource.versioned(obj), include)

        else:
            kind = at(self._registry.crds.get(resource.key), "spec", "names", "listKind") or f"{resource.kind}List"
            head, field = {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata}, "items"
            shown = resource.versioned
        head.pop(field, None)
        pieces = [json_text.encode({**head, field: []})[:-2]]
        turns, first = Turns(), True
        for start in range(0, len(found), _PIECE):
            written = [json_text.encode(shown(obj)) for obj in found[start : start + _PIECE] if asked.match(obj)]
            if written:
                pieces.append((b"" if first else b",") + b",".join(written))
                first = False
            await turns.give()
        pieces.append(b"]}")
        return await whole(request, pieces, {"Content-Type": "application/json"})

    async def watch(self, request: web.BaseRequest, info: RequestInfo, form: Form) -> web.StreamResponse:
        """Until the client leaves, its `timeoutSeconds` are over or the kind is withdrawn."""
        query = request.query
        asked, encode = self._question(info, query), self._encoder(info, form, query)
        # No await between these two: nothing can happen that is in neither or in both.
        first = self._first_events(asked, info, query)
        changes = self._store.subscribe(info.resource.key)
        since = 0 if flag(query, "sendInitialEvents") else number(query, "resourceVersion") or 0
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        turns = Turns()
        for start in range(0, len(first), _PIECE):
            told = (
                _line(encode, kind, obj)
                for kind, obj, to_match in first[start : start + _PIECE]
                if not to_match or asked.match(obj)
            )
            await response.write(b"".join(told))
            await turns.give()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(number(query, "timeoutSeconds") or _LONGEST, _LONGEST)):
                while (record := await changes.next()) is not None:
                    if record.revision <= since:  # what comes up to a revision that is still to come is known
                        continue
                    for kind, obj in _seen(record, asked.match):
                        await response.write(_line(encode, kind, info.resource.versioned(obj)))
        await response.write_eof()
        return response

    def _present(self, info: RequestInfo, asked: Question) -> Sequence[Object]:
        """What is there now, among it all that is asked for."""
        return self._store.list(info.resource.key, info.namespace, asked.labels)

    def _first_events(
        self, asked: Question, info: RequestInfo, query: Mapping[str, str]
    ) -> list[tuple[str, Object, bool]]:
        """Events' kinds and objects, and whether these are still to be matched."""
        store, resource = self._store, info.resource
        revision = number(query, "resourceVersion") or 0
        initial = flag(query, "sendInitialEvents")
        if initial or revision == 0:
            events = [("ADDED", resource.versioned(obj), True) for obj in self._present(info, asked)]
            if initial and flag(query, "allowWatchBookmarks"):
                events.append(("BOOKMARK", _end_of_initial_events(info, store.revision), False))
            return events
        try:
            missed = store.since(resource.key, revision)
        except ApiError as error:
            return [("ERROR", error.status(), False)]
        return [
            (kind, resource.versioned(obj), False) for record in missed for kind, obj in _seen(record, asked.match)
        ]

    def _question(self, info: RequestInfo, query: Mapping[str, str]) -> Question:
        """What of a kind's stored objects a list or watch is about."""
        tests: list[Match] = []
        labels: Mapping[str, str] = {}
        if info.name is not None:
            tests.append(lambda obj: obj["metadata"]["name"] == info.name)
        if info.namespace is not None:
            tests.append(lambda obj: obj["metadata"].get("namespace") == info.namespace)
        if text := query.get("labelSelector"):
            selector = label_selectors.parse(text)
            labels = label_selectors.required(selector)
            tests.append(lambda obj: label_selectors.selects(selector, obj))
        if text := query.get("fieldSelector"):
            tests.append(field_selector(info.resource, text))
        return Question(labels, lambda obj: all(test(obj) for test in tests))

    def _layout(self, info: RequestInfo) -> tables.Layout:
        return tables.layout_of(info.resource, self._registry.crds.get(info.resource.key))

    def _encoder(self, info: RequestInfo, form: Form, query: Mapping[str, str]) -> Encode:
        if form == "object":
            return lambda _, obj: obj
        layout, wanted = self._layout(info), _include(query)
        blank = tables.Layout(layout.columns, lambda _: [""] * len(layout.columns))
        sent = False

        def as_table(kind: str, obj: Object) -> Object:
            nonlocal sent
            if kind == "ERROR":
                return obj
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            table = tables.table(blank if kind == "BOOKMARK" else layout, [obj], wanted, metadata=metadata)
            if sent:
                # The client keeps the columns of the first table.
                table["columnDefinitions"] = None
            sent = True
            return table

        return as_table


def _seen(record: Record, match: Match) -> Iterator[Event]:
    """A change as a watch with a selector sees it."""
    was = record.old is not None and match(record.old)
    now = record.type != "DELETED" and match(record.object)
    if now:
        yield ("MODIFIED" if was else "ADDED"), record.object
    elif was:
        yield "DELETED", record.object


def _end_of_initial_events(info: RequestInfo, revision: int) -> Object:
    annotations = {"k8s.io/initial-events-end": "true"}
    metadata = {"resourceVersion": str(revision), "creationTimestamp": None, "annotations": annotations}
    return {"kind": info.resource.kind, "apiVersion": info.resource.api_version, "metadata": metadata}


def _line(encode: Encode, kind: str, obj: Object) -> bytes:
    event = {"type": kind, "object": encode(kind, obj)}
    return json_text.encode(event) + b"\n"


def _include(query: Mapping[str, str]) -> tables.IncludeObject:
    wanted = query.get("includeObject") or "Metadata"
    if wanted in ("None", "Metadata", "Object"):
        return cast(tables.IncludeObject, wanted)
    raise errors.bad_request(f"unrecognized includeObject value: {wanted!r}")


def field_selector(resource: Resource, text: str) -> Match:
    """Of a `--field-selector`. Raises ApiError for a field that objects of the kind are not selected by."""
    known = {"metadata.name", "metadata.namespace", *_FIELDS.get(resource.key, "").split()}
    tests: list[tuple[list[str], str, bool]] = []
    for term in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term)
        if match is None:
            raise errors.bad_request(f"invalid field selector: {text!r}; cannot parse {term!r}")
        field, operator, value = match.groups()
        if field not in known:
            raise errors.bad_request(f"field label not supported: {field}")
        tests.append((field.split("."), value, operator != "!="))
    return lambda obj: all((_field(obj, path) == value) == equal for path, value, equal in tests)


def _field(obj: Object, path: Sequence[str]) -> str:
    value: Any = at(obj, *(["source", "component"] if path == ["source"] else path))
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path[-1] in ("unschedulable", "hostNetwork") else "0" if path[-1] == "replicas" else ""
    return str(value)

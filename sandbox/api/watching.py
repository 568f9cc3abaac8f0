"""WATCH: a list's changes as a stream of JSON lines.

A watch begins with what is there (no resourceVersion), with what happened since a resourceVersion, or, for
clients that ask for `sendInitialEvents`, with what is there followed by a bookmark that says so. An object
that comes to match a selector is ADDED for this watch, one that ceases to is DELETED.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

from sandbox.api import tables
from sandbox.api.conversion import as_served
from sandbox.api.kinds import storage_key
from sandbox.api.reading import Reader, include
from sandbox.api.requests import Answer, Target, flag, number
from sandbox.api.selectors import Match
from sandbox.api.store import Record, Store
from sandbox.core.cluster import ApiError, Object

_BOOKMARK_EVERY = 60.0
_LONGEST = 3600.0

Encode = Callable[[str, Object], Object]


async def watch(
    request: web.BaseRequest, store: Store, reader: Reader, target: Target, answer: Answer
) -> web.StreamResponse:
    """Until the client leaves, its `timeoutSeconds` are over or the kind is withdrawn."""
    query = request.query
    match = reader.matcher(target, query)
    encode = _encoder(reader, target, answer, query)
    key = storage_key(target.resource)
    # No await between these two: nothing can happen that is in neither or in both.
    first = list(_first_events(store, key, match, target, query))
    changes = store.subscribe(key)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(b"".join(_line(encode, kind, obj) for kind, obj in first))
    ends = time.monotonic() + min(number(query, "timeoutSeconds") or _LONGEST, _LONGEST)
    bookmarks = flag(query, "allowWatchBookmarks")
    while (left := ends - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(min(left, _BOOKMARK_EVERY)):
                record = await changes.next()
        except TimeoutError:
            if bookmarks:
                await response.write(_line(encode, "BOOKMARK", _bookmark(target, store.revision)))
            continue
        if record is None:
            break
        for kind, obj in _seen(record, match):
            await response.write(_line(encode, kind, as_served(obj, target.resource)))
    await response.write_eof()
    return response


def _first_events(
    store: Store, key: str, match: Match, target: Target, query: Mapping[str, str]
) -> Iterator[tuple[str, Object]]:
    revision = number(query, "resourceVersion") or 0
    initial = flag(query, "sendInitialEvents")
    if initial or revision == 0:
        for obj in store.list(key, target.namespace):
            if match(obj):
                yield "ADDED", as_served(obj, target.resource)
        if initial and flag(query, "allowWatchBookmarks"):
            yield "BOOKMARK", _bookmark(target, store.revision, {"k8s.io/initial-events-end": "true"})
        return
    try:
        # A revision to come is one of an earlier sandbox in this place: the client must begin again.
        missed = store.since(key, revision if revision <= store.revision else 0)
    except ApiError as error:
        yield "ERROR", error.status()
        return
    for record in missed:
        for kind, obj in _seen(record, match):
            yield kind, as_served(obj, target.resource)


def _seen(record: Record, match: Match) -> Iterator[tuple[str, Object]]:
    """A change as a watch with a selector sees it."""
    was = record.old is not None and match(record.old)
    now = record.type != "DELETED" and match(record.object)
    if now:
        yield ("MODIFIED" if was else "ADDED"), record.object
    elif was:
        yield "DELETED", record.object


def _bookmark(target: Target, revision: int, annotations: Mapping[str, str] | None = None) -> Object:
    metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "kind": target.resource.kind,
        "apiVersion": target.resource.api_version,
        "metadata": metadata,
    }


def _encoder(reader: Reader, target: Target, answer: Answer, query: Mapping[str, str]) -> Encode:
    if answer.form == "object":
        return lambda _, obj: obj
    if answer.form == "metadata":
        return lambda kind, obj: reader.shown(target, obj, answer, query) if kind != "ERROR" else obj
    layout, wanted = reader.layout(target), include(query)
    blank = tables.Layout(layout.columns, lambda _: [""] * len(layout.columns))
    sent = False

    def as_table(kind: str, obj: Object) -> Object:
        nonlocal sent
        if kind == "ERROR":
            return obj
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        used = blank if kind == "BOOKMARK" else layout
        table = tables.table(used, [obj], wanted, metadata=metadata, version=answer.version)
        if sent:
            # The client keeps the columns of the first table.
            table["columnDefinitions"] = None
        sent = True
        return table

    return as_table


def _line(encode: Encode, kind: str, obj: Object) -> bytes:
    event = {"type": kind, "object": encode(kind, obj)}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"

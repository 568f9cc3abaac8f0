"""Jaeger's query API (`/api/...`) and the pages, below the base path: parameters, JSON, errors and their statuses.

What Jaeger has and this one has not is refused by its name: a path with 404, a parameter with 400.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from aiohttp import web
from multidict import MultiMapping

from sandbox.core.durations import seconds
from sandbox.core.turns import Turns
from sandbox.jaeger import trace_pages
from sandbox.jaeger.spans import Span, SpanStore, Trace, Value

_LOOKBACK = 2 * 24 * 3600 * 1_000_000
"""Microseconds: how far back traces are looked for where nobody says it."""
_LIMIT, _LISTED = 100, 20
"""Traces, of the API and of the page."""
_ID = re.compile(r"[0-9a-fA-F]{1,32}")

_SEARCH = (
    *("service", "operation", "start", "end", "limit", "minDuration", "maxDuration", "tag", "tags", "traceID"),
    "lookback",
)
"""`lookback` is the page's own, which says the same as `start`."""

Parameters = MultiMapping[str]


class _Refusal(Exception):
    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class Api:
    """`base` is the path that all is below, "" for none; `now` is the time in seconds."""

    def __init__(self, store: SpanStore, base: str = "", now: Callable[[], float] = time.time) -> None:
        self._store, self._base, self._now = store, base.rstrip("/"), now

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        if path == "/" and self._base:
            return web.Response(status=302, headers={"Location": f"{self._base}/search"})
        if path != self._base and not path.startswith(f"{self._base}/"):
            return web.Response(status=404, text=f"404 page not found: all is below {self._base}\n")
        below = path.removeprefix(self._base) or "/"
        try:
            if request.method not in ("GET", "HEAD"):
                raise _Refusal(405, f"{request.method} {path}: not supported by the sandbox")
            if below.startswith("/api/"):
                return _json(*await self._data(below.removeprefix("/api/"), request.query))
            text, status = await self._page(below, request.query)
            return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
        except _Refusal as refusal:
            return _json(None, status=refusal.status, errors=[{"code": refusal.status, "msg": str(refusal)}])

    async def _data(self, path: str, query: Parameters) -> tuple[Any, int]:
        """What is asked for, and how many there are of it (where Jaeger says it)."""
        match path.split("/"):
            case ["services"]:
                _only(query)
                services = sorted({span.service for span in self._store.spans()})
                return services, len(services)
            case ["services", service, "operations"]:
                _only(query)
                names = sorted({name for name, _ in self._operations(service)})
                return names, len(names)
            case ["operations"]:
                _only(query, "service", "spanKind")
                found = sorted(set(self._operations(_needed(query, "service"))))
                wanted = query.get("spanKind", "")
                named = [{"name": name, "spanKind": kind} for name, kind in found if wanted in ("", kind)]
                return named, len(named)
            case ["traces"]:
                _only(query, *_SEARCH)
                turns = Turns()
                traces = await self._found(query, turns)
                return [described(trace) async for trace in turns.between(traces)], 0
            case ["traces", trace_id]:
                _only(query)
                return [described(self._trace(trace_id))], 0
            case ["dependencies"]:
                _only(query, "endTs", "lookback")
                end = _number(query, "endTs", int(self._now() * 1000))
                lookback = _number(query, "lookback", _LOOKBACK // 1000)
                calls = list(self._calls((end - lookback) * 1000, end * 1000))
                return calls, len(calls)
        raise _Refusal(404, f"/api/{path}: not supported by the sandbox")

    async def _page(self, path: str, query: Parameters) -> tuple[str, int]:
        """A refusal is a page as well: it is a person who reads it."""
        try:
            match path.split("/"):
                case ["", "" | "search"]:
                    return await self._search(query), 200
                case ["", "trace", trace_id]:
                    _only(query)
                    return trace_pages.waterfall(self._base, self._trace(trace_id)), 200
            raise _Refusal(404, f"{path}: not supported by the sandbox, which has /search and /trace/ID")
        except _Refusal as refusal:
            services = sorted({span.service for span in self._store.spans()})
            return trace_pages.search(self._base, services, (), {**query}, str(refusal)), refusal.status

    async def _search(self, query: Parameters) -> str:
        _only(query, *_SEARCH)
        services = sorted({span.service for span in self._store.spans()})
        found = await self._found(query, Turns(), most=_LISTED, anywhere=True)
        return trace_pages.search(self._base, services, found, {**query, "limit": query.get("limit", str(_LISTED))})

    def _trace(self, trace_id: str) -> Trace:
        if not _ID.fullmatch(trace_id):
            raise _Refusal(400, f"{trace_id} is not a trace id: up to 32 hexadecimal digits")
        trace = self._store.find(trace_id.lower().zfill(32))
        if trace is None:
            raise _Refusal(404, "trace not found")
        return trace

    def _operations(self, service: str) -> Iterator[tuple[str, str]]:
        return ((span.operation, span.kind) for span in self._store.spans() if span.service == service)

    async def _found(
        self, query: Parameters, turns: Turns, *, most: int = _LIMIT, anywhere: bool = False
    ) -> list[Trace]:
        """Traces with a span that is as asked for in every respect, the latest first; `most` where nobody says how
        many. The page need not name a service (`anywhere`)."""
        if ids := query.getall("traceID", []):
            return [self._trace(trace_id) for trace_id in ids]
        service = query.get("service", "") if anywhere else _needed(query, "service")
        now = int(self._now() * 1e6)
        start, end = _number(query, "start", max(now - _LOOKBACK, 0)), _number(query, "end", now)
        shortest, longest = _microseconds(query, "minDuration"), _microseconds(query, "maxDuration")
        limit = _number(query, "limit", most)
        if shortest is not None and longest is not None and shortest > longest:
            raise _Refusal(400, "'maxDuration' should be greater than 'minDuration'")
        operation, tags = query.get("operation", ""), _tags(query)

        def fits(span: Span) -> bool:
            return (
                service in ("", span.service)
                and operation in ("", span.operation)
                and start <= span.start <= end
                and (shortest is None or span.duration >= shortest)
                and (longest is None or span.duration <= longest)
                and all(_said(span, name, value) for name, value in tags.items())
            )

        known = list(self._store.traces())
        fitting = [trace async for trace in turns.between(known) if any(map(fits, trace.spans))]
        return sorted(fitting, key=lambda trace: -trace.start)[:limit]

    def _calls(self, start: int, end: int) -> Iterator[Mapping[str, Any]]:
        """How often a service called another one."""
        calls: Counter[tuple[str, str]] = Counter()
        for trace in self._store.traces():
            services = {span.id: span.service for span in trace.spans}
            for span in trace.spans:
                parent = services.get(span.parent, span.service)
                if parent != span.service and start <= span.start <= end:
                    calls[parent, span.service] += 1
        for (parent, child), count in sorted(calls.items()):
            yield {"parent": parent, "child": child, "callCount": count}


def described(trace: Trace) -> dict[str, Any]:
    """A trace as Jaeger's JSON: each service's process once."""
    processes: dict[tuple[Any, ...], str] = {}
    spans = []
    for span in trace.spans:
        process = processes.setdefault(
            (span.service, tuple(sorted(span.process.items()))), f"p{len(processes) + 1}"
        )
        parent = {"refType": "CHILD_OF", "traceID": trace.id, "spanID": span.parent}
        spans.append(
            {
                "traceID": trace.id,
                "spanID": span.id,
                "operationName": span.operation,
                "references": [parent] if span.parent else [],
                "startTime": span.start,
                "duration": span.duration,
                "tags": _typed(span.tags),
                "logs": [{"timestamp": at, "fields": _typed(fields)} for at, fields in span.logs],
                "processID": process,
                "warnings": None,
            }
        )
    said = {
        name: {"serviceName": service, "tags": _typed(dict(tags))} for (service, tags), name in processes.items()
    }
    return {"traceID": trace.id, "spans": spans, "processes": said, "warnings": None}


_TYPES = {bool: "bool", int: "int64", float: "float64", str: "string"}


def _typed(tags: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "type": _TYPES[type(value)], "value": value} for key, value in tags.items()]


def _json(data: Any, total: int = 0, *, status: int = 200, errors: Any = None) -> web.Response:
    body = {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


# Parameters


def _only(query: Iterable[str], *known: str) -> None:
    for name in query:
        if name not in known:
            raise _Refusal(400, f"parameter '{name}': not supported by the sandbox")


def _needed(query: Parameters, name: str) -> str:
    if not query.get(name):
        raise _Refusal(400, f"parameter '{name}' is required")
    return query[name]


def _number(query: Parameters, name: str, otherwise: int) -> int:
    written = query.get(name) or str(otherwise)
    if not re.fullmatch(r"\d{1,18}", written):
        raise _Refusal(400, f"unable to parse param '{name}': {written} is not a whole number")
    return int(written)


def _microseconds(query: Parameters, name: str) -> int | None:
    if not (written := query.get(name)):
        return None
    try:
        return round(seconds(written) * 1e6)
    except ValueError:
        raise _Refusal(400, f"unable to parse param '{name}': {written} is not a duration such as 1.2s") from None


def _tags(query: Parameters) -> dict[str, str]:
    """`tag=name:value`, as often as one likes, and `tags` as a JSON object of texts."""
    found: dict[str, str] = {}
    for one in filter(None, query.getall("tag", [])):
        name, colon, value = one.partition(":")
        if not colon:
            raise _Refusal(400, f"malformed 'tag' parameter, expecting key:value, received: {one}")
        found[name] = value
    for many in query.getall("tags", []):
        try:
            found |= msgspec.json.decode(many, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise _Refusal(400, f"malformed 'tags' parameter, cannot unmarshal JSON: {error}") from None
    return found


def _said(span: Span, name: str, value: str) -> bool:
    """Of a span, of its process, or of something that happened."""
    places: Collection[Mapping[str, Value]] = (span.tags, span.process, *(fields for _, fields in span.logs))
    return any(_text(place[name]) == value for place in places if name in place)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

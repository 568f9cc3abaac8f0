"""Prometheus' HTTP API (`/api/v1/...`): its parameters, its JSON, its errors and their statuses.

What it has and this one does not is refused by its name: a path with `not_found`, a parameter with `bad_data`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from multidict import MultiDict

from sandbox.core.turns import Turns
from sandbox.prometheus import exposition, numbers
from sandbox.prometheus.evaluation import Result, Row, instant, over_range
from sandbox.prometheus.expressions import BadData, duration, milliseconds, parse, parse_selector
from sandbox.prometheus.labels import NAME, Labels, quoted
from sandbox.prometheus.query_page import page
from sandbox.prometheus.scraping import Followed, Scraper
from sandbox.prometheus.series import Series, Store
from sandbox.prometheus.vectors import ExecutionError, Sample

_MOST_POINTS = 11_000
_LONGEST = 120.0
"""Seconds that a query may take."""

_END_OF_TIME = 2**62
"""Milliseconds: further away there is no time."""

Parameters = MultiDict[str]


class _Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind


_STATUSES = {"bad_data": 400, "execution": 422, "not_found": 404, "timeout": 503}


class Api:
    """What serves a store and the scraper that fills it."""

    def __init__(self, scraper: Scraper, version: str, now: Callable[[], float] = time.time) -> None:
        self._scraper, self._version, self._now = scraper, version, now
        self._asked: dict[tuple[str, int], int] = {}

    @property
    def _store(self) -> Store:
        return self._scraper.store

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The response to one request."""
        response = await self._answer(request)
        path = "/api/v1/label/:name/values" if request.path.startswith("/api/v1/label/") else request.path
        counted = ("other" if response.status == 404 else path, response.status)
        self._asked[counted] = self._asked.get(counted, 0) + 1
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        path = request.path.rstrip("/") or "/"
        if path.startswith("/api/v1/"):
            return await self._api(request, path.removeprefix("/api/v1/"))
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        match path:
            case "/-/healthy":
                return web.Response(text="Prometheus Server is Healthy.\n")
            case "/-/ready":
                return web.Response(text="Prometheus Server is Ready.\n")
            case "/metrics":
                return web.Response(
                    body=self._metrics().encode(), headers={"Content-Type": exposition.CONTENT_TYPE}
                )
            case "/" | "/query" | "/graph":
                return await self._page(request)
        raise web.HTTPNotFound(text="404 page not found\n")

    async def _api(self, request: web.BaseRequest, path: str) -> web.Response:
        try:
            handler, methods, known = self._route(path)
            if request.method not in methods:
                raise web.HTTPMethodNotAllowed(request.method, methods)
            given = await _parameters(request)
            if unknown := sorted(name for name in given if name not in known and given[name]):
                raise BadData(f"parameter not supported by the sandbox's Prometheus: {unknown[0]}")
            data, warnings = await handler(given)
        except BadData as error:
            return _error(_Refusal("bad_data", str(error)))
        except ExecutionError as error:
            return _error(_Refusal("execution", str(error)))
        except TimeoutError:
            return _error(_Refusal("timeout", "query timed out in expression evaluation"))
        except _Refusal as error:
            return _error(error)
        body: dict[str, Any] = {"status": "success", "data": data}
        if warnings:
            body["warnings"] = warnings
        return _json(body)

    def _route(self, path: str) -> tuple[_Handler, Sequence[str], Sequence[str]]:
        """What answers, by which methods, with which parameters."""
        both, get = ("GET", "POST", "HEAD"), ("GET", "HEAD")
        name, _, rest = path.partition("/")
        if name == "label" and rest.endswith("/values") and rest.count("/") == 1:
            of = rest.removesuffix("/values")
            return lambda given: self._values(of, given), get, ("match[]", "start", "end", "limit")
        match path:
            case "query":
                return self._query, both, ("query", "time", "timeout", "limit")
            case "query_range":
                return self._query_range, both, ("query", "start", "end", "step", "timeout", "limit")
            case "series":
                return self._series, both, ("match[]", "start", "end", "limit")
            case "labels":
                return self._labels, both, ("match[]", "start", "end", "limit")
            case "targets":
                return self._targets, get, ("state", "scrapePool")
            case "metadata":
                return self._metadata, get, ("metric", "limit", "limit_per_metric")
            case "status/buildinfo":
                return self._build, get, ()
        raise _Refusal("not_found", f"not supported by the sandbox's Prometheus: /api/v1/{path}")

    # Queries.

    async def _query(self, given: Parameters) -> _Answer:
        at = _time(given, "time", self._now())
        async with asyncio.timeout(_allowed(given)):
            result = await instant(_expression(given), self._store, at)
            return await _limited(result, _limit(given))

    async def _query_range(self, given: Parameters) -> _Answer:
        start, end = _time(given, "start"), _time(given, "end")
        if end < start:
            raise BadData('invalid parameter "end": end timestamp must not be before start time')
        step = _duration(given, "step")
        if step <= 0:
            raise BadData(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end - start) / step > _MOST_POINTS:
            raise BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        async with asyncio.timeout(_allowed(given)):
            result = await over_range(_expression(given), self._store, start, end, step)
            return await _limited(result, _limit(given))

    # What there is.

    def _found(self, given: Parameters, required: bool) -> list[Series]:
        """The series that any of `match[]` selects, with a sample in the time asked for; in the order of labels."""
        start, end = _time(given, "start", -(2.0**50)), _time(given, "end", 2.0**50)
        if end < start:
            raise BadData('invalid parameter "end": end timestamp must not be before start time')
        selectors = given.getall("match[]", [])
        if required and not selectors:
            raise BadData("no match[] parameter provided")
        try:
            sets = [parse_selector(selector) for selector in selectors] or [()]
        except BadData as error:
            raise BadData(f'invalid parameter "match[]": {error}') from None
        found = {series: None for matchers in sets for series in self._store.matching(matchers)}
        return [series for series in found if series.times and series.times[0] <= end and series.times[-1] >= start]

    async def _series(self, given: Parameters) -> _Answer:
        found = self._found(given, True)
        return _cut(sorted((_mapping(series.labels) for series in found), key=lambda one: list(one.items())), given)

    async def _labels(self, given: Parameters) -> _Answer:
        return _cut(sorted({name for series in self._found(given, False) for name in series.labels.mapping}), given)

    async def _values(self, name: str, given: Parameters) -> _Answer:
        found = {series.labels[name] for series in self._found(given, False)}
        return _cut(sorted(found - {""}), given)

    async def _targets(self, given: Parameters) -> _Answer:
        state, pool = given.get("state", "any") or "any", given.get("scrapePool", "")
        found = [self._target(one) for one in self._scraper.followed.values()]
        found = [one for one in found if pool in ("", one["scrapePool"])]
        found.sort(key=lambda one: (one["scrapePool"], one["scrapeUrl"]))
        return {
            "activeTargets": found if state in ("any", "active") else [],
            "droppedTargets": [],
            "droppedTargetCounts": {one["scrapePool"]: 0 for one in found} if state in ("any", "dropped") else None,
        }, []

    def _target(self, one: Followed) -> dict[str, Any]:
        target = one.target
        interval, timeout = self._scraper.timing(target)
        return {
            "discoveredLabels": dict(sorted(target.discovered.items())),
            "labels": dict(sorted(target.labels.items())),
            "scrapePool": target.discovered.get("job") or target.labels.get("job", ""),
            "scrapeUrl": target.url,
            "globalUrl": target.url,
            "lastError": one.error,
            "lastScrape": _rfc3339(one.scraped) if one.scraped else "0001-01-01T00:00:00Z",
            "lastScrapeDuration": one.took,
            "health": one.health,
            "scrapeInterval": duration(round(interval * 1000)),
            "scrapeTimeout": duration(round(timeout * 1000)),
        }

    async def _metadata(self, given: Parameters) -> _Answer:
        limit, each = _limit(given), _limit(given, "limit_per_metric")
        wanted = given.get("metric", "")
        found: dict[str, list[dict[str, str]]] = {}
        for one in self._scraper.followed.values():
            for name, said in one.metadata.items():
                entry = {"type": said.type, "help": said.help, "unit": ""}
                entries = found.setdefault(name, [])
                if entry not in entries and not (each and len(entries) >= each):
                    entries.append(entry)
        chosen = sorted(found.items()) if not wanted else [(wanted, found[wanted])] if wanted in found else []
        return dict(chosen[: limit or None]), []

    async def _build(self, given: Parameters) -> _Answer:
        return {
            "version": self._version,
            "revision": "sandbox",
            "branch": "HEAD",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "none: the sandbox's stand-in for Prometheus",
        }, []

    # For people, and for itself.

    async def _page(self, request: web.BaseRequest) -> web.Response:
        query = request.query.get("query") or request.query.get("g0.expr") or ""
        result: Result | None = None
        error = ""
        if query:
            try:
                async with asyncio.timeout(_LONGEST):
                    result = await instant(parse(query), self._store, round(self._now() * 1000))
            except (BadData, ExecutionError) as refusal:
                error = str(refusal)
            except TimeoutError:
                error = "query timed out in expression evaluation"
        body = page(query, result, error, list(self._scraper.followed.values()), len(self._store), self._now())
        return web.Response(body=body.encode(), headers={"Content-Type": "text/html; charset=utf-8"})

    def _metrics(self) -> str:
        """What it tells of itself."""
        parts: list[str] = []
        for name, kind, said, values in (
            ("prometheus_build_info", "gauge", "Its version.", {("version", self._version): 1.0}),
            ("prometheus_tsdb_head_series", "gauge", "Number of series.", {(): float(len(self._store))}),
            (
                "prometheus_tsdb_head_samples_appended_total",
                "counter",
                "Number of appended samples.",
                {("type", "float"): float(self._store.appended)},
            ),
        ):
            parts.append(exposition.described(name, kind, said))
            parts += [
                exposition.sample(Labels({NAME: name, **(dict([pair]) if pair else {})}), value)
                for pair, value in values.items()
            ]
        name = "prometheus_http_requests_total"
        parts.append(exposition.described(name, "counter", "Counter of HTTP requests."))
        parts += [
            exposition.sample(Labels({NAME: name, "code": str(status), "handler": path}), float(count))
            for (path, status), count in sorted(self._asked.items())
        ]
        return "".join(parts)


_Answer = tuple[Any, list[str]]
"""The data and the warnings."""

_Handler = Callable[[Parameters], Awaitable[_Answer]]


async def _parameters(request: web.BaseRequest) -> Parameters:
    # Values in the body come first, as in Go.
    given: Parameters = MultiDict()
    if request.method == "POST":
        for name, value in (await request.post()).items():
            if isinstance(value, str):
                given.add(name, value)
    given.extend(request.query)
    return given


def _expression(given: Parameters) -> Any:
    try:
        return parse(given.get("query", ""))
    except BadData as error:
        raise BadData(f'invalid parameter "query": {error}') from None


def _time(given: Parameters, name: str, default: float | None = None) -> int:
    """Milliseconds of seconds or of a date."""
    said = given.get(name, "")
    if not said and default is not None:
        return round(default * 1000)
    with contextlib.suppress(ValueError, OverflowError):
        found = round(numbers.number(said) * 1000)
        if abs(found) < _END_OF_TIME:
            return found
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(said)
        if "T" in said and moment.tzinfo is not None:
            return round(moment.timestamp() * 1000)
    where = "" if default is None else f"invalid time value for '{name}': "
    raise BadData(f'invalid parameter "{name}": {where}cannot parse "{said}" to a valid timestamp')


def _duration(given: Parameters, name: str) -> int:
    """Milliseconds of seconds or of a duration."""
    said = given.get(name, "")
    with contextlib.suppress(ValueError, OverflowError):
        return int(numbers.number(said) * 1000)
    with contextlib.suppress(ValueError):
        return milliseconds(said)
    raise BadData(f'invalid parameter "{name}": cannot parse "{said}" to a valid duration')


def _allowed(given: Parameters) -> float:
    return min(_LONGEST, _duration(given, "timeout") / 1000) if given.get("timeout") else _LONGEST


def _limit(given: Parameters, name: str = "limit") -> int:
    """0: as many as there are."""
    said = given.get(name, "") or "0"
    if not said.isascii() or not said.removeprefix("-").isdecimal():
        raise BadData(f'invalid parameter "{name}": strconv.Atoi: parsing {quoted(said)}: invalid syntax')
    if int(said) < 0 and name == "limit":
        raise BadData('invalid parameter "limit": limit must be non-negative')
    return max(int(said), 0)


_TRUNCATED = "results truncated due to limit"


def _cut(found: list[Any], given: Parameters) -> _Answer:
    limit = _limit(given)
    return (found[:limit], [_TRUNCATED]) if 0 < limit < len(found) else (found, [])


async def _limited(result: Result, limit: int) -> _Answer:
    value = result.value
    if isinstance(value, str | float):
        said = value if isinstance(value, str) else numbers.without_exponent(value)
        return {"resultType": result.kind, "result": (_seconds(result.time), said)}, []
    wanted: Sequence[Row | Sample] = value[: limit or None]
    rows = [_row(row, result.time) async for row in Turns().between(wanted)]
    return {"resultType": result.kind, "result": rows}, [_TRUNCATED] if len(wanted) < len(value) else []


def _row(row: Row | Sample, time: int) -> dict[str, Any]:
    if isinstance(row, Row):
        values = [(_seconds(at), numbers.text(value)) for at, value in zip(row.times, row.values, strict=True)]
        return {"metric": _mapping(row.labels), "values": values}
    labels, value = row
    return {"metric": _mapping(labels), "value": (_seconds(time), numbers.text(value))}


def _mapping(labels: Labels) -> Mapping[str, str]:
    return dict(labels.ordered())


def _seconds(time: int) -> int | float:
    return time / 1000 if time % 1000 else time // 1000


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(body: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers={"Content-Type": "application/json"})


def _error(refusal: _Refusal) -> web.Response:
    body = {"status": "error", "errorType": refusal.kind, "error": str(refusal)}
    return _json(body, _STATUSES[refusal.kind])

"""kiali: the sandbox's stand-in for it, in a pod. A page with the graph of who calls whom, as Prometheus has it,
and of the API what tells that it is there: `healthz`, `api/status`, `api/namespaces`. All else is refused by name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode

import yaml
from aiohttp import web

from sandbox.core.cluster import Object
from sandbox.images import addon_page
from sandbox.images.addon_graph import Arrow, Node, graph
from sandbox.images.mesh_figures import UNKNOWN, Calls, NoFigures, Prometheus, Workload
from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import JSON, WebProgram

WHAT = (
    "This is the sandbox's stand-in for Kiali: the graph of the mesh as the sandbox's Prometheus has it, and "
    "nothing else that Kiali does. It changes no configuration."
)
LINES = (
    "At a line: requests a second, the share that failed (5xx, or no answer), and what 99 of 100 did not exceed. "
    "Amber from 0.1 % failed on, red from 5 %; dotted: TCP. The thicker, the more requests."
)
OUTSIDE = "outside the mesh"
REFRESH = 5.0
Graph = Mapping[tuple[Workload, Workload], Calls]
"""By who called whom."""
SPANS = {"30 s": 30.0, "1 min": 60.0, "5 min": 300.0}
_USUAL = "1 min"
_PROMETHEUS = "http://prometheus.istio-system:9090"
_SLOW_SHARE, _BAD_SHARE = 0.001, 0.05
"""From which share of failed requests on an edge is marked."""


class Kiali(WebProgram):
    port = 20001
    binaries = ("kiali",)

    def __init__(self, container: Container, namespaces: Callable[[], Iterable[Object]]) -> None:
        super().__init__(container)
        self._namespaces = namespaces
        self._root, self._url = "/kiali", _PROMETHEUS
        self._looking: dict[float, asyncio.Task[Graph]] = {}
        """By how many seconds the calls are of."""

    def configure(self, arguments: list[str]) -> None:
        given, operands = parse_flags(arguments, ("-config", "--config"), program="kiali")
        if operands:
            raise ProgramError(f"unknown arguments for the sandbox's kiali: {' '.join(operands)}", 2)
        if file := given.get("-config") or given.get("--config"):
            self._read(file)

    def _read(self, file: str) -> None:
        """Of the configuration: where its own pages are, and where Prometheus is."""
        try:
            said = yaml.safe_load(self.container.files.read(file).decode(errors="replace")) or {}
            server = said.get("server") or {}
            self._root = str(server.get("web_root") or self._root).rstrip("/")
            self.port = int(server.get("port") or self.port)
            services = said.get("external_services") or {}
            self._url = str((services.get("prometheus") or {}).get("url") or self._url).rstrip("/")
        except OSError as error:
            raise ProgramError(f"Failed to load config file ({file}): {error.strerror}") from None
        except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
            raise ProgramError(f"Failed to parse config file ({file}): {error}") from None

    @property
    def _prometheus(self) -> Prometheus:
        return Prometheus(self.container.network.http, self._url)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, root = request.path.rstrip("/"), self._root
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if path == "" and root:
            return web.Response(status=302, headers={"Location": f"{root}/"})
        if path in (root, f"{root}/console", f"{root}/console/graph/namespaces"):
            return await self._page(parse_qs(request.path_qs.partition("?")[2]))
        if path == f"{root}/healthz":
            return web.Response(text="")
        if path == f"{root}/api/status":
            return _json(await self._status())
        if path == f"{root}/api/namespaces":
            return _json([_namespace(one) for one in self._namespaces()])
        said = {"error": f"not supported by the sandbox's Kiali: {request.path}"}
        return _json(said, 501 if path.startswith(f"{root}/") else 404)

    async def _status(self) -> Object:
        try:
            services = [{"name": "Prometheus", "version": await self._prometheus.version()}]
            warnings = []
        except NoFigures as error:
            services, warnings = [], [str(error)]
        tag = self.container.image.rpartition(":")[2]
        return {
            "status": {"Kiali state": "running", "Kiali version": tag, "Kiali container version": tag},
            "externalServices": services,
            "warningMessages": warnings,
        }

    async def _page(self, query: Mapping[str, list[str]]) -> web.Response:
        span = next(iter(query.get("duration", ())), "")
        current = next((said for said, seconds in SPANS.items() if span == f"{seconds:g}s"), _USUAL)
        wanted = frozenset(",".join(query.get("namespaces", ())).split(",")) - {""}
        where = {"namespaces": ",".join(sorted(wanted))} if wanted else {}
        live = addon_page.follows(query)
        kept = where if live else {**where, "refresh": "off"}
        links = {said: f"?{urlencode({'duration': f'{s:g}s', **kept})}" for said, s in SPANS.items()}
        content = addon_page.choices("Over the last", links, current)
        content += addon_page.following(REFRESH, {"duration": f"{SPANS[current]:g}s", **where}, live)
        try:
            content += _graph(_of(await self._calls(SPANS[current]), wanted), SPANS[current])
        except NoFigures as error:
            self.container.log(str(error))
            content += addon_page.nothing(f"There are no figures: {error}.", error=True)
        body = addon_page.page("Mesh graph", WHAT, content, every=REFRESH if live else 0.0)
        return web.Response(text=body, headers=addon_page.HEADERS)

    async def _calls(self, seconds: float) -> Graph:
        """Those who ask while Prometheus is asked have its answer, too."""
        if seconds not in self._looking:
            asked = asyncio.create_task(self._prometheus.calls(seconds))
            asked.add_done_callback(lambda _: self._looking.pop(seconds))
            self._looking[seconds] = asked
        return await asyncio.shield(self._looking[seconds])


def _of(calls: Graph, namespaces: frozenset[str]) -> Graph:
    """Those that one of these namespaces has to do with; all, where none is asked for."""
    return {ends: one for ends, one in calls.items() if not namespaces or namespaces & {end[0] for end in ends}}


def _graph(calls: Graph, seconds: float) -> str:
    if not calls:
        return addon_page.nothing(f"No calls in the last {seconds:g} seconds. {addon_page.SEND}")
    nodes = [Node(key, _name(key), *_below(key, calls)) for key in sorted({end for ends in calls for end in ends})]
    busiest = max(one.rate for one in calls.values()) or 1.0
    arrows = [_arrow(ends, one, busiest) for ends, one in sorted(calls.items())]
    rows = "".join(
        f"<tr><td>{_escaped(ends[0])} → {_escaped(ends[1])}</td><td>{_rate(one)}</td>"
        f"<td{_marked(one)}>{addon_page.figure(100 * one.share_failed)} %</td><td>{_p99(one) or '-'}</td></tr>\n"
        for ends, one in sorted(calls.items())
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Calls", "Rate", "Failed", "P99"))
    table = f"<table><tr>{heads}</tr>\n{rows}</table>"
    return (
        f'<section class="card">{graph(nodes, arrows)}<p class="what">{LINES}</p></section>\n'
        f'<section class="card scroll" style="margin-top:16px">{table}</section>'
    )


def _arrow(ends: tuple[Workload, Workload], calls: Calls, busiest: float) -> Arrow:
    failed = f", {addon_page.figure(float(f'{100 * calls.share_failed:.2g}'))} %" if calls.share_failed else ""
    time = _p99(calls)
    below = f"P99 {time}" if time else ""
    return Arrow(*ends, _rate(calls) + failed, below, _kind(calls), 1.5 + 3.5 * calls.rate / busiest)


def _kind(calls: Calls) -> str:
    if not calls.rate:
        return "tcp"
    return "bad" if calls.share_failed >= _BAD_SHARE else "slow" if calls.share_failed >= _SLOW_SHARE else ""


def _marked(calls: Calls) -> str:
    kind = _kind(calls)
    return f' class="{kind}"' if kind in ("bad", "slow") else ""


def _rate(calls: Calls) -> str:
    if calls.rate:
        return f"{addon_page.figure(calls.rate)}/s"
    return f"{addon_page.figure(calls.bytes)} B/s"


def _p99(calls: Calls) -> str:
    if calls.p99 is None:
        return ""
    return f"{addon_page.figure(calls.p99)} ms" if calls.p99 < 999.5 else f"{calls.p99 / 1000:.2f} s"


def _name(workload: Workload) -> str:
    return OUTSIDE if workload[1] == UNKNOWN else workload[1]


def _below(workload: Workload, calls: Mapping[tuple[Workload, Workload], Calls]) -> tuple[str, str]:
    """Its namespace, and what comes in."""
    if workload[1].startswith("service "):
        return "reached no pod", ""
    coming = sum(one.rate for (_, destination), one in calls.items() if destination == workload)
    return workload[0], f"{addon_page.figure(coming)}/s in" if coming else ""


def _escaped(workload: Workload) -> str:
    return escape(_name(workload))


def _namespace(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {
        "name": metadata["name"],
        "cluster": "Kubernetes",
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }


def _json(said: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(said), status=status, headers=JSON)


def programs(namespaces: Callable[[], Iterable[Object]]) -> dict[str, Factory]:
    """Of a cluster's namespaces, as its API has them."""
    return {"kiali": lambda container: Kiali(container, namespaces)}

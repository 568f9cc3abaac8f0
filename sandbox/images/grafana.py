"""grafana: the sandbox's stand-in for it, in a pod. One dashboard with the golden signals of each workload (how
many requests, which share of them failed, how long they took), as Prometheus has them, and `api/health`. All else
is refused by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import yaml
from aiohttp import web

from sandbox.images import addon_page
from sandbox.images.mesh_figures import Line, NoFigures, Prometheus
from sandbox.images.program import Factory, ProgramError
from sandbox.images.web import JSON, WebProgram

WHAT = (
    "This is the sandbox's stand-in for Grafana: one dashboard of the workloads in the mesh, as the sandbox's "
    "Prometheus has them. It has no others, no logins and no alerts."
)
REFRESH = 5.0
SPANS = {"5 min": 300.0, "15 min": 900.0, "1 hour": 3600.0}
_USUAL = "5 min"
_POINTS = 60
_LEAST = 60.0
"""Seconds that a rate is over at least: four looks of a Prometheus that looks every 15 s."""
_SOURCES = "/etc/grafana/provisioning/datasources/datasources.yaml"
_PROMETHEUS = "http://prometheus.istio-system:9090"


class Grafana(WebProgram):
    port = 3000
    clock = staticmethod(time.time)

    async def start(self) -> None:
        self._url = self._source()
        await super().start()

    def _source(self) -> str:
        """Where Prometheus is, as the file of data sources says, if there is one."""
        try:
            said = yaml.safe_load(self.container.files.read(_SOURCES).decode(errors="replace")) or {}
            found = [one["url"] for one in said["datasources"] if one["type"] == "prometheus"]
        except FileNotFoundError:
            return _PROMETHEUS
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ProgramError(f"Datasource provisioning error: {error}") from None
        return str(found[0]).rstrip("/") if found else _PROMETHEUS

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if path == "/api/health":
            return _json({"database": "ok", "version": self.container.image.rpartition(":")[2]})
        if path in ("", "/dashboards"):
            return await self._page(parse_qs(request.path_qs.partition("?")[2]))
        return _json({"message": f"not supported by the sandbox's Grafana: {request.path}"}, 501)

    async def _page(self, query: Mapping[str, list[str]]) -> web.Response:
        span = next(iter(query.get("from", ())), "")
        current = next((said for said, seconds in SPANS.items() if span == f"now-{seconds:g}s"), _USUAL)
        live = addon_page.follows(query)
        kept = "" if live else "&refresh=off"
        links = {said: f"?from=now-{seconds:g}s{kept}" for said, seconds in SPANS.items()}
        content, status = addon_page.choices("Over the last", links, current), 200
        content += addon_page.following(REFRESH, {"from": f"now-{SPANS[current]:g}s"}, live)
        seconds, end = SPANS[current], self.clock()
        step = seconds / _POINTS
        try:
            prometheus = Prometheus(self.container.network.http, self._url)
            found = await prometheus.signals(end - seconds, end, step, max(2 * step, _LEAST))
            content += _dashboard(found, end - seconds, end)
        except NoFigures as error:
            self.container.log(str(error))
            content, status = content + addon_page.nothing(f"There are no figures: {error}.", error=True), 503
        body = addon_page.page("Workloads in the mesh", WHAT, content, every=REFRESH if live else 0.0)
        return web.Response(text=body, status=status, headers=addon_page.HEADERS)


def _dashboard(found: Mapping[str, Sequence[Line]], start: float, end: float) -> str:
    charts = (
        ("Requests", "/s", "rate"),
        ("Failed requests (5xx, or no answer)", "%", "failed"),
        ("How long half of the requests take at most (P50)", "ms", "p50"),
        ("How long 99 of 100 requests take at most (P99)", "ms", "p99"),
    )
    names = _foremost(found)
    if not names:
        return addon_page.nothing(f"No requests in this time. {addon_page.SEND}")
    shown = sorted(names[: addon_page.COLOURS])
    note = (
        f"{len(shown)} of {len(names)} workloads: those with the most failed requests, then with the most requests."
    )
    drawn = (
        addon_page.chart(title, unit, [line for line in found[name] if line.name in shown], shown, start, end)
        for title, unit, name in charts
    )
    told = f'<p class="what">{note}</p>' if len(shown) < len(names) else ""
    return f'{told}<div class="grid">{"".join(drawn)}</div>'


def _foremost(found: Mapping[str, Sequence[Line]]) -> list[str]:
    """The names of those that were called, in the order in which there is something to see of them."""
    failed = {line.name: dict(line.points) for line in found["failed"]}

    def order(line: Line) -> tuple[float, float, str]:
        shares = failed.get(line.name, {})
        return (
            -sum(rate * shares.get(at, 0.0) for at, rate in line.points),
            -sum(r for _, r in line.points),
            line.name,
        )

    return [line.name for line in sorted(found["rate"], key=order) if line.points]


def _json(said: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(said), status=status, headers=JSON)


PROGRAMS: dict[str, Factory] = {"grafana": Grafana}

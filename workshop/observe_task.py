"""What `invoke observe` does: the mesh as a graph on a page, live, until Ctrl-C, and as a table in the terminal. It
returns an exit status.

A task of its own and no option of `watch`: that one is about the members of a class, and reads their folders; this
one is about one mesh, and reads what its Prometheus says. It changes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from typing import TYPE_CHECKING

from workshop import invocation, page_address
from workshop.mesh import mesh_graph
from workshop.mesh.prometheus import Prometheus
from workshop.runbook.errors import WorkshopError
from workshop.runbook.stop import run_cuttable
from workshop.settings import load
from workshop.target import Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config

PORT = "8441"
SEEN = "the workloads' names, who calls whom, and how that goes"

_SOONEST, _LATEST = 1.0, 5.0
"""Seconds between two looks: as often as Prometheus has something new, within these."""


def observe(config: Config, *, once: bool, host: str, port: str) -> int:
    def act() -> int:
        number = page_address.port_of(port, "observe", PORT)
        target = describe(load(config), Use(command=invocation.invoke()))
        run_cuttable(_once(target) if once else _serve(target, host, number))
        return 0

    return invocation.ended(act)


def _prometheus(target: Target) -> Prometheus:
    return Prometheus(target.kubectl, f"{invocation.invoke()} lab.istio.observe")


async def _once(target: Target) -> None:
    prometheus = _prometheus(target)
    graph = await mesh_graph.look(prometheus, await mesh_graph.scrape_interval(prometheus))
    from workshop.console.graph_view import graph_lines
    from workshop.graph_shown import as_table

    with invocation.open_plainly() as screen:
        for line in graph_lines(as_table(graph, target.which), screen.lines):
            screen.print(line)


async def _serve(target: Target, host: str, port: int) -> None:
    from workshop.console.graph_page import GRAPH
    from workshop.console.graph_view import graph_lines, redrawn
    from workshop.graph_feed import GraphFeed
    from workshop.graph_shown import as_data, as_table
    from workshop.live_page import PageServer, serving  # with it comes aiohttp

    prometheus, which, screen = _prometheus(target), target.which, invocation.open_plainly()
    token, feed = secrets.token_urlsafe(24), GraphFeed()
    interval = await mesh_graph.scrape_interval(prometheus)
    graph = await mesh_graph.look(prometheus, interval)  # without a Prometheus there is no page
    feed.put(as_data(graph, which))
    async with serving(PageServer(feed, GRAPH, token), host, port, task="observe") as listening:
        for line in ("the mesh is at", *page_address.addresses(host, listening, token), "until Ctrl-C"):
            print(line, flush=True)
        if warning := page_address.warning_of(host, SEEN):
            print(warning, file=sys.stderr, flush=True)
        with redrawn(screen) as draw:
            lost = ""
            while True:
                draw(graph_lines(as_table(graph, which, lost), screen.lines))
                await asyncio.sleep(min(max(interval, _SOONEST), _LATEST))
                try:
                    graph, lost = await mesh_graph.look(prometheus, interval), ""
                    feed.put(as_data(graph, which))
                except WorkshopError as error:
                    lost = lost or f"since {time.strftime('%H:%M:%S')}: {error}"
                    feed.lose(str(error))

"""What `invoke watch` does: the class on a page, until Ctrl-C. It returns an exit status.

Without a roster it is the one member that this call is about anyway.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.server import launcher
from workshop import invocation, page_address
from workshop.classroom.wall_sources import Looking, Sources, Watched
from workshop.classroom.whom import Whom, read_class, roster_of
from workshop.console.wall_page import WALL
from workshop.parts import for_status, job_of
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request
from workshop.runbook.run import unheard
from workshop.runbook.status import Status, joined
from workshop.runbook.status import status as status_of
from workshop.runbook.stop import run_cuttable
from workshop.settings import Settings, load
from workshop.target import describe

if TYPE_CHECKING:
    from invoke.config import Config

PORT = "8440"
SEEN = "the members' names, where they are and their errors"


def watch(config: Config, runbook: Runbook, whom: Whom, *, host: str, port: str) -> int:
    def act() -> int:
        number = page_address.port_of(port, "watch", PORT)
        sources = _sources(config, runbook, whom)
        run_cuttable(_serve(sources, host, number))
        return 0

    return invocation.ended(act)


def _sources(config: Config, runbook: Runbook, whom: Whom) -> Sources:
    whole = Request((), invocation.typed(), program=invocation.invoke())
    settings = load(config)
    if whom.roster or whom.only or roster_of(config, settings, whom.roster).exists():
        the_class = read_class(config, whom)
        title, members = the_class.title, {seat.name: seat.settings for seat in the_class.seats}
    else:
        title, members = "Mesh Workshop", {settings.target: settings}
    shown = set[str]()
    for own in members.values():
        shown.update(name for part in for_status(own, runbook, whole) for name in part.request.labs)
    labs = [(lab.name, lab.title) for lab in runbook.labs if lab.name in shown]
    watched = [
        Watched(name, own.state_folder, looking(own, runbook, whole), own.target == "sandbox")
        for name, own in members.items()
    ]
    return Sources(title, labs, watched, runbook)


def looking(settings: Settings, runbook: Runbook, whole: Request) -> Looking:
    """At the clusters, and not at the account: a class that asks Azure each minute is soon asked to wait."""

    async def look() -> Status:
        found = []
        if settings.target == "sandbox" and not launcher.is_there(settings.sandbox_folder):
            # Every kubectl would be refused, after three times what a look takes.
            raise WorkshopError("look at its cluster", "its sandbox does not run")
        for part in for_status(settings, runbook, whole):
            if not part.use.account:
                target = describe(settings, part.use).with_labs(runbook)
                job = replace(job_of(part, target, target.toolbox, unheard), only_looks=True)
                try:
                    found.append(await status_of(job, target.journal.last_runs(target.name)))
                finally:
                    target.journal.close()
        return joined(found)

    return look


async def _serve(sources: Sources, host: str, port: int) -> None:
    from workshop.classroom.wall_server import Board, serve
    from workshop.live_page import PageServer, serving  # with it comes aiohttp

    token, board = secrets.token_urlsafe(24), Board()
    board.put(sources.wall())
    async with serving(PageServer(board, WALL, token), host, port, task="watch") as listening:
        for line in told(sources, host, listening, token):
            print(line, flush=True)
        if warning := page_address.warning_of(host, SEEN):
            print(warning, file=sys.stderr, flush=True)
        await serve(sources, board)


def told(sources: Sources, host: str, port: int, token: str) -> list[str]:
    """Where the page is."""
    count = len(sources.members)
    who = sources.members[0].watched.name if count == 1 else f"{sources.title}, {count} members"
    return [f"the wall ({who}) is at", *page_address.addresses(host, port, token), "until Ctrl-C"]

"""What `invoke watch` does: the class on a page, until Ctrl-C. It returns an exit status.

Without a roster it is the one member that this call is about anyway.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.server import launcher
from workshop import invocation
from workshop.classroom.wall_sources import Looking, Sources, Watched
from workshop.classroom.whom import Whom, read_class, roster_of
from workshop.parts import for_status, job_of
from workshop.runbook.errors import UsageError, WorkshopError
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


def watch(config: Config, runbook: Runbook, whom: Whom, *, host: str, port: str) -> int:
    def act() -> int:
        number = _port(port)
        sources = _sources(config, runbook, whom)
        run_cuttable(_serve(sources, host, number))
        return 0

    return invocation.ended(act)


def _port(given: str) -> int:
    if not given.isdecimal() or int(given) > 65535:
        raise UsageError(
            f"listen on port {given!r}",
            "it is a number from 1 to 65535, or 0 for any that is free",
            next_command=f"{invocation.invoke()} watch --port {PORT}",
        )
    return int(given)


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
    from workshop.classroom.wall_server import Board, WallServer, serve, serving  # with it comes aiohttp

    token, board = secrets.token_urlsafe(24), Board()
    board.put(sources.wall())
    async with serving(WallServer(board, token), host, port) as listening:
        for line in told(sources, host, listening, token):
            print(line, flush=True)
        if warning := warning_of(host):
            print(warning, file=sys.stderr, flush=True)
        await serve(sources, board)


_WARNING = (
    "whoever is in this network and has the address, or hears it (it is plain HTTP),\n"
    "sees the members' names, where they are and their errors;\n"
    "nobody can change anything with it"
)


def told(sources: Sources, host: str, port: int, token: str) -> list[str]:
    """Where the page is."""
    count = len(sources.members)
    who = sources.members[0].watched.name if count == 1 else f"{sources.title}, {count} members"
    places = _places(host)
    addresses = [f"http://{f'[{place}]' if ':' in place else place}:{port}/?token={token}" for place in places]
    return [f"the wall ({who}) is at", *(f"  {address}" for address in addresses), "until Ctrl-C"]


def warning_of(host: str) -> str:
    """What listening there exposes; empty where nobody else comes."""
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    return "" if own else _WARNING


def _places(host: str) -> list[str]:
    """By what others reach this machine, where it listens on all of its addresses."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return [host]
    found = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        try:
            there.connect(("192.0.2.1", 9))  # sends nothing: the way to everywhere says which address is ours
            found.insert(0, there.getsockname()[0])
        except OSError:
            found.insert(0, socket.gethostname())
    return list(dict.fromkeys(found))

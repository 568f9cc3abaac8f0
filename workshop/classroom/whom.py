"""Which members a call is about: the roster, and what was typed of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.config import merge_dicts

from workshop import invocation
from workshop.classroom import member_record
from workshop.classroom.members import Seat, seats
from workshop.classroom.roster import chosen, read_roster, shard
from workshop.runbook.errors import UsageError
from workshop.settings import ROOT, Settings, collected, load

if TYPE_CHECKING:
    from invoke.config import Config


@dataclass(frozen=True)
class Whom:
    """Which members of which roster, as it was typed. `at_once` is empty for the setting's."""

    roster: str = ""
    only: str = ""
    failed: bool = False
    shard: str = ""
    at_once: str = ""


@dataclass(frozen=True)
class Class:
    """The members that a call is about, and how many of them at the same time. `roster` is the flag for
    another call about them, where one was typed, and `size` how many there are in it."""

    title: str
    settings: Settings
    seats: tuple[Seat, ...]
    at_once: int
    roster: str = ""
    size: int = 0


def read_class(config: Config, whom: Whom) -> Class:
    """Raises UsageError, before anything is done for anybody, for a roster or a choice that cannot be right."""
    settings = load(config)
    file = roster_of(config, settings, whom.roster)
    roster = read_roster(file)
    members = chosen(roster, whom.only.replace(",", " ").split())
    if whom.shard:  # of the roster, whoever else is left out: a member's state is on one machine
        share = shard(roster.members, whom.shard)
        members = tuple(member for member in members if member in share)
    flag = f" --roster {shlex.quote(whom.roster)}" if whom.roster else ""
    taken = seats(settings, roster, members, _overlaid(config))
    if whom.failed:
        taken = tuple(seat for seat in taken if (last := member_record.read(seat.folder)) and last.failed)
    if not taken:
        raise UsageError(
            "find a member of the class",
            "nobody's last task has failed"
            if whom.failed
            else f"share {whom.shard} of {file} has {'none of those' if whom.only else 'nobody'} in it",
            next_command=f"{invocation.invoke()} class.status{flag}",
        )
    return Class(file.stem, settings, taken, _at_once(settings, whom.at_once), flag, len(roster.members))


def roster_of(config: Config, settings: Settings, given: str) -> Path:
    """The file, which need not be there."""
    if given:
        return Path(given).expanduser()
    return Path(getattr(config, "_project_prefix", None) or ROOT) / settings.classroom.roster


def _overlaid(config: Config) -> Callable[[Mapping[str, Any]], Settings]:
    def overlaid(profile: Mapping[str, Any]) -> Settings:
        given = deepcopy(dict(config.items()))
        merge_dicts(given, dict(profile))
        return collected(given)

    return overlaid


def _at_once(settings: Settings, given: str) -> int:
    if not given:
        return settings.classroom.at_once
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(
            f"work on {given!r} members at once",
            "it is a whole number, 1 or more",
            next_command=f"{invocation.invoke()} --help class.run",
        )
    return int(given)

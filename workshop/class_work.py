"""What all tasks class.* go through: work for every member at the same time, shown live, what came of it, and what
to type next."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.server import launcher
from workshop import invocation
from workshop.classroom import member_record
from workshop.classroom.members import Seat
from workshop.classroom.next_commands import for_members, for_whom
from workshop.classroom.together import Telling, Work, alike, together
from workshop.classroom.whom import Class
from workshop.runbook.errors import WorkshopError
from workshop.runbook.run import Listener
from workshop.runbook.status import Status
from workshop.runbook.stop import INTERRUPTED, Stop

if TYPE_CHECKING:
    from workshop.console.class_view import MemberRow, SameCause


STATUS_OF = {"done": 0, "inconclusive": 3, "failed": 1, "cut off": INTERRUPTED, "not begun": INTERRUPTED}
"""The exit status of each state of a member."""


def with_sandboxes(the_class: Class, work: Work, saved: Path | None = None) -> Work:
    """The same once the sandboxes of members that have one are there, new ones with a `saved` state; one that does
    not start is its member's failure."""
    folders = {seat.name: seat.settings.sandbox_folder for seat in seats_in_sandboxes(the_class.seats)}
    if not folders:
        return work
    idle = the_class.settings.sandbox.idle_seconds
    found = launcher.ensure_all(folders.values(), idle_seconds=idle, saved=saved)

    async def ready(seat: Seat, listen: Listener, stop: Stop) -> int:
        there = found.get(folders.get(seat.name, Path()))
        if isinstance(there, launcher.SandboxError):
            raise sandbox_trouble("start", the_class, seat, there)
        return await work(seat, listen, stop)

    return ready


def seats_in_sandboxes(seats: Iterable[Seat]) -> list[Seat]:
    return [seat for seat in seats if seat.settings.target == "sandbox"]


def sandbox_trouble(verb: str, the_class: Class, seat: Seat, error: launcher.SandboxError) -> WorkshopError:
    program, member = invocation.invoke(), f"--only {seat.name}{the_class.roster}"
    return WorkshopError(
        f"{verb} the sandbox of {seat.name}",
        str(error),
        next_command=f"{program} class.down {member} && {program} class.up {member}",
    )


def worst(statuses: Sequence[int]) -> int:
    return next((status for status in (INTERRUPTED, 2, 1, 3) if status in statuses), 0)


def for_all(
    the_class: Class, task: str, work: Work, *, found: Mapping[str, Status] | None = None, kept: bool = True
) -> int:
    """Do it for all, show it, and say in the end what came of it. What is not `kept` is no member's last task, nor
    what only looks for what `found` is to show."""
    from workshop.console.class_view import ClassScreen, MemberRow, class_status_lines, grouped, summary_lines

    rows = [MemberRow(seat.name) for seat in the_class.seats]
    screen = invocation.open_plainly()
    began, at_once = time.monotonic(), min(the_class.at_once, len(rows))
    dot = f" {screen.lines.glyphs.dot} "
    title = [
        f"{the_class.title}: {task}",
        count_of_members(len(rows)),
        *([f"{at_once} at once"] * (at_once < len(rows))),
    ]
    _raise_file_limit()
    with ClassScreen(screen, dot.join(title), rows) as shown:
        ended = shown.ended if found is None else lambda row: None
        telling = Telling(ended, shown.stop, shown.still)
        asyncio.run(work_through(the_class, rows, work, telling, task if kept and found is None else ""))
    if found is not None:
        in_order = {row.name: found[row.name] for row in rows if row.name in found}
        for line in class_status_lines(in_order, screen.lines, now=time.time()):
            screen.print(line)
    groups = worded_for_class(the_class, grouped(rows, alike(the_class.seats)))
    seconds, following = time.monotonic() - began, _following(the_class, rows) if kept and found is None else ()
    for line in summary_lines(rows, groups, screen.lines, seconds=seconds, following=following, found=found):
        screen.print(line)
    if all(row.refused for row in rows):
        return 2
    return worst([STATUS_OF[row.state] for row in rows])


def worded_for_class(the_class: Class, groups: Sequence[SameCause]) -> list[SameCause]:
    """What an instructor types next is for all who have the same cause."""
    program, whom = invocation.invoke(), the_class.roster
    return [
        replace(group, trouble=for_members(group.trouble, program, f"{whom} --only {','.join(group.names)}"))
        for group in groups
    ]


def _raise_file_limit() -> None:
    """A member at work has some ten files and connections open: use all that this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def work_through(
    the_class: Class, rows: Sequence[MemberRow], work: Work, telling: Telling, task: str
) -> None:
    await together(
        the_class.seats,
        rows,
        work,
        telling,
        task=task,
        command=invocation.typed(),
        at_once=the_class.at_once,
    )


def count_of_members(count: int) -> str:
    return f"{count} member{'' if count == 1 else 's'}"


def _is_a_runs(row: MemberRow) -> bool:
    """What was not applied, or not proved: a run mends it, and a check finds it again."""
    said = row.trouble.said if row.trouble else ""
    return "not proved" in said or ": missing, " in said


def _following(the_class: Class, rows: Sequence[MemberRow]) -> list[tuple[str, str]]:
    """What to type next: the same again for those that have not ended well, by their names where that could not be
    written down for each. A check proves nothing that a run has left to be proved: that is a run's to do."""
    words = shlex.split(invocation.typed())
    if any(row.state == "not begun" for row in rows):
        return [(shlex.join(words), "goes on; what is done already is unchanged")]
    left = [row for row in rows if row.state != "done"]
    if not left:
        return []
    before = ""
    if "class.check" in words and any(_is_a_runs(row) for row in left):
        words[words.index("class.check")] = "class.run"
        names = {row.name for row in left}
        if not all(seat.measured for seat in the_class.seats if seat.name in names):
            before = f"INVOKE_CLASSROOM_MEASURED={the_class.size} "
    folders = {seat.name: seat.folder for seat in the_class.seats}
    if all((last := member_record.read(folders[row.name])) and last.failed for row in left):
        again = shlex.join(words if "--failed" in words else [*words, "--failed"])
    else:
        again = for_whom(words, [row.name for row in left])
    return [(f"{before}{again}", f"only {'that one' if len(left) == 1 else f'those {len(left)}'}")]

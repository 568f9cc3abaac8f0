"""What the tasks class.* do: the same for every member of the roster at the same time. Each returns an exit status.

Whatever there is for one (a run, a check, a reset, a status) is done here with each member's settings; this module
knows who the members are, and nothing of what is done for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.server import launcher
from workshop import invocation
from workshop.class_work import (
    STATUS_OF,
    count_of_members,
    for_all,
    sandbox_trouble,
    seats_in_sandboxes,
    with_sandboxes,
    worded_for_class,
    work_through,
    worst,
)
from workshop.classroom.handout_kubeconfig import write
from workshop.classroom.members import Seat
from workshop.classroom.next_commands import for_whom
from workshop.classroom.readiness import examine_member, examine_quota, examine_tools
from workshop.classroom.together import SILENT, Work, alike
from workshop.classroom.whom import Class, Whom, read_class
from workshop.console import words
from workshop.kubernetes.lease import Holder
from workshop.parts import (
    Part,
    for_status,
    job_of,
    numbered,
    parts_of,
    reset_part,
    run_part,
    toolbox_of,
    undoing,
    validate,
)
from workshop.runbook import checking, events
from workshop.runbook import plan as planning
from workshop.runbook import reset as resetting
from workshop.runbook.assembly import refuse_missing_files
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request
from workshop.runbook.results import Check, Finding
from workshop.runbook.run import Listener, unheard
from workshop.runbook.schedule import Job
from workshop.runbook.state_folder import FolderLock
from workshop.runbook.status import Status, joined
from workshop.runbook.status import status as status_of
from workshop.runbook.stop import Stop, run_cuttable
from workshop.sandbox_tasks import find_saved, seconds_of
from workshop.target import ACCOUNT, Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config


def run(
    config: Config,
    runbook: Runbook,
    whom: Whom,
    *,
    labs: str,
    to: str = "",
    verify: bool = False,
    check: bool = False,
    plan: bool = False,
) -> int:
    """Run labs for every member, or only look: check them, or say what a run would change."""

    def act() -> int:
        names = _labs(runbook, labs, "class.check" if check else "class.run")
        program = invocation.invoke()
        whole = Request(names, invocation.typed(), program=program, to=to or None, verify=verify)
        whole.validate(runbook)
        refuse_missing_files(runbook, names)
        the_class = read_class(config, whom)
        parts = {
            seat.name: _parts(seat, runbook, whole, proofs=check or plan or seat.measured)
            for seat in the_class.seats
        }

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            statuses = []
            for part in parts[seat.name]:
                target = describe(seat.settings, part.use).with_labs(part.runbook)
                with contextlib.closing(target.journal):
                    toolbox = await toolbox_of(part, target)
                    job = job_of(part, target, toolbox, listen, stop)
                    if check:
                        statuses.append(await checking.check(job, target.guard))
                    elif plan:
                        statuses.append(await _plan(job, listen))
                    else:
                        statuses.append(await run_part(part, target, toolbox, listen, _Nobody(), stop))
                if statuses[-1] and not (check or plan):
                    break
            return worst(statuses)

        if not (check or plan):
            _refuse_unready(the_class, runbook, names)
        if not (check or plan or all(seat.measured for seat in the_class.seats)):
            measured = [seat.name for seat in the_class.seats if seat.measured]
            of = f"labs of {', '.join(measured)} are proved, of the others" if measured else "labs are"
            print(
                f"{of} applied, and stay to be proved (INVOKE_CLASSROOM_MEASURED=20 proves those of the first 20)"
            )
        return for_all(
            the_class, f"{'check' if check else 'plan' if plan else 'run'} {labs}", with_sandboxes(the_class, work)
        )

    return invocation.ended(act)


async def _plan(job: Job, listen: Listener) -> int:
    """Says in a word what a run would change."""
    with job.stop.signals(lambda: None):
        found = await job.stop.cuttable(planning.plan(job))
    changing = [step for step in found.steps if step.changes]
    differences = [one for step in changing for one in step.check.differences]
    said = f"{len(changing)} of {len(found.steps)} steps: {words.totals(differences)}".removesuffix(": ")
    listen(events.Told("", said if changing else "nothing to change"))
    return found.exit_status


def _labs(runbook: Runbook, labs: str, task: str) -> tuple[str, ...]:
    """Of labs and groups as they are typed, with commas between them."""
    found: list[str] = []
    for name in labs.replace(",", " ").split():
        wanted = name.removeprefix("lab.")
        group = [lab.name for lab in runbook.labs if lab.name.startswith(f"{wanted}.") and not lab.undoes]
        found += group or [wanted]
    known = [lab.name for lab in runbook.labs]
    if unknown := next((name for name in found if name not in known), ""):
        near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
        raise UsageError(
            f"find the lab {unknown}",
            f"the labs are {', '.join(known)}",
            next_command=f"{invocation.invoke()} {task} {near[0] if near else known[0]}",
        )
    if not found:
        raise UsageError(
            f"use {task}",
            "it does not say which lab",
            next_command=f"{invocation.invoke()} {task} {runbook.labs[-2].name}",
        )
    return tuple(dict.fromkeys(sorted(found, key=known.index)))


def _parts(seat: Seat, runbook: Runbook, whole: Request, *, proofs: bool = True) -> list[Part]:
    if seat.settings.target == "cluster":
        whole = replace(
            whole, labs=tuple(name for name in whole.labs if not name.startswith(ACCOUNT)) or whole.labs
        )
    whole = replace(whole, proofs=proofs)
    parts = numbered(parts_of(seat.settings, runbook, [whole]))
    validate(seat.settings, account=any(part.use.account for part in parts))
    return parts


_LOADED_AT_ONCE = 4


class _Nobody:
    """Who is asked while all members are worked on at the same time."""

    interactive = False

    async def go_on(self, lab: str, title: str, check: Check) -> bool:
        return False

    async def confirm(self, target: str, doomed: Sequence[str]) -> bool:
        return False


def up(config: Config, runbook: Runbook, whom: Whom, *, lasts: str = "", saved: str = "") -> int:
    """Have each member's clusters: sandboxes started, which last for `lasts` at least and begin with the `saved`
    state of that name, or the azure labs run."""

    def act() -> int:
        seconds = seconds_of(lasts, "class.up") if lasts else 0
        the_class = read_class(config, whom)
        file, head = find_saved(the_class.settings, saved) if saved else (None, None)
        whole = _on_the_account(runbook)
        began = time.monotonic()
        in_sandboxes = seats_in_sandboxes(the_class.seats)
        new = {seat.name for seat in in_sandboxes if not launcher.is_there(seat.settings.sandbox_folder)}
        if file:  # pods of all of them start in one process, and kubectl does not wait for long
            the_class = replace(the_class, at_once=min(the_class.at_once, _LOADED_AT_ONCE))
        parts = {
            seat.name: _parts(seat, runbook, whole) for seat in the_class.seats if seat.settings.target == "azure"
        }
        if any(row.state == "fail" for row in _quota(the_class)):
            print("nothing was begun for anybody")
            return 2

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            for part in parts.get(seat.name, ()):
                target = describe(seat.settings, part.use).with_labs(part.runbook)
                if status := await run_part(part, target, await toolbox_of(part, target), listen, _Nobody(), stop):
                    return status
            target = seat.target()
            if seconds and seat.settings.target == "sandbox":
                launcher.keep(seat.settings.sandbox_folder, seconds)
            if file and head and seat.name in new:
                from workshop import saved_notes  # reads YAML, for what sandboxes with a state alone need

                seconds_so_far = time.monotonic() - began
                await asyncio.to_thread(saved_notes.put_back, seat.settings, target, file, head, seconds_so_far)
                target = seat.target()
            if seat.settings.target != "cluster":
                await target.cluster.may_change()  # what was made for the workshop is adopted without asking
            left = file and seat.settings.target == "sandbox" and seat.name not in new
            listen(events.Told("", "it runs already: nothing is loaded into it" if left else target.which))
            return 0

        return for_all(the_class, "up", with_sandboxes(the_class, work, file))

    return invocation.ended(act)


def _on_the_account(runbook: Runbook) -> Request:
    names = tuple(lab.name for lab in runbook.labs if lab.name.startswith(ACCOUNT) and not lab.undoes)
    return Request(names, invocation.typed(), program=invocation.invoke())


def down(config: Config, runbook: Runbook, whom: Whom, *, yes: bool) -> int:
    """Delete what `up` has made; clusters that were there before stay."""

    def act() -> int:
        the_class = read_class(config, whom)
        by_target = {
            name: [s for s in the_class.seats if s.settings.target == name] for name in ("sandbox", "azure")
        }
        if not any(by_target.values()):
            raise UsageError(
                "take down the clusters of the class",
                "they were there before, and stay",
                next_command=f"{invocation.invoke()} class.reset --to clean",
            )
        whole = replace(_on_the_account(runbook), yes=True)
        _agree(the_class, f"delete the clusters of {count_of_members(sum(map(len, by_target.values())))}", yes=yes)

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            statuses = [0]
            for part in undoing(runbook, [whole]) if seat.settings.target == "azure" else ():
                target = describe(seat.settings, part.use).with_labs(part.runbook)
                toolbox = await toolbox_of(part, target)
                statuses.append(await run_part(part, target, toolbox, listen, _Nobody(), stop))
            if isinstance(error := stopped.get(seat.settings.sandbox_folder), launcher.SandboxError):
                raise sandbox_trouble("stop", the_class, seat, error)
            if seat.settings.target == "cluster":
                listen(events.Told("", "it was there before, and stays"))
            return worst(statuses)

        if not yes:
            for seat in by_target["sandbox"]:
                FolderLock(seat.folder, str(Holder.me())).refuse_if_held()
        stopped = launcher.stop_all([seat.settings.sandbox_folder for seat in by_target["sandbox"]])
        return for_all(the_class, "down", work)

    return invocation.ended(act)


def adopt(config: Config, runbook: Runbook, whom: Whom, *, yes: bool) -> int:
    """Mark each member's cluster as the workshop's, once a person has agreed to all of them."""

    def act() -> int:
        the_class = read_class(config, whom)
        targets = {seat.name: seat.target() for seat in the_class.seats}
        _refuse_unready(the_class, runbook, (), to_adopt=True)
        if any(not target.cluster.disposable for target in targets.values()):
            for seat in the_class.seats:
                print(f"  {seat.name}  {targets[seat.name].which_exactly}")
            _agree(the_class, f"adopt the clusters of {count_of_members(len(targets))}", yes=yes)

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            target = targets[seat.name]
            for guard in (target.cluster, *(other.guard for other in target.others.clusters.values())):
                await guard.adopt()
            listen(events.Told("", f"{target.cluster.name} is the workshop's"))
            return 0

        return for_all(the_class, "adopt", with_sandboxes(the_class, work))

    return invocation.ended(act)


def _agree(the_class: Class, what: str, *, yes: bool) -> None:
    """Raises UsageError unless a person types the class's name, or has said yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            what,
            "there is no terminal to ask at",
            cause=f"it is agreed to by typing the name of the class ({the_class.title}), or with --yes",
            next_command=f"{invocation.typed()} --yes",
        )
    try:
        typed = input(f"Type the name of the class ({the_class.title}) to {what}: ").strip()
    except EOFError:
        typed = ""
    if typed != the_class.title:
        raise UsageError(what, f"{the_class.title} was not typed", cause="nothing was changed")


def reset(
    config: Config,
    runbook: Runbook,
    whom: Whom,
    *,
    to: str,
    before: str,
    foreign: bool,
    proof: bool,
    yes: bool,
) -> int:
    """Bring every member's cluster to a known state, once a person has agreed to all of them."""

    def act() -> int:
        program = invocation.invoke()
        names = tuple(lab.name for lab in runbook.labs if not lab.undoes and not lab.name.startswith(ACCOUNT))
        state = resetting.state_of(runbook, names, to=to, before=before, program=program, task="class.reset")
        the_class = read_class(config, whom)
        if not all(seat.settings.target == "sandbox" for seat in the_class.seats):
            _agree(
                the_class,
                f"bring the clusters of {count_of_members(len(the_class.seats))} to {state.named}",
                yes=yes,
            )
        whole = Request((), invocation.typed(), yes=True, brief=True, program=program)

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            return await reset_part(
                seat.settings,
                runbook,
                state,
                replace(whole, proofs=proof and seat.measured),
                listen,
                _Nobody(),
                stop,
                foreign=foreign,
            )

        return for_all(the_class, f"reset to {state.named}", with_sandboxes(the_class, work))

    return invocation.ended(act)


def doctor(config: Config, runbook: Runbook, whom: Whom, *, labs: str) -> int:
    """Look for what would make labs fail for a member, and whether Azure's quotas are enough for all."""

    def act() -> int:
        names = _labs(runbook, labs, "class.doctor") if labs else ()
        the_class = read_class(config, whom)
        found: dict[str, list[Finding]] = {}

        work = _examining(runbook, names, found)
        status = for_all(the_class, "doctor", with_sandboxes(the_class, work), kept=False)
        for line in _unsure(found):
            print(line)
        shared = [*_tools(the_class, runbook), *_quota(the_class)]
        return max(status, int(any(row.state == "fail" for row in shared)))

    return invocation.ended(act)


def _tools(the_class: Class, runbook: Runbook) -> list[Finding]:
    """Of this machine, for all members whose sandbox does not bring them; shown where they would make runs fail."""
    seats = [seat for seat in the_class.seats if seat.settings.target != "sandbox"]
    found = run_cuttable(examine_tools(_as_it_will_be(seat, runbook) for seat in seats))
    if wrong := [row for row in found if row.state == "fail"]:
        invocation.open_plainly().show_findings(f"for {count_of_members(len(seats))}, on this machine", wrong)
    return found


def _quota(the_class: Class) -> list[Finding]:
    """Of all members on Azure together, shown."""
    on_azure = [seat for seat in the_class.seats if seat.settings.target == "azure"]
    use = Use(account=True, command=invocation.invoke())
    quota = run_cuttable(examine_quota(describe(seat.settings, use) for seat in on_azure))
    if quota:
        invocation.open_plainly().show_findings(f"for {count_of_members(len(on_azure))} on Azure", quota)
    return quota


def _examining(
    runbook: Runbook, names: Sequence[str], found: dict[str, list[Finding]], *, to_adopt: bool = False
) -> Work:
    """Fails for a member whose labs would."""

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        target = _as_it_will_be(seat, runbook)
        with stop.signals(lambda: None):
            rows = await stop.cuttable(examine_member(target, runbook, names, to_adopt=to_adopt))
        found[seat.name] = rows
        listen(events.Told("", _said_of(rows)))
        if wrong := [row for row in rows if row.state == "fail"]:
            first, *others = wrong
            said = "; ".join((first.what, *(f"{row.name}: {row.what}" for row in others)))
            raise WorkshopError(first.name, said, next_command=first.next_command)
        return 0

    return work


def _refuse_unready(the_class: Class, runbook: Runbook, names: Sequence[str], *, to_adopt: bool = False) -> None:
    """Raises UsageError, before anything is done for anybody, when labs would fail on a cluster that is there. What
    was made for the workshop is as it has to be."""
    from workshop.console.class_view import MemberRow, grouped

    there = replace(the_class, seats=tuple(seat for seat in the_class.seats if seat.settings.target == "cluster"))
    rows = [MemberRow(seat.name) for seat in there.seats]
    asyncio.run(work_through(there, rows, _examining(runbook, names, {}, to_adopt=to_adopt), SILENT, ""))
    if any(row.state in ("cut off", "not begun") for row in rows):
        raise KeyboardInterrupt
    if not (groups := worded_for_class(the_class, grouped(rows, alike(there.seats)))):
        return
    failed = {name for group in groups for name in group.names}
    ready = [seat.name for seat in the_class.seats if seat.name not in failed]
    raise UsageError(
        f"begin with {count_of_members(len(the_class.seats))}",
        "; ".join(f"{', '.join(group.names)}: {group.trouble.said}" for group in groups),
        cause="nothing was begun for anybody",
        next_command=for_whom(shlex.split(invocation.typed()), ready) if ready else groups[0].trouble.next_command,
    )


def _as_it_will_be(seat: Seat, runbook: Runbook) -> Target:
    """A cluster that the azure labs make need not be there yet."""
    made = seat.settings.target == "azure"
    return seat.target(Use(made=made, command=invocation.invoke())).with_labs(runbook)


def _said_of(found: Sequence[Finding]) -> str:
    """In a line."""
    if not found:
        return "its clusters are yet to be made"
    unsure = sum(row.state == "warn" for row in found)
    said = f"{len(found)} things looked at, nothing would make a run fail"
    return f"{said}; {unsure} not sure" if unsure else said


def _unsure(found: Mapping[str, Sequence[Finding]]) -> Iterator[str]:
    """What may make a run fail, each once, with whose it is."""
    whose: dict[str, list[str]] = {}
    for name, rows in sorted(found.items()):
        for row in rows:
            if row.state == "warn":
                whose.setdefault(f"{row.name}: {row.what}", []).append(name)
    yield from (f"{', '.join(names)}: not sure, {what}" for what, names in whose.items())


_LONGEST_HOURS = 24 * 365


def kubeconfigs(config: Config, whom: Whom, *, to: str, hours: str) -> int:
    """Write a kubeconfig for each member that can be handed out, good for so many hours."""

    def act() -> int:
        the_class = read_class(config, whom)
        if not hours.isdecimal() or not 1 <= int(hours) <= _LONGEST_HOURS:
            raise UsageError(
                f"write kubeconfigs that are good for {hours!r} hours",
                f"it is a whole number, from 1 to {_LONGEST_HOURS}",
                next_command=f"{invocation.invoke()} --help class.kubeconfigs",
            )
        folder = Path(to).expanduser().absolute() if to else the_class.settings.state_folder / "kubeconfigs"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UsageError(
                f"write kubeconfigs into {folder}",
                error.strerror or str(error),
                cause="--to names a folder, or one that can be made",
                next_command=f"{invocation.invoke()} --help class.kubeconfigs",
            ) from error
        said: dict[str, list[str]] = {}

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            written = await write(seat.target(), seat.name, folder, int(hours) * 3600)
            until = f"until {written.expires.astimezone():%Y-%m-%d %H:%M}" if written.expires else ""
            listen(events.Told("", " ".join(filter(None, (written.path.name, until)))))
            if written.said:
                said.setdefault(written.said, []).append(seat.name)
            return 0

        status = for_all(the_class, "kubeconfigs", with_sandboxes(the_class, work), kept=False)
        for what, names in said.items():
            print(f"{', '.join(sorted(names))}: {what}")
        print(f"they are in {folder}: each leads into one member's cluster, as its administrator")
        return status

    return invocation.ended(act)


FORMS = ("table", "json")


def status(config: Config, runbook: Runbook, whom: Whom, form: str) -> int:
    """Where every member is; 1 when something has drifted. It reads only."""

    def act() -> int:
        invocation.refuse_other_form(form, FORMS, "class.status")
        the_class = read_class(config, whom)
        whole = Request((), invocation.typed(), program=invocation.invoke())
        found: dict[str, Status] = {}

        async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
            with stop.signals(lambda: None):
                found[seat.name] = await stop.cuttable(_status(seat, runbook, whole, stop))
            return 0

        ready = with_sandboxes(the_class, work)
        shown = _as_json if form == "json" else _shown
        return max(shown(the_class, ready, found), *(status.exit_status for status in found.values()), 0)

    return invocation.ended(act)


async def _status(seat: Seat, runbook: Runbook, whole: Request, stop: Stop) -> Status:
    parts = []
    for part in for_status(seat.settings, runbook, whole):
        target = describe(seat.settings, part.use).with_labs(runbook)
        job = replace(job_of(part, target, await toolbox_of(part, target), unheard, stop), only_looks=True)
        parts.append(await status_of(job, target.journal.last_runs(target.name)))
    return joined(parts)


def _shown(the_class: Class, work: Work, found: Mapping[str, Status]) -> int:
    return for_all(the_class, "status", work, found=found)


def _as_json(the_class: Class, work: Work, found: Mapping[str, Status]) -> int:
    from workshop.console.class_view import MemberRow
    from workshop.console.status_view import status_as_data

    rows = [MemberRow(seat.name) for seat in the_class.seats]
    asyncio.run(work_through(the_class, rows, work, SILENT, ""))
    members = []
    for row in rows:
        error = None if row.name in found or not row.trouble else row.trouble.said
        known = status_as_data(found[row.name]) if row.name in found else {}
        members.append({"member": row.name, **known, "error": error})
    print(json.dumps({"class": the_class.title, "members": members}, indent=2, ensure_ascii=False))
    return worst([STATUS_OF[row.state] for row in rows])

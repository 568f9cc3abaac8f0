"""What the tasks about past runs do: history, report and resume. Every function returns an exit status."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import invocation, written_files
from workshop.classroom.members import FOLDER as CLASS
from workshop.classroom.members import class_folder
from workshop.kubernetes.lease import Holder
from workshop.runbook.errors import UsageError
from workshop.runbook.journal import Journal
from workshop.runbook.model import Runbook
from workshop.runbook.past_runs import runs_of
from workshop.runbook.record import RunRecord
from workshop.runbook.request import going_on
from workshop.settings import Settings, load, typed_variables
from workshop.target import journal_of

if TYPE_CHECKING:
    from invoke.config import Config


def history(config: Config, form: str) -> int:
    def act() -> int:
        invocation.refuse_other_form(form, ("table", "json"), "history")
        settings = load(config)
        runs = records(Journal(journal_of(settings)))
        if form == "json":
            from workshop.console.record_view import run_as_data

            print(json.dumps([run_as_data(run) for run in runs], indent=2))
            return 0
        with invocation.open_screen(config) as screen:
            screen.show_history(runs)
        if not runs and _class_has_run(settings):
            print(f"the members of a class have: {invocation.invoke()} report --class, or class.status")
        return 0

    return invocation.ended(act)


def _class_has_run(settings: Settings) -> bool:
    return any(class_folder(settings).glob("*/journal.sqlite"))


def records(journal: Journal, member: str = "") -> tuple[RunRecord, ...]:
    """The runs of a journal, which is that `member`'s, and which of them are still under way."""
    return tuple(replace(run, under_way=_is_under_way(run), member=member) for run in runs_of(journal))


def _is_under_way(run: RunRecord) -> bool:
    holder = Holder.parse(run.origin.holder)
    return run.exit_status is None and holder is not None and not holder.is_gone()


FORMS = {"html": "html", "markdown": "md", "json": "json", "junit": "xml"}
"""How a report can be written, and what its file's name ends with."""


def report(
    config: Config,
    *,
    run: str,
    day: str,
    form: str,
    to: str,
    force: bool,
    of_class: bool = False,
    also: str = "",
) -> int:
    """Of run number `run`, of all of a `day` (2026-11-28), or of the last command; `of_class` of each member. With
    the classes of `also`, folders with commas between them: the shares of it that other machines have worked on."""

    def act() -> int:
        invocation.refuse_other_form(form, FORMS, "report")
        _refuse_together(run, day, of_class=of_class, also=also)
        settings = load(config)
        if of_class:
            members = _members(class_folder(settings), also)
            chosen = [one for runs in members for one in chosen_runs(runs, "", day, lenient=True)]
            if not chosen:
                raise UsageError(
                    "report the class",
                    f"no member in {class_folder(settings)} has run anything{' that day' * bool(day)}",
                    next_command=f"{invocation.invoke()} class.status",
                )
            about = f"class, {day}" if day else "class"
        else:
            runs = records(Journal(journal_of(settings)))
            if not runs and _class_has_run(settings):
                raise UsageError(
                    "report a run of one's own",
                    "there is none",
                    cause="the members of a class have runs, each in a state folder of its own",
                    next_command=f"{invocation.invoke()} report --class",
                )
            chosen = chosen_runs(runs, run, day)
            about = f"day {day}" if day else "run " + " and ".join(str(one.number) for one in chosen)
        short = about.replace(" and ", "-").replace(", ", "-").replace(" ", "-")
        file = to or f"report-{short}.{FORMS[form]}"
        text = _written(form, chosen, f"Mesh Workshop: {about}")
        written_files.write(file, text, made_by="Mesh Workshop report", force=force, what=f"the report of {about}")
        return 0

    return invocation.ended(act)


def _refuse_together(run: str, day: str, *, of_class: bool, also: str) -> None:
    if run and (day or of_class):
        other = "--day" if day else "--class"
        raise UsageError(
            f"use --run and {other} together",
            "each says which runs the report is of",
            next_command=invocation.typed(without=f"--day={day}") if f"--day={day}" in sys.argv else "",
        )
    if also and not of_class:
        raise UsageError(
            "use --also without --class",
            "it names folders with more members of the class",
            next_command=f"{invocation.invoke()} report --class --also {shlex.quote(also)}",
        )


def _members(own: Path, also: str) -> Iterator[tuple[RunRecord, ...]]:
    """Each one's runs. Raises UsageError for a folder that has none of a class."""
    for folder in (own, *map(Path, filter(None, also.split(",")))):
        folder = folder / CLASS if (folder / CLASS).is_dir() else folder
        journals = sorted(folder.glob("*/journal.sqlite"))
        if not journals and folder != own:
            raise UsageError(
                f"report the members in {folder}",
                "no member's journal is there",
                cause="it is a state folder, or the folder class in one, of a machine that has worked on the class",
                next_command=f"ls {shlex.quote(str(folder))}",
            )
        for journal in journals:
            yield records(Journal(journal), journal.parent.name)


def _written(form: str, runs: Sequence[RunRecord], title: str) -> str:
    from workshop.console.junit import report_junit
    from workshop.console.report_page import report_page
    from workshop.console.report_texts import report_json, report_markdown

    writes = {"html": report_page, "markdown": report_markdown, "json": report_json, "junit": report_junit}
    return writes[form](runs, title)


def chosen_runs(runs: Sequence[RunRecord], run: str, day: str, *, lenient: bool = False) -> list[RunRecord]:
    """In the order in which they began. Raises UsageError for what there is none of, unless it is `lenient`."""
    listing = f"{invocation.invoke()} history"
    tried = f"report run {run}" if run else f"report the day {day}" if day else "report the last run"
    if run and not run.isdecimal():
        raise UsageError(tried, "it is the number of a run", next_command=listing)
    if day:
        try:
            wanted = date.fromisoformat(day)
        except ValueError as error:
            raise UsageError(tried, "it is a day such as 2026-11-28", next_command=listing) from error
        found = [one for one in runs if date.fromtimestamp(one.started) == wanted]
    elif run:
        found = [one for one in runs if one.number == int(run)]
    else:
        found = list(runs[-1:])
        while found and found[0].part[0] > 1 and len(found) < len(runs):
            found.insert(0, runs[-len(found) - 1])
    if not found and not lenient:
        raise UsageError(tried, "there is none" if not runs else "there was no such run", next_command=listing)
    return sorted(found, key=lambda one: one.started)


def resume(config: Config, runbook: Runbook) -> int:
    """Go on with the last run that was cut off, in the place of this process."""

    def act() -> int:
        invocation.refuse_others("resume", "it goes on in the place of this command, and nothing comes after it")
        run = to_resume(records(Journal(journal_of(load(config)))), runbook)
        command = run.resume or going_on(run.origin.command, moved=run.moved)
        folder = Path(run.origin.folder or ".")
        where = "" if folder.resolve() == Path.cwd() else f" (in {folder})"
        print(f"going on with run {run.number}: {command}{where}", flush=True)
        if not config.run.dry:
            _go_on(run, command, folder)
        return 0

    return invocation.ended(act)


def to_resume(runs: Sequence[RunRecord], runbook: Runbook) -> RunRecord:
    """The last run that was cut off. Raises UsageError where there is none, where it goes on by itself, or where
    what it was asked for has converged since."""
    tried = "go on with the last run that was cut off"
    listing = f"{invocation.invoke()} history"
    for run in reversed(runs):
        if run.under_way:
            holder = Holder.parse(run.origin.holder)
            raise UsageError(
                tried,
                f"run {run.number} is still under way: {holder}",
                cause="it may end well",
                next_command=listing,
            )
        if run.cut_off and not _went_on(run, runs):
            break
    else:
        raise UsageError(tried, "there is none", cause=_why_none(runs), next_command=listing)
    if since := [later for later in runs if later.number > run.number and _settles(later, run, runbook)]:
        raise UsageError(
            tried,
            f"run {run.number} ({run.origin.command}) was, and what it was asked for has "
            f"{'been taken back' if _takes_back(since[-1], run, runbook) else 'converged'} since",
            cause=f"run {since[-1].number}: {since[-1].origin.command}",
            next_command=run.origin.command,
        )
    if not run.origin.command:
        raise UsageError(tried, f"run {run.number} does not say how it was typed", next_command=listing)
    return run


def _went_on(run: RunRecord, runs: Sequence[RunRecord]) -> bool:
    """Whether the next part of its command began after it: how that one ended is that one's to say."""
    next_part = (run.part[0] + 1, run.part[1])
    return run.exit_status == 0 and any(
        later.part == next_part and later.origin.command == run.origin.command and later.exit_status != 2
        for later in runs
        if later.number > run.number
    )


def _why_none(runs: Sequence[RunRecord]) -> str:
    if not runs:
        return "no run is written down in this state folder"
    if runs[-1].exit_status:
        return f"the last run ({runs[-1].origin.command}) ended by itself, and the same would end the same"
    return f"the last run ({runs[-1].origin.command}) has converged"


def _settles(later: RunRecord, run: RunRecord, runbook: Runbook) -> bool:
    """Whether nothing is left to go on with after that."""
    if later.exit_status != 0 or later.target != run.target:
        return False
    return _takes_back(later, run, runbook) or set(run.asked) <= {lab.name for lab in later.labs}


def _takes_back(later: RunRecord, run: RunRecord, runbook: Runbook) -> bool:
    """Whether it was a clean-up of one of the labs that the run was asked for, or a reset, which decides of all."""
    if any(asked.startswith("reset ") for asked in later.asked):
        return True
    taken = {name for asked in later.asked for name in _taken_back(asked, runbook)}
    return bool(taken.intersection(run.asked))


def _taken_back(asked: str, runbook: Runbook) -> set[str]:
    """`asked` is a clean-up's name, or that of labs with --undo behind them; else nothing is."""
    known = {lab.name: lab for lab in runbook.labs}
    if asked in known:
        return set(known[asked].undoes)
    names, _, undo = asked.partition(" --undo")
    named = set(names.split()) if asked.endswith(" --undo") and not undo else set()
    return {lab.name for lab in runbook.labs if named & {need.name for need in runbook.with_needs((lab.name,))}}


def _go_on(run: RunRecord, command: str, folder: Path) -> None:
    """Never returns: this process becomes that command, as if it had been typed again where it was. Raises
    UsageError where there is no such place any more."""
    program = str(Path(sys.argv[0]).absolute())
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"go back to {folder}, where run {run.number} was typed",
            error.strerror or str(error),
            next_command=command,
        ) from error
    environment = {name: value for name, value in os.environ.items() if name not in typed_variables()}
    os.execve(  # noqa: S606 - our own program, without a shell
        sys.executable,
        [sys.executable, program, *shlex.split(command)[1:]],
        {**environment, **run.origin.variables},
    )

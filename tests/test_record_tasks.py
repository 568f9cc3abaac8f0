"""Past runs: listed, and gone on with as they were typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from labs import RUNBOOK
from tests.kit.cases import cases
from tests.kit.screens import bare, rendered
from tests.kit.workshop import BIN, Workshop, until
from workshop import written_files
from workshop.console.lines import Lines
from workshop.console.record_view import history_lines
from workshop.console.report_page import report_page
from workshop.console.report_texts import report_json
from workshop.console.words import UNICODE
from workshop.record_tasks import chosen_runs, records, to_resume
from workshop.runbook import events
from workshop.runbook.errors import UsageError
from workshop.runbook.journal import Journal
from workshop.runbook.record import LabRecord, Origin, RunRecord
from workshop.settings import ROOT


def run(number: int, told: str) -> RunRecord:
    """Of "istio.canary, istio.fault: 130 on other": what was asked for, what it ended with, and where."""
    asked, _, rest = told.partition(": ")
    status, _, target = rest.partition(" on ")
    words = status.split()
    names = tuple(asked.split(", "))
    needs = [lab.name for lab in RUNBOOK.with_needs(tuple(name for name in names if "--" not in name))]
    command = f"invoke {' '.join(f'lab.{name}' for name in names)}"
    record = RunRecord(number, Origin(command), target or "sandbox", 0.0, asked=names)
    record = replace(record, labs=tuple(LabRecord(name) for name in dict.fromkeys((*needs, *names))))
    match words:
        case ["killed"]:
            return replace(record, moved=True, origin=replace(record.origin, command=f"{command} --restart"))
        case ["running"]:
            return replace(record, under_way=True, origin=replace(record.origin, holder="here/1/me/x"))
        case ["part", number_of_parts]:
            one, _, all_of_them = number_of_parts.partition("/")
            return replace(record, exit_status=0, part=(int(one), int(all_of_them)))
        case [number_, *undone]:
            status = int(number_)
            resume = command if status not in (0, 2) and not undone else ""
            return replace(record, exit_status=status, resume=resume)
    raise AssertionError(told)


@cases(__file__, "resume")
def test_what_is_gone_on_with(of: str, case: dict[str, Any]) -> None:
    runs = [run(number, told) for number, told in enumerate(case["runs"], 1)]
    if "goes_on" in case:
        assert to_resume(runs, RUNBOOK).number == case["goes_on"]
        return
    with pytest.raises(UsageError) as refused:
        to_resume(runs, RUNBOOK)
    said = " | ".join((refused.value.came_back, refused.value.cause, refused.value.next_command))
    assert said == case["refused"]


def test_a_run_that_was_killed_is_listed_and_gone_on_with_as_it_was_typed(workshop: Workshop) -> None:
    """The line with its variables, in the folder where it was typed, whatever the ones are now."""
    environment = {**workshop.environment, "INVOKE_AZURE_PRIMARY_GROUP": "course-7"}
    started = subprocess.Popen(
        [BIN / "invoke", "lab.azure.group", "--verify"],
        cwd=ROOT / "docs",
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert "Mesh Workshop" in until(started, "Mesh Workshop")
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    listed = workshop.converge("history").said.splitlines()
    assert "✗ cut off  invoke lab.azure.group --verify" in listed[0]
    dry = workshop.converge("--dry", "resume").said
    going_on = f"going on with run 1: invoke lab.azure.group --verify (in {ROOT / 'docs'})\n"
    assert dry == going_on
    went_on = workshop.converge("resume").said
    assert went_on.startswith(going_on)
    assert "✓ Converged" in went_on
    first, second = json.loads(workshop.converge("history", "--format", "json").said)
    assert [one["state"] for one in (first, second)] == ["cut off", "converged"]
    assert (first["command"], first["asked"]) == (second["command"], second["asked"])
    assert second["outcomes"] == {"changed": 2}
    assert second["place"] == "the resource groups course-7 and mesh-workshop-secondary"
    assert any("/resourcegroups/course-7" in sent.lower() for sent in workshop.azure.sent("PUT"))
    again = workshop.run("resume")
    assert again.status == 2
    assert "converged since" in again.said
    other = workshop.run("resume", "lab.azure.group", "--plan")
    assert other.status == 2
    assert "use resume with lab.azure.group" in other.said


def test_a_format_that_is_none_is_refused(workshop: Workshop) -> None:
    ran = workshop.run("history", "--format", "csv")
    assert ran.status == 2
    assert "it is one of table, json" in ran.said


def numbered(*told: tuple[str, float, tuple[int, int]]) -> list[RunRecord]:
    return [
        RunRecord(number, Origin(command), "sandbox", started, part=part, exit_status=0)
        for number, (command, started, part) in enumerate(told, 1)
    ]


DAY = 86400.0
NOON = 1_800_000_000.0
RUNS = numbered(
    ("invoke lab.istio", NOON, (1, 1)),
    ("invoke lab", NOON + DAY, (1, 2)),
    ("invoke lab", NOON + DAY + 60, (2, 2)),
)
TODAY = f"{datetime.fromtimestamp(NOON + DAY):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [(("", ""), [2, 3]), (("1", ""), [1]), (("3", ""), [3]), (("", TODAY), [2, 3])],
)
def test_a_report_is_of_the_last_command_or_of_what_is_named(asked: tuple[str, str], chosen: list[int]) -> None:
    assert [one.number for one in chosen_runs(RUNS, *asked)] == chosen


@pytest.mark.parametrize(
    ("runs", "asked", "said"),
    [
        ([], ("", ""), "report the last run: there is none"),
        (RUNS, ("4", ""), "report run 4: there was no such run"),
        (RUNS, ("last", ""), "report run last: it is the number of a run"),
        (RUNS, ("", "today"), "report the day today: it is a day such as 2026-11-28"),
        (RUNS, ("", "2020-02-29"), "report the day 2020-02-29: there was no such run"),
    ],
)
def test_a_report_of_what_there_is_none_of_is_refused(
    runs: list[RunRecord], asked: tuple[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        chosen_runs(runs, *asked)
    assert str(refused.value) == said
    assert refused.value.next_command == "invoke history"


def test_what_a_run_came_to_goes_on_below_itself() -> None:
    told = replace(RUNS[0], part=(1, 2), target="a context with a name that has many words", seconds=3.5)
    first, second = bare(rendered(history_lines([told], Lines(80, UNICODE)))).rstrip().splitlines()[1:]
    assert first.index("part 1 of 2") == len(second) - len(second.lstrip())


def test_a_document_is_written_over_its_like_and_over_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "report.html"

    def write(text: str, *, force: bool = False) -> str:
        written_files.write(str(place), text, made_by="by us", force=force, what="the report")
        assert capsys.readouterr().out == f"the report is in {place}\n"
        return place.read_text()

    assert write("made by us, first") == "made by us, first"
    assert write("made by us, then") == "made by us, then"
    place.write_text("somebody's own")
    with pytest.raises(UsageError, match="it is there, and not the workshop's own") as refused:
        write("made by us")
    assert refused.value.next_command.endswith(" --force")
    assert place.read_text() == "somebody's own"
    assert write("made by us", force=True) == "made by us"
    assert list(tmp_path.iterdir()) == [place], "nothing is left beside it"


@pytest.mark.parametrize(
    ("name", "said"), [("", "it is a folder"), ("none/report.html", "No such file or directory")]
)
def test_where_nothing_can_be_written_is_said(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        written_files.write(f"{tmp_path}/{name}", "made by us", made_by="by us", force=True, what="it")


def test_what_is_printed_is_the_document_alone(capsys: pytest.CaptureFixture[str]) -> None:
    written_files.write("-", "made by us\n", made_by="by us", force=False, what="it")
    assert capsys.readouterr().out == "made by us\n"


def test_the_journals_of_several_people_make_one_report(tmp_path: Path) -> None:
    found: list[RunRecord] = []
    for member in ("ada", "grace"):
        journal = Journal(tmp_path / member, origin=Origin("invoke lab.istio.canary"))
        journal.listen(events.RunStarted("", ("istio.canary",), "sandbox"))
        journal.listen(events.RunFinished("", 0, 1.0, {}))
        found += records(journal, member)
    assert [(one.member, one.number) for one in found] == [("ada", 1), ("grace", 1)]
    assert json.loads(report_json(found, "Class"))["runs"][1]["member"] == "grace"
    page = report_page(found, "Class")
    assert 'id="ada-run-1"' in page
    assert 'id="grace-run-1"' in page

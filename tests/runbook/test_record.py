"""What a run was, read again from the journal; and that what could be a secret is not kept."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.engine import Measured, Moves, Put, bench, failing, lab
from tests.kit.laws import LAW
from tests.runbook.test_journal import _VERSION_1
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.past_runs import runs_of
from workshop.runbook.record import (
    HIDDEN,
    KeptVerdict,
    LabRecord,
    Origin,
    RunRecord,
    StepRecord,
    Trouble,
    differences_as_text,
    differences_of,
    kept,
    measurements_as_text,
    measurements_of,
)
from workshop.runbook.results import ABSENT, Bar, Check, Difference, Hint, Latencies, Measurement, Verdict
from workshop.runbook.timings import Timings

TEXT = st.text(max_size=12)
SHARE = st.floats(0, 1)
SECONDS = st.floats(0, 1e6)
BARS = st.builds(Bar, TEXT, SHARE, st.none() | SHARE, st.none() | st.tuples(SHARE, SHARE), TEXT)


@st.composite
def latencies(draw: st.DrawFn) -> Latencies:
    bounds = sorted(draw(st.sets(st.floats(0, 100), min_size=2, max_size=6)))
    ends = [math.inf] if draw(st.booleans()) else []
    counts = draw(
        st.lists(st.integers(0, 9), min_size=len(bounds) + len(ends) - 1, max_size=len(bounds) + len(ends) - 1)
    )
    return Latencies((*bounds, *ends), tuple(counts), draw(SECONDS), draw(SECONDS))


MEASUREMENTS = st.lists(
    st.builds(
        Measurement,
        TEXT,
        st.lists(BARS, max_size=3).map(tuple),
        st.integers(0, 9999),
        SECONDS,
        st.integers(0, 9),
        st.none() | latencies(),
    ),
    max_size=3,
).map(tuple)
PATHS = (
    st.sampled_from(["", "spec.http[0].route[0].weight", "spec.env[0].value", "spec.hosts", "data.password"]) | TEXT
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.just(ABSENT),
    st.integers(),
    st.booleans(),
    st.none(),
    TEXT,
    st.lists(TEXT, max_size=2),
    st.dictionaries(TEXT, st.integers(), max_size=2),
    st.just("v1 60 %, v2 40 %"),
)
DIFFERENCES = st.lists(st.builds(Difference, TEXT, PATHS, VALUES, VALUES, TEXT), max_size=4)
VERDICTS = st.builds(Verdict, st.sampled_from(["pass", "fail", "inconclusive"]), TEXT, MEASUREMENTS)


@settings(LAW, max_examples=40)
@given(MEASUREMENTS)
def test_what_was_measured_is_read_as_it_was(measured: tuple[Measurement, ...]) -> None:
    assert measurements_of(measurements_as_text(measured)) == measured


@settings(LAW, max_examples=40)
@given(DIFFERENCES)
def test_what_is_kept_of_differences_is_read_as_it_is_kept(differences: list[Difference]) -> None:
    found = kept(differences)
    assert differences_of(differences_as_text(found)) == found
    assert kept(found) == found
    assert [(item.subject, item.path) for item in found] == [(item.subject, item.path) for item in differences]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["changed", "failed", "unchanged"]),
        st.none() | VERDICTS,
        DIFFERENCES,
        st.none() | st.builds(WorkshopError, TEXT.filter(bool), TEXT, cause=TEXT, next_command=TEXT),
        st.lists(st.tuples(TEXT, VERDICTS), max_size=2),
    ),
    max_size=4,
)


@settings(LAW, max_examples=15)
@given(STEPS, TEXT, TEXT)
def test_what_a_run_told_is_what_is_read(steps: list[tuple[Any, ...]], command: str, place: str) -> None:
    origin = Origin(command, "/home/me", {"INVOKE_TARGET": "sandbox"}, "holder", place, "0.1.0")
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal"), origin=origin)
        names = ("b.second", "a.first")
        journal.listen(events.RunStarted("", names, "memory", len(steps), 1, (1, 2), ("a.first",)))
        journal.listen(events.LabStarted("a.first", "The first", len(steps)))
        wanted: list[StepRecord] = []
        for number, (outcome, verdict, differences, error, measured) in enumerate(steps, 1):
            for title, one in measured:
                journal.listen(events.Measured("a.first", title, one, step=number))
            check = Check(tuple(differences))
            finished = events.StepFinished("a.first", number, "Do it", outcome, 1.5, check, verdict, error, "note")
            journal.listen(finished)
            verdicts = [KeptVerdict(title, one) for title, one in measured]
            verdicts += [KeptVerdict("", verdict)] if verdict else []
            trouble = Trouble(str(error), error.cause, error.next_command) if error else None
            changes = () if outcome == "unchanged" else kept(differences)
            wanted.append(
                StepRecord(
                    "a.first", number, "Do it", outcome, 1.5, 0, trouble, "note", False, changes, tuple(verdicts)
                )
            )
        journal.listen(events.Found("a.first", "Istio", "1.31.1"))
        journal.listen(events.LabFinished("a.first", 2.5, True, {"looking": 0.5, "proving": 2.0}))
        journal.listen(
            events.RunFinished(
                "",
                1,
                4.0,
                {},
                "go on",
                UsageError("run it", "no", cause="why"),
                timings=Timings({"waiting": 3.0}, ()),
            )
        )
        (found,) = runs_of(Journal(journal.path))
    assert journal.trouble is None
    labs = tuple(replace(one, steps=tuple(replace(step, ended=0) for step in one.steps)) for one in found.labs)
    assert labs == (
        LabRecord("b.second", asked=False),
        LabRecord("a.first", "The first", True, 2.5, True, tuple(wanted), {"looking": 0.5, "proving": 2.0}),
    )
    assert replace(found, labs=(), started=0) == RunRecord(
        *(1, origin, "memory", 0, 4.0, 1, ("a.first",), (), (1, 2), False, "go on"),
        trouble=Trouble("run it: no", "why"),
        versions={"Istio": "1.31.1"},
        spent={"waiting": 3.0},
    )


SECRETS = (
    (
        "spec.template.spec.containers[ratings-api].env[MONGODB_URI].value",
        "mongodb://ratings-mongodb.ratingsapp.svc.cluster.local:27017/ratingsdb",
    ),
    ("spec.template.spec.containers[0].env[0].value", "hunter2"),
    ("data.note", "plain"),
    ("spec.http[0].match[0].headers[authorization].exact", "Bearer me"),
    ("spec.uri", "mongodb://user:hunter2@host/db"),
    ("spec.name", "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9"),
    ("spec.name", "x " + "a1" * 12),
    ("spec.template.spec.containers[0].args", "--password=hunter2"),
    ("spec.list", ["fine", {"password": "hunter2"}]),
    ("spec.list", ["x" * 60] * 9),
    ("spec.map", {"data": {"a": 1}}),
    ("metadata.annotations[note]", "hunter2"),
    ("properties.connectionStrings[0].name", "hunter2"),
)


@pytest.mark.parametrize(("path", "value"), SECRETS)
def test_a_value_that_could_be_a_secret_is_not_kept(path: str, value: Any) -> None:
    (found,) = kept([Difference("Object", path, value, value)])
    assert (found.path, found.wanted, found.found) == (path, HIDDEN, HIDDEN)


@pytest.mark.parametrize(
    "value",
    [
        60,
        True,
        "v1 60 %, v2 40 %",
        "1.31.1",
        "*.example.com",
        "present",
        "500ms",
        "docker.io/a/b:1.2",
        [{"destination": {"host": "reviews", "subset": "v2"}, "weight": 33}],
    ],
)
def test_what_a_lab_is_about_is_kept(value: Any) -> None:
    (found,) = kept([Difference("Object", "spec.http[0].route[0].weight", value)])
    assert (found.wanted, found.found) == (value, ABSENT)


@pytest.mark.parametrize(("version", "script"), [(1, _VERSION_1), (2, "")])
def test_an_older_journal_is_listed_as_it_is_and_written_on(tmp_path: Path, version: int, script: str) -> None:
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(_VERSION_1)
        connection.execute(
            "insert into steps values (1, 'istio.install', 1, 'Install', 'failed', 2.5, 0, 'it broke')"
        )
        if version == 2:
            connection.executescript(
                "create table unproved (ground text not null, lab text not null, part text not null,"
                " since real not null, primary key (ground, lab, part)) strict, without rowid;"
                "pragma user_version = 2;"
            )
    connection.close()
    before = path.read_bytes()
    journal = Journal(path)
    (found,) = runs_of(journal)
    journal.close()
    assert path.read_bytes() == before, "reading writes nothing"
    assert (found.origin.command, found.target, found.asked) == ("invoke lab", "sandbox", ("istio.install",))
    (step,) = found.steps
    assert (step.trouble, step.verdicts, step.changes) == (Trouble("it broke"), (), ())
    writing = Journal(path, origin=Origin("invoke again"))
    writing.listen(events.RunStarted("", ("a",), "sandbox"))
    assert runs_of(Journal(path))[0] == found
    assert [run.origin.command for run in runs_of(Journal(path))] == ["invoke lab", "invoke again"]


def test_there_are_no_runs_where_there_is_no_file(tmp_path: Path) -> None:
    assert runs_of(Journal(tmp_path / "journal")) == ()
    assert list(tmp_path.iterdir()) == []


async def kept_run(tmp_path: Path, *, killed: bool = False, **asked: Any) -> RunRecord:
    """Of a lab whose object is at its second stage, and that is asked for with these."""
    journal = Journal(tmp_path / "journal.sqlite", origin=Origin("invoke lab.move --restart"))
    world = bench(lab("base", Put("x")), lab("move", Measured("y"), Moves("z", ("one", "two")), needs=["base"]))
    world.world.objects.update({"x": (1, "base"), "y": (1, "move"), "z": ("two", "move")})
    world.on_event = lambda event: (
        None if killed and isinstance(event, events.RunFinished) else journal.listen(event)
    )
    await world.run("move", **asked)
    (found,) = runs_of(journal)
    return found


@pytest.mark.parametrize(("asked", "moved"), [({"restart": True}, True), ({}, False), ({"to": "one"}, False)])
async def test_what_has_moved_an_object_along_its_path_is_known_of_a_run_that_was_killed(
    tmp_path: Path, asked: dict[str, Any], moved: bool
) -> None:
    found = await kept_run(tmp_path, killed=True, **asked)
    assert (found.moved, found.exit_status, found.cut_off) == (moved, None, True)
    assert [(one.name, one.asked) for one in found.labs] == [("base", False), ("move", True)]


def test_what_a_verdict_that_undid_a_step_leaves_to_try_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.listen(events.RunStarted("", ("a",), "memory"))
    hints = (
        Hint("open", "http://there"),
        Hint("try", "invoke lab.a --promote v3"),
        Hint("undo", "invoke lab.a --undo"),
    )
    journal.listen(events.RunFinished("", 1, 1.0, {}, hints=hints))
    (found,) = runs_of(journal)
    assert (found.following, found.trouble, found.cut_off) == ("invoke lab.a --promote v3", None, False)


async def test_a_run_that_converged_or_was_refused_is_not_cut_off_and_one_that_failed_is(tmp_path: Path) -> None:
    done = await kept_run(tmp_path)
    assert not done.cut_off
    assert replace(done, part=(1, 2)).cut_off
    assert not replace(done, exit_status=2).cut_off
    assert not replace(done, exit_status=None, under_way=True).cut_off
    journal = Journal(tmp_path / "other.sqlite")
    world = bench(lab("base", Put("x")))
    world.world.before_change = failing()
    world.on_event = journal.listen
    await world.run("base")
    (found,) = runs_of(journal)
    assert (found.exit_status, found.cut_off, found.resume) == (1, True, "invoke lab.base")

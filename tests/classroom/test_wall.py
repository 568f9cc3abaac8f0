"""The wall as it is made of members' own journals, of what a class's task has left, and of looks at clusters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs import RUNBOOK
from workshop.classroom import member_record
from workshop.classroom.member_record import MemberRecord
from workshop.classroom.wall import PATIENCE, Cell, Look, WallRow, wall_of
from workshop.classroom.wall_sources import Looking, MemberSource, Sources, Watched
from workshop.kubernetes.lease import Holder
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import AppliedPart, Journal, LastRun
from workshop.runbook.record import Origin, Trouble
from workshop.runbook.results import Bar, Measurement, Outcome, Verdict
from workshop.runbook.status import LabStatus, Status

LABS = tuple((lab.name, lab.title) for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes)
NAMES = [name for name, _ in LABS]
INSTALL, GATEWAY, CANARY, IDENTITY = "istio.install", "istio.gateway", "istio.canary", "istio.identity"
ME = Holder.me()
GONE = replace(ME, pid=2**22 - 1, start=ME.start.replace(ME.start.partition("@")[0], "1"))
"""A process that was, on this very system."""
BAD = WorkshopError("apply it", "no", cause="it is full", next_command="df")


class Member:
    """Whose runs are written down as a run of theirs would be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = MemberSource(Watched("ada", folder), RUNBOOK)

    def begin(self, *labs: str, holder: Holder = ME, asked: tuple[str, ...] = ()) -> Journal:
        origin = Origin(f"invoke {' '.join(labs)}", holder=holder.identity)
        journal = Journal(self.folder / "journal.sqlite", origin=origin)
        journal.listen(events.RunStarted("", labs, "sandbox", asked=asked or labs))
        return journal

    def ran(
        self,
        *steps: tuple[str, Outcome],
        status: int | None = 0,
        holder: Holder = ME,
        ended: bool = True,
        note: str = "",
    ) -> None:
        """A run of steps, each of a lab and with an outcome; without a `status` it did not come to its end, and
        with labs that have not `ended` it was stopped in the midst of them."""
        labs = tuple(dict.fromkeys(lab for lab, _ in steps))
        journal = self.begin(*labs, holder=holder)
        for lab in labs:
            journal.listen(events.LabStarted(lab, lab, 1))
        for number, (lab, outcome) in enumerate(steps, 1):
            error = BAD if outcome == "failed" else None
            verdict = Verdict("inconclusive", "too few answers") if outcome == "inconclusive" else None
            journal.listen(
                events.StepFinished(
                    lab, number, f"Step {number}", outcome, 0.1, error=error, verdict=verdict, note=note
                )
            )
        for lab in labs if ended else ():
            journal.listen(events.LabFinished(lab, 0.1, status == 0))
        if status is not None:
            journal.listen(events.RunFinished("", status, 0.1, {}))
        journal.close()

    def task(self, **told: object) -> None:
        member_record.write(self.folder, MemberRecord(**{"task": "run", "begun": time.time(), **told}))  # type: ignore[arg-type]

    def row(self, later: float = 0.0) -> WallRow:
        self.source.read()
        return self.source.row(NAMES, time.time() + later)

    def states(self, later: float = 0.0) -> dict[str, str]:
        """But of labs that are not there."""
        row = self.row(later)
        return {name: cell.state for name, cell in zip(NAMES, row.cells, strict=True) if cell.state != "not there"}


@pytest.fixture
def ada(tmp_path: Path) -> Member:
    return Member(tmp_path / "ada")


def test_nobody_has_begun(ada: Member) -> None:
    row = ada.row()
    assert (row.condition, row.since, set(row.cells)) == ("not begun", None, {Cell()})
    assert not ada.folder.exists(), "a look makes nothing"


Does = Callable[[Member], None]


def _converged(ada: Member) -> None:
    ada.ran((INSTALL, "changed"), (CANARY, "unchanged"))


def _failed(ada: Member) -> None:
    ada.ran((INSTALL, "unchanged"), (CANARY, "failed"), status=1)


def _killed(ada: Member) -> None:
    ada.ran((CANARY, "changed"), status=None, holder=GONE, ended=False)


def _interrupted(ada: Member) -> None:
    ada.ran((CANARY, "changed"), (CANARY, "skipped"), status=130)


def _inconclusive(ada: Member) -> None:
    ada.ran((CANARY, "inconclusive"), status=3)


def _under_way(ada: Member) -> None:
    ada.ran((INSTALL, "unchanged"), (CANARY, "changed"), status=None, ended=False)


def _needs(ada: Member) -> None:
    ada.begin(INSTALL, CANARY, asked=(CANARY,)).listen(events.RunFinished("", 0, 0.1, {}))


def _superseded(ada: Member) -> None:
    ada.ran((CANARY, "unchanged"), note=f"superseded by {IDENTITY}")


def _unproved(ada: Member) -> None:
    _converged(ada)
    journal = Journal(ada.folder / "journal.sqlite")
    journal.applied(AppliedPart("here", INSTALL, "Step 1"))
    journal.close()


def _refused(ada: Member) -> None:
    ada.begin(CANARY).listen(events.RunFinished("", 2, 0.1, {}, error=BAD))


def undone(*labs: str) -> Does:
    return lambda ada: ada.ran(*((lab, "changed") for lab in labs))


@pytest.mark.parametrize(
    ("done", "condition", "why", "states"),
    [
        ([_converged], "idle", "", {INSTALL: "converged", CANARY: "converged"}),
        ([_failed], "stuck", "failed", {INSTALL: "converged", CANARY: "failed"}),
        ([_converged, _failed], "stuck", "failed", {INSTALL: "converged", CANARY: "failed"}),
        ([_failed, _converged], "idle", "", {INSTALL: "converged", CANARY: "converged"}),
        ([_killed], "stuck", "cut off", {CANARY: "stuck"}),
        ([_killed, undone(INSTALL)], "idle", "", {INSTALL: "converged", CANARY: "under way"}),
        ([_killed, _converged], "idle", "", {INSTALL: "converged", CANARY: "converged"}),
        ([_interrupted], "stuck", "cut off", {CANARY: "stuck"}),
        ([_inconclusive], "stuck", "not proved", {CANARY: "not proved"}),
        ([_under_way], "under way", "", {INSTALL: "under way", CANARY: "under way"}),
        ([_needs], "idle", "", {INSTALL: "converged", CANARY: "converged"}),
        ([_superseded], "idle", "", {CANARY: "superseded"}),
        ([_unproved], "idle", "", {INSTALL: "not proved", CANARY: "converged"}),
        ([_converged, _refused], "stuck", "failed", {INSTALL: "converged", CANARY: "converged"}),
        ([_converged, undone("istio.canary --undo")], "idle", "", {INSTALL: "converged"}),
        ([_converged, undone("istio.install --undo")], "idle", "", {}),
        ([_converged, undone("istio.cleanup")], "idle", "", {}),
        ([_converged, undone(f"reset --to {GATEWAY}")], "idle", "", {INSTALL: "converged"}),
        ([_converged, undone(f"reset --before {INSTALL}")], "idle", "", {}),
        ([_converged, undone("reset --to clean")], "idle", "", {}),
        (
            [_converged, undone("reset --to a-lab-of-before")],
            "idle",
            "",
            {INSTALL: "converged", CANARY: "converged"},
        ),
        ([undone(*NAMES)], "done", "", dict.fromkeys(NAMES, "converged")),
    ],
)
def test_where_runs_have_left_a_member(
    ada: Member, done: list[Does], condition: str, why: str, states: dict[str, str]
) -> None:
    for do in done:
        do(ada)
    row = ada.row()
    assert (row.condition, row.why) == (condition, why)
    assert ada.states() == states


def test_a_failure_is_told_in_its_sentences(ada: Member) -> None:
    _failed(ada)
    row = ada.row()
    assert row.trouble == Trouble("istio.canary, Step 2: apply it: no", "it is full", "df")
    assert row.lab == CANARY
    assert row.typed == f"invoke {INSTALL} {CANARY}"
    assert row.cells[NAMES.index(CANARY)].note == "Step 2: apply it: no"


def test_what_was_cut_off_is_told_with_what_goes_on(ada: Member) -> None:
    _killed(ada)
    assert ada.row().trouble == Trouble("ended from outside, before its end", "", f"invoke {CANARY}")


def test_a_lab_is_as_old_as_it_has_been_so(ada: Member) -> None:
    _converged(ada)
    first = ada.row().cells[NAMES.index(CANARY)].since
    _converged(ada)
    assert ada.row().cells[NAMES.index(CANARY)].since == first
    _failed(ada)
    failed = ada.row().cells[NAMES.index(CANARY)].since
    assert first is not None
    assert failed is not None
    assert failed > first
    _failed(ada)
    assert ada.row().cells[NAMES.index(CANARY)].since != failed, "it failed anew"


def test_what_has_not_come_forward_for_long_is_stuck(ada: Member) -> None:
    _under_way(ada)
    assert ada.row(PATIENCE - 5).condition == "under way"
    row = ada.row(PATIENCE + 5)
    assert (row.condition, row.why, row.lab) == ("stuck", "no progress", INSTALL)
    assert ada.states(PATIENCE + 5)[INSTALL] == "stuck"
    journal = Journal(ada.folder / "journal.sqlite")
    journal.close()


def test_what_was_measured_last_is_told(ada: Member) -> None:
    journal = ada.begin(CANARY)
    half = Bar("v1", 0.49, 0.5, (0.45, 0.55))
    verdict = Verdict("pass", "every share is as expected", (Measurement("Stars", (half,), 100, 1.0),))
    journal.listen(events.StepFinished(CANARY, 1, "Half", "changed", 0.1, verdict=verdict))
    measured = ada.row().measured
    assert measured is not None
    assert (measured.lab, measured.said, measured.kind) == (CANARY, "Stars: every share is as expected", "pass")
    assert measured.bars == (half,)
    ada.task(holder=ME.identity, since=time.time() + 1, measured=f"{CANARY}: every share is as expected")
    assert ada.row().measured == measured, "the journal has the same with its shares"
    # A check is no run: what it has measured is in the class's own record.
    ada.task(holder=ME.identity, since=time.time() + 1, measured=f"{IDENTITY}: 60 %")
    measured = ada.row().measured
    assert measured is not None
    assert (measured.lab, measured.said) == (IDENTITY, "60 %")


def test_a_task_of_the_class_tells_what_is_being_done(ada: Member) -> None:
    _converged(ada)
    began = time.time() + 1
    ada.task(holder=ME.identity, begun=began, since=began, lab=IDENTITY, step="2 Do it", doing="verifying")
    row = ada.row()
    assert (row.condition, row.lab, row.step, row.doing) == ("under way", IDENTITY, "2 Do it", "verifying")
    assert ada.states()[IDENTITY] == "under way"
    assert ada.row(PATIENCE + 10).why == "no progress"


def test_a_task_that_failed_counts_until_something_was_done_since(ada: Member) -> None:
    _converged(ada)
    now = time.time()
    ada.task(holder=GONE.identity, begun=now, ended=now, status=1, trouble=Trouble("not as it should be"))
    row = ada.row()
    assert (row.condition, row.why, row.trouble) == ("stuck", "failed", Trouble("not as it should be"))
    _converged(ada)
    assert ada.row().condition == "idle"


def test_a_task_that_was_killed_is_cut_off(ada: Member) -> None:
    ada.task(holder=GONE.identity)
    row = ada.row()
    assert (row.condition, row.why) == ("stuck", "cut off")


def seen(**states: str) -> Look:
    at = time.time() + 3600  # later than anything the test does
    return Look(at, {f"istio.{name}": Cell(state, at) for name, state in states.items()})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("done", "look", "state", "condition"),
    [
        (_converged, seen(canary="drifted"), "drifted", "idle"),
        (_converged, seen(canary="not there"), "not there", "idle"),
        (_failed, seen(canary="drifted"), "failed", "stuck"),
        (_failed, seen(install="converged", canary="by hand"), "by hand", "idle"),
        (_converged, replace(seen(canary="drifted"), at=1.0), "converged", "idle"),
        (lambda ada: None, seen(canary="by hand"), "by hand", "idle"),
        (lambda ada: None, Look(None, tried=1.0, error="refused"), "not there", "not begun"),
    ],
)
def test_a_look_that_is_newer_tells_what_is_there(
    ada: Member, done: Does, look: Look, state: str, condition: str
) -> None:
    done(ada)
    ada.source.seen = look
    row = ada.row(5)
    assert row.cells[NAMES.index(CANARY)].state == state
    assert row.condition == condition
    assert (row.looked, row.error) == (look.at, look.error)


def row(name: str, done: int, since: float, condition: str = "idle") -> WallRow:
    return WallRow(name, condition, (Cell("converged"),) * done + (Cell(),) * (12 - done), since)  # type: ignore[arg-type]


def test_who_is_idle_for_long_is_stuck_only_behind_half_of_the_class() -> None:
    rows = [row("first", 9, 0), row("half", 6, 0), row("last", 2, 0), row("lately", 2, 990), row("other", 6, 0)]
    wall = wall_of("class", LABS, rows, now=PATIENCE + 400)
    assert {each.name: each.why for each in wall.stuck} == {"last": "nothing new, and behind half of the class"}
    assert wall_of("alone", LABS, rows[2:3], now=1e9).stuck == (), "nobody is behind oneself"
    unmeasured = replace(rows[1], name="unmeasured", cells=(Cell("not proved"),) * 6 + (Cell(),) * 6)
    assert wall_of("class", LABS, [rows[0], rows[1], unmeasured], now=1e9).stuck == ()
    in_a_break = [row("a", 5, 0), row("b", 5, 0)]
    assert wall_of("break", LABS, in_a_break, now=1e9).stuck == ()


def test_who_has_waited_longest_is_first_and_the_wall_stays_in_the_order_of_the_roster() -> None:
    rows = [row("a", 1, 50.0, "stuck"), row("b", 1, 10.0), row("c", 1, 20.0, "stuck")]
    wall = wall_of("class", LABS, rows, now=60.0)
    assert [each.name for each in wall.stuck] == ["c", "a"]
    assert [each.name for each in wall.rows] == ["a", "b", "c"]


ALL: dict[str, Does] = {
    does.__name__: does
    for does in (
        _converged,
        _failed,
        _killed,
        _interrupted,
        _inconclusive,
        _under_way,
        _needs,
        _superseded,
        _refused,
    )
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(ALL)), max_size=6))
def test_who_watches_from_the_beginning_sees_what_one_sees_who_comes_late(
    tmp_path_factory: pytest.TempPathFactory, done: list[str]
) -> None:
    ada = Member(tmp_path_factory.mktemp("member"))
    for does in done:
        ALL[does](ada)
        ada.row()
    late = Member(ada.folder)
    now = time.time()
    for each in (ada, late):
        each.source.read()
    assert ada.source.row(NAMES, now) == late.source.row(NAMES, now)


def test_a_journal_that_cannot_be_read_is_said_of_its_member_alone(tmp_path: Path) -> None:
    good, bad = Member(tmp_path / "good"), Member(tmp_path / "bad")
    _converged(good)
    bad.folder.mkdir()
    (bad.folder / "journal.sqlite").write_text("no journal" * 1000)
    sources = Sources("class", LABS, [Watched("bad", bad.folder), Watched("good", good.folder)], RUNBOOK)
    first, second = sources.wall().rows
    assert "file is not a database" in first.error
    assert (second.error, second.come_to) == ("", 2)


def test_watching_writes_nothing(ada: Member) -> None:
    """Beside the journal SQLite keeps an index of its log, also for who only reads."""
    _failed(ada)
    ada.task(status=1)
    before = {path.name: path.read_bytes() for path in ada.folder.iterdir()}
    ada.row()
    after = {path.name: path.read_bytes() for path in ada.folder.iterdir()}
    assert before == {name: content for name, content in after.items() if not name.endswith(("-shm", "-wal"))}
    assert not after.get("journal.sqlite-wal")


STATUS = Status("here", tuple(LabStatus(name, title, "by hand") for name, title in LABS))


class Clusters:
    """Which of them answer is up to the test."""

    def __init__(self, folder: Path, *names: str, hangs: str = "", fails: str = "") -> None:
        self.looked, self.most, self._now = list[str](), 0, 0
        self._hangs, self._fails, self.found = hangs, fails, STATUS
        self.thrice = asyncio.Event()
        watched = [Watched(name, folder / name, self._looking(name)) for name in names]
        self.sources = Sources("class", LABS, watched, RUNBOOK)

    def _looking(self, name: str) -> Looking:
        async def look() -> Status:
            self.looked.append(name)
            if len(self.looked) == 3:
                self.thrice.set()
            self._now += 1
            self.most = max(self.most, self._now)
            try:
                if name == self._hangs:
                    await asyncio.Event().wait()
                await asyncio.sleep(0)
                if name == self._fails:
                    raise WorkshopError("reach it", "connection refused")
                return self.found
            finally:
                self._now -= 1

        return look

    def rows(self) -> Iterator[tuple[str, str]]:
        for each in self.sources.wall().rows:
            yield each.name, each.error or each.condition


async def test_a_round_looks_at_all_within_a_limit_and_waits_for_nobody_for_ever(tmp_path: Path) -> None:
    world = Clusters(tmp_path, "a", "b", "c", "d", hangs="b", fails="c")
    await world.sources.look_round(at_once=2, seconds=0.05)
    assert sorted(world.looked) == ["a", "b", "c", "d"]
    assert world.most == 2
    assert dict(world.rows()) == {
        "a": "done",
        "b": "no answer within 0 s",
        "c": "reach it: connection refused",
        "d": "done",
    }


async def test_who_cannot_be_reached_any_more_is_shown_as_it_was_seen(tmp_path: Path) -> None:
    world = Clusters(tmp_path, "a")
    await world.sources.look_round()
    world._fails = "a"
    await world.sources.look_round()
    (only,) = world.sources.wall().rows
    assert (only.come_to, only.error) == (len(LABS), "reach it: connection refused")
    assert only.looked is not None
    assert only.tried is not None
    assert only.looked <= only.tried


async def test_what_looks_have_seen_is_as_old_as_the_first_that_saw_it_or_as_its_run(tmp_path: Path) -> None:
    world = Clusters(tmp_path, "a")
    await world.sources.look_round()
    first = world.sources.members[0].row(NAMES, time.time()).cells[0].since
    await world.sources.look_round()
    assert world.sources.members[0].row(NAMES, time.time()).cells[0].since == first
    ran = LastRun(INSTALL, "invoke lab.istio.install", 7.0, converged=True, applied=True)
    world.found = Status(
        "here", (LabStatus(INSTALL, "", "converged", last=ran), LabStatus(CANARY, "", "drifted", last=ran))
    )
    await world.sources.look_round()
    row = world.sources.members[0].row(NAMES, time.time())
    assert row.cells[0] == Cell("converged", 7.0)
    assert row.cells[NAMES.index(CANARY)].since != 7.0


async def test_round_follows_upon_round(tmp_path: Path) -> None:
    world = Clusters(tmp_path, "a")
    rounds = asyncio.create_task(world.sources.looks(0.0))
    async with asyncio.timeout(60):
        await world.thrice.wait()
    rounds.cancel()


async def test_who_is_at_work_is_not_looked_at_and_no_cluster_is_woken(tmp_path: Path) -> None:
    world = Clusters(tmp_path, "busy", "asleep", "idle")
    _under_way(Member(tmp_path / "busy"))
    asleep = world.sources.members[1]
    asleep.watched = replace(asleep.watched, sleeps=True)
    world.sources.wall()
    await world.sources.look_round()
    assert world.looked == ["idle"]
    _converged(Member(tmp_path / "asleep"))
    world.sources.wall()
    await world.sources.look_round()
    assert sorted(world.looked) == ["asleep", "idle", "idle"]

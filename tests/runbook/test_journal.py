"""The journal as the runs and the Azure layer use it: durable, private, and clear about what is wrong with it."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.journal import _VERSIONS, AppliedPart, Journal
from workshop.runbook.record import Origin
from workshop.runbook.timings import LabTimings, Timings

ID = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/primary"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def test_a_run_is_written_down_step_by_step(path: Path) -> None:
    journal = Journal(path, origin=Origin("invoke lab.azure"))
    for event in (
        events.RunStarted("", ("azure.group", "azure.vnet"), "sandbox", 2),
        events.StepFinished("azure.group", 1, "Make the group", "changed", 1.5),
        events.StepFinished("azure.vnet", 1, "Make it", "failed", 2.5, error=WorkshopError("make it", "no quota")),
    ):
        journal.listen(event)
    steps = "select lab, step, title, outcome, seconds, error from steps order by lab"
    assert rows(path, "select command, target, labs, exit_status from runs") == [
        ("invoke lab.azure", "sandbox", "azure.group azure.vnet", None)
    ]
    assert rows(path, steps) == [
        ("azure.group", 1, "Make the group", "changed", 1.5, ""),
        ("azure.vnet", 1, "Make it", "failed", 2.5, "make it: no quota"),
    ]
    journal.listen(events.RunFinished("", 1, 4.0, {"changed": 1, "failed": 1}))
    assert rows(path, "select exit_status, seconds from runs") == [(1, 4.0)]


def test_where_the_time_of_a_run_went_is_kept_lab_by_lab_as_each_ends(path: Path) -> None:
    journal = Journal(path)
    journal.listen(events.RunStarted("", ("a", "b"), "sandbox", 2))
    journal.listen(events.LabFinished("a", 3.0, True, {"looking": 1.0, "proving": 2.0}))
    spent = "select lab, kind, seconds from timings order by lab, kind"
    assert rows(path, spent) == [("a", "looking", 1.0), ("a", "proving", 2.0)], "kill -9 would leave these"
    timings = Timings({"looking": 1.5, "delays": 2.5}, (LabTimings("a", {}),))
    journal.listen(events.RunFinished("", 0, 4.0, {"changed": 2}, timings=timings))
    assert rows(path, spent)[:2] == [("", "delays", 2.5), ("", "looking", 1.5)]


def test_an_operation_is_known_to_a_later_run_until_it_ends(path: Path) -> None:
    Journal(path).begin(ID, "create cluster", "token")
    later = Journal(path)
    found = later.operation(ID.upper())
    assert found
    assert (found.kind, found.token) == ("create cluster", "token")
    assert later.under_way() == [found]
    later.end(ID)
    assert Journal(path).operation(ID) is None


def test_an_operation_begun_again_replaces_the_first(path: Path) -> None:
    journal = Journal(path)
    journal.begin(ID, "create cluster", "first")
    begun = journal.begin(ID, "delete cluster", "second")
    found = journal.operation(ID)
    assert found == begun
    assert found
    assert found.kind == "delete cluster"


def test_it_survives_kill_9_right_after_begin(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from workshop.runbook.journal import Journal\n"
        f"Journal(Path(sys.argv[1])).begin({ID!r}, 'create cluster', 'token')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Journal(path).operation(ID)


def test_how_long_a_kind_usually_takes_is_the_median_of_those_that_succeeded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("workshop.runbook.journal.time.time", lambda: now)
    journal = Journal(path)
    assert journal.usual("create cluster") is None
    for seconds, succeeded in ((10.0, True), (30.0, True), (20.0, True), (500.0, False), (600.0, False)):
        journal.begin(ID, "create cluster", "token")
        now += seconds
        journal.end(ID, succeeded=succeeded)
    assert journal.usual("create cluster") == 20.0
    assert journal.usual("delete cluster") is None


def test_ending_what_is_unknown_is_no_error(path: Path) -> None:
    Journal(path).end(ID)


def test_only_its_owner_may_read_it(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    journal = Journal(path)
    journal.begin(ID, "create cluster", "token")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    journal.close()  # and not before: else its files go while they are looked at


def test_runs_and_threads_at_once(path: Path) -> None:
    """Opening races as well: each journal opens the file for itself."""
    journals = [Journal(path) for _ in range(4)]

    def work(journal: Journal, number: int) -> None:
        journal.begin(f"{ID}{number}", "create", "token")
        journal.listen(events.RunStarted("", (), "sandbox"))
        journal.end(f"{ID}{number}")

    threads = [threading.Thread(target=work, args=(journals[n % 4], n)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(path, "select count(*) from runs") == [(16,)]
    assert rows(path, "select count(*) from durations") == [(16,)]
    assert rows(path, "select count(*) from operations") == [(0,)]


def test_another_process_that_has_just_made_the_file_is_waited_for(path: Path) -> None:
    """And is about to write into it. SQLite itself does not wait then, whatever its timeout."""
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    threading.Timer(0.05, other.execute, ["commit"]).start()
    Journal(path).begin(ID, "create cluster", "token")
    assert rows(path, "select kind from operations") == [("create cluster",)]
    other.close()


def test_nothing_is_made_until_something_is_written(path: Path) -> None:
    Journal(path).close()
    assert not path.parent.exists()


def test_a_broken_file_is_named_with_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is not a database" * 100)
    with pytest.raises(UsageError, match="not a database") as refused:
        Journal(path).operation(ID)
    assert refused.value.next_command == f"mv {path} {path}.broken"
    path.rename(f"{path}.broken")
    assert Journal(path).operation(ID) is None


def test_a_newer_file_is_not_touched(path: Path) -> None:
    Journal(path).begin(ID, "create", "token")
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 7")
    with pytest.raises(
        UsageError, match=f"it has version 7, and this workshop writes version {len(_VERSIONS)}"
    ) as refused:
        Journal(path).begin(ID, "create", "token")
    assert refused.value.next_command == f"mv {path} {path}.newer"


def test_a_folder_that_cannot_be_written_is_an_error_at_a_run_s_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkshopError, match="journal"):
        Journal(tmp_path / "file" / "journal.sqlite").listen(events.RunStarted("", (), "sandbox"))


def test_trouble_later_is_kept_and_the_run_goes_on(path: Path) -> None:
    journal = Journal(path)
    journal.listen(events.RunStarted("", ("a",), "sandbox"))
    journal.close()
    for file in path.parent.iterdir():
        file.unlink()
    path.write_text("not a database" * 100)
    journal.listen(events.StepFinished("a", 1, "Title", "changed", 1.0))
    assert journal.trouble
    assert "broken" in journal.trouble.cause


def test_importing_it_does_not_import_sqlite() -> None:
    code = "import sys, workshop.runbook.journal; sys.exit('sqlite3' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


_VERSION_1 = """
create table runs (
    id integer primary key, command text not null, target text not null, labs text not null, started real not null,
    seconds real, exit_status integer, error text not null default ''
) strict;
create table steps (
    run integer not null references runs (id), lab text not null, step integer not null, title text not null,
    outcome text not null, seconds real not null, ended real not null, error text not null,
    primary key (run, lab, step)
) strict, without rowid;
create table operations (
    resource_id text primary key, kind text not null, token text not null, started real not null
) strict, without rowid;
create table durations (kind text not null, seconds real not null, ended real not null) strict;
create index durations_by_kind on durations (kind, ended);
insert into operations values ('/x', 'create cluster', 'token', 1000.0);
insert into durations values ('create cluster', 20.0, 1000.0);
insert into runs values (1, 'invoke lab', 'sandbox', 'istio.install', 900.0, 5.0, 0, '');
pragma journal_mode = wal;
pragma user_version = 1;
"""
"""As the workshop of 2026-11-21 made it."""


def test_a_file_of_version_1_is_read_as_it_is_and_brought_up_to_date_by_the_first_write(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(_VERSION_1)
    connection.close()
    before = path.read_bytes()
    old = Journal(path)
    assert (old.unproved(), old.usual("create cluster")) == (frozenset(), 20.0)
    assert [operation.resource_id for operation in old.under_way()] == ["/x"]
    old.close()
    assert path.read_bytes() == before
    new = Journal(path)
    new.applied(AppliedPart("cluster", "istio.canary", "Move reviews"))
    assert new.unproved() == {("cluster", "istio.canary", "Move reviews")}
    assert new.operation("/x")
    assert rows(path, "select command from runs") == [("invoke lab",)]
    assert rows(path, "pragma user_version") == [(len(_VERSIONS),)]


def test_reading_makes_no_file(path: Path) -> None:
    journal = Journal(path)
    assert not journal.under_way()
    assert not journal.unproved()
    assert journal.operation(ID) is None
    assert journal.usual("create cluster") is None
    assert not path.parent.exists()


def test_what_a_killed_writer_left_in_the_write_ahead_log_is_read_and_left_there(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from workshop.runbook.journal import AppliedPart, Journal\n"
        "Journal(Path(sys.argv[1])).applied(AppliedPart('cluster', 'lab', 'part'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, path], cwd=Path(__file__).parents[2], check=False)
    files = [path, path.with_name(f"{path.name}-wal")]
    before = [file.read_bytes() for file in files]
    journal = Journal(path)
    assert journal.unproved() == {("cluster", "lab", "part")}
    journal.close()
    assert [file.read_bytes() for file in files] == before


def test_what_cannot_be_crossed_out_is_proved_again_and_the_run_goes_on(path: Path) -> None:
    journal = Journal(path)
    journal.applied(AppliedPart("cluster", "lab", "part"))
    journal.close()
    for file in path.parent.iterdir():
        file.unlink()
    path.write_text("not a database" * 100)
    journal.proved(AppliedPart("cluster", "lab", "part"))
    assert journal.trouble

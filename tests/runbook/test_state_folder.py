"""The lock of a state folder ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workshop.runbook.errors import UsageError
from workshop.runbook.state_folder import FolderLock

HOLD = (
    "import sys; from pathlib import Path; from workshop.runbook.state_folder import FolderLock\n"
    "with FolderLock(Path(sys.argv[1]), 'ada on lovelace (process 7)').held():\n"
    "    print('held', flush=True); sys.stdin.read()"
)


def holding(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with (
        holding(tmp_path),
        pytest.raises(UsageError, match=r"ada on lovelace \(process 7\), for \d+ s"),
        FolderLock(tmp_path, "me").held(),
    ):
        raise AssertionError
    with FolderLock(tmp_path, "me").held():
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        process.kill()
        process.wait()
    with FolderLock(tmp_path, "me").held():
        pass


def test_two_in_one_process_are_kept_apart_as_well(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path, "first").held(),
        pytest.raises(UsageError, match="first"),
        FolderLock(tmp_path, "second").held(),
    ):
        raise AssertionError


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "deep" / "state", "me").held():
        pass


def test_a_process_that_only_looks_is_in_nobody_s_way(tmp_path: Path) -> None:
    """It holds the lock for an instant, to see whether anybody else does."""
    lock = FolderLock(tmp_path, "me")
    with lock.held():
        pass
    looking = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.02, os.close, [looking]).start()
    with lock.held(), pytest.raises(UsageError):
        lock.refuse_if_held()
    lock.refuse_if_held()

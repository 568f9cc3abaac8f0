"""Sandboxes as processes: started once, found again, stopped with all they started, however they end."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher
from sandbox.server.launcher import SandboxError

Eventually = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    launcher.stop(path)


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_importing_the_launcher_is_cheap() -> None:
    code = "import sys, sandbox.server.launcher; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "cryptography", "asyncio", "ssl", "yaml"} & set(done.stdout.split())


def test_a_life(folder: Path, eventually: Eventually) -> None:
    assert launcher.status(folder) is None
    assert not launcher.stop(folder)
    assert not folder.exists(), "asking leaves no trace"

    running = launcher.ensure(folder)
    assert launcher.status(folder) == running
    assert launcher.ensure(folder) == running
    assert running.url.startswith("https://127.")
    kubectl = [str(running.bin / "kubectl"), f"--kubeconfig={running.kubeconfig}", f"--cache-dir={folder}/cache"]
    nodes = subprocess.run([*kubectl, "get", "nodes"], capture_output=True, text=True, check=True, timeout=60)
    assert nodes.stdout.count(" Ready ") == 3

    started = eventually(lambda: children(running.pid))
    assert launcher.stop(folder)
    assert launcher.status(folder) is None
    assert not any(lives(pid) for pid in [running.pid, *started])


def test_many_who_want_it_get_the_same_one(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(launcher.ensure, [folder] * 4))
    assert len(found) == 1


def test_two_folders_have_two_sandboxes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        first, second = launcher.ensure(folder), launcher.ensure(other)
        assert first.pid != second.pid
        assert first.url != second.url
    finally:
        launcher.stop(other)


def test_secrets_are_their_owners_only(folder: Path) -> None:
    running = launcher.ensure(folder)
    assert stat.S_IMODE(running.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    token = json.loads(running.kubeconfig.read_text())["users"][0]["user"]["token"]
    assert len(token) >= 32
    command = Path(f"/proc/{running.pid}/cmdline").read_text() + Path(f"/proc/{running.pid}/environ").read_text()
    assert token not in command + (folder / "log").read_text()
    assert not (folder / "server.pem").exists()


def test_killed_it_leaves_nothing_and_starts_again(folder: Path, eventually: Eventually) -> None:
    first = launcher.ensure(folder)
    started = eventually(lambda: children(first.pid))
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: launcher.status(folder) is None)
    eventually(lambda: not any(lives(pid) for pid in started))
    second = launcher.ensure(folder)
    assert second.pid != first.pid
    assert second.url == first.url, "a folder keeps its addresses"


def test_idle_it_ends_by_itself(folder: Path, eventually: Eventually) -> None:
    running = launcher.ensure(folder, idle_seconds=1)
    eventually(lambda: not lives(running.pid))
    assert launcher.status(folder) is None


def test_idle_it_lasts_as_long_as_somebody_has_said(folder: Path, eventually: Eventually) -> None:
    running = launcher.ensure(folder, idle_seconds=1)
    assert running.lasts == "until nobody uses it for 1 s"
    launcher.keep(folder, 3600)
    launcher.keep(folder, 60)
    kept = launcher.status(folder)
    assert kept is not None
    assert kept.until - time.time() == pytest.approx(3600, abs=60), "the longer one of the two"
    said = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.until))
    assert kept.lasts == f"until nobody uses it for 1 s, at least until {said}"

    until = time.time() + 2
    (folder / "until").write_text(str(until))
    eventually(lambda: not lives(running.pid))
    assert time.time() >= until
    (folder / "until").write_text(str(time.time() + 3600))
    again = launcher.ensure(folder)
    assert (again.until, again.lasts) == (0, "until nobody uses it for 1 h"), "that was said of another one"


def test_one_that_cannot_start_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "bin").write_text("in the way of a folder")
    with pytest.raises(SandboxError, match="ended with status 1") as failure:
        launcher.ensure(folder)
    assert "FileExistsError" in failure.value.log


def test_in_the_foreground_it_needs_the_folder_for_itself(folder: Path) -> None:
    launcher.ensure(folder)
    command = [sys.executable, "-m", "sandbox", "serve", "--state", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another sandbox has" in done.stderr

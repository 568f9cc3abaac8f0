"""The sandboxes of a class: one process, a folder for each member, and nothing of one in another's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher
from sandbox.server.launcher import NoAnswer, Running, SandboxError
from tests.kit.sandbox import Kubectl
from tests.sandbox.test_serve import WEB

pytestmark = pytest.mark.slow

Eventually = Callable[[Callable[[], Any]], Any]

NAMES = ("ada", "bob", "cleo")


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[list[Path]]:
    folders = [tmp_path / name / "sandbox" for name in NAMES]
    yield folders
    launcher.stop_all(folders)


def started(folders: list[Path]) -> dict[Path, Running]:
    found = launcher.ensure_all(folders)
    assert list(found) == folders
    return {folder: running for folder, running in found.items() if isinstance(running, Running)}


def kubectl_of(folder: Path) -> Kubectl:
    binary = Path(sys.executable).parent / "kubectl"
    return Kubectl(binary, folder / "kubeconfig", folder.parent / "cache")


def test_a_process_has_all_and_each_finds_its_own(folders: list[Path]) -> None:
    class_ = started(folders)
    assert len({running.pid for running in class_.values()}) == 1
    assert len({running.url for running in class_.values()}) == 3
    assert {running.shared for running in class_.values()} == {3}
    for folder, running in class_.items():
        assert launcher.status(folder) == launcher.whole(folder) == running
    assert "is called" not in (folders[0] / "log").read_text(), "asking starts no cluster"
    assert (folders[2] / "log").read_text() == (folders[0] / "log").read_text()

    ada, bob, _ = map(kubectl_of, folders)
    assert ada("get", "nodes").count(" Ready ") == 3
    ada("create", "namespace", "hers")
    assert "hers" not in bob("get", "namespaces", "-o", "name")
    assert bob("--context=secondary", "get", "nodes").count(" Ready ") == 3
    token = ada("config", "view", "--raw", "-o", "jsonpath={.users[0].user.token}")
    assert "Unauthorized" in bob.fails(f"--token={token}", "get", "nodes")
    assert (folders[0] / "log").read_text().count("is called") == 3


def test_one_of_them_ends_and_the_others_go_on(folders: list[Path]) -> None:
    class_ = started(folders)
    first, *others = folders
    kubectl = kubectl_of(others[0])
    kubectl("create", "namespace", "kept")
    assert launcher.stop(first)
    assert launcher.status(first) is None
    assert not launcher.stop(first)
    assert [launcher.status(folder) for folder in others] == [class_[folder] for folder in others]

    again = started(folders)
    assert {folder: again[folder] for folder in others} == {folder: class_[folder] for folder in others}
    assert again[first].pid != class_[first].pid, "it has a process of its own, for it came later"
    assert "kept" in kubectl("get", "namespaces", "-o", "name")
    assert launcher.stop_all(folders) == dict.fromkeys(folders, True)
    assert launcher.stop_all(folders) == dict.fromkeys(folders, False)


def test_the_process_ends_with_the_last(folders: list[Path], eventually: Eventually) -> None:
    pid = started(folders)[folders[0]].pid
    for folder in folders:
        assert launcher.stop(folder)
    eventually(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_folder_that_is_removed_leaves_the_others_their_clusters(
    folders: list[Path], eventually: Eventually
) -> None:
    class_ = started(folders)
    gone, *others = folders
    kubectl_of(gone)("get", "nodes")
    shutil.rmtree(gone)
    again = started([gone])[gone]
    assert again.pid != class_[gone].pid
    os.kill(class_[gone].pid, signal.SIGURG)  # it looks by itself as well, only later
    eventually(lambda: f"{gone}: ended" in (others[0] / "log").read_text())
    assert launcher.whole(gone) == again, "it is not taken for the one before"

    replaced, *others = others
    shutil.rmtree(replaced)
    replaced.write_text("in the place of a folder")
    os.kill(class_[replaced].pid, signal.SIGURG)
    eventually(lambda: f"{replaced}: ended" in (others[0] / "log").read_text())
    for folder in others:
        assert kubectl_of(folder)("get", "nodes").count(" Ready ") == 3
        assert launcher.whole(folder) == class_[folder]


def test_one_that_cannot_start_stops_nobody(folders: list[Path]) -> None:
    bad, unwritable, good = folders
    bad.mkdir(parents=True)
    (bad / "bin").write_text("in the way of a folder")
    unwritable.parent.mkdir(parents=True)
    unwritable.write_text("in the way of the folder")
    found = launcher.ensure_all(folders)
    assert isinstance(found[good], Running)
    failed = found[bad]
    assert isinstance(failed, SandboxError)
    assert "FileExistsError" in failed.log
    assert f"{unwritable}: File exists" in str(found[unwritable])

    (bad / "bin").unlink()
    unwritable.unlink()
    assert started(folders)[good] == found[good]
    assert kubectl_of(bad)("get", "nodes").count(" Ready ") == 3


def test_a_part_that_fails_ends_its_member_s_alone(folders: list[Path], eventually: Eventually) -> None:
    class_ = started(folders)
    failing, *others = folders
    (failing / "envoy").write_text("in the way of a folder")
    kubectl_of(failing)("apply", "-f", "-", stdin=WEB)
    eventually(lambda: launcher.status(failing) is None)
    said = f"{failing}: the sandbox ends, for a part of it has failed"
    eventually(lambda: said in (others[0] / "log").read_text())
    assert [launcher.whole(folder) for folder in others] == [class_[folder] for folder in others]
    (failing / "envoy").unlink()
    assert kubectl_of(failing).run("get", "nodes").returncode != 0
    assert started(folders)[failing].shared == 1
    assert kubectl_of(failing)("get", "nodes").count(" Ready ") == 3


def test_one_that_hangs_is_not_killed_for_one_member(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class_ = started(folders)
    pid = class_[folders[0]].pid
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(launcher, "_STOP_SECONDS", 0.2)
        patched.setattr(launcher, "_ANSWER_SECONDS", 0.2)
        with pytest.raises(NoAnswer, match=str(pid)):
            launcher.whole(folders[0])
        with pytest.raises(SandboxError, match=rf"its process \({pid}\) is not killed.* has 2 more folders"):
            launcher.stop(folders[0])
        assert launcher.status(folders[1]) == class_[folders[1]]
        assert launcher.stop_all(folders) == dict.fromkeys(folders, True), "all of them: then it is"


def test_in_the_foreground(folders: list[Path], eventually: Eventually) -> None:
    command = [sys.executable, "-m", "sandbox", "serve", "--idle", "600"]
    for folder in folders:
        command += ["--state", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    running = eventually(lambda: [each for each in map(launcher.status, folders) if each])
    assert {each.pid for each in running} == {process.pid}
    eventually(lambda: launcher.status(folders[-1]))
    taken = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert taken.returncode == 1
    assert f"another sandbox has {folders[0]}" in taken.stderr
    process.terminate()
    assert process.wait(60) == 0
    assert not any(launcher.status(folder) for folder in folders)


def test_idle_all_of_them_end(folders: list[Path], eventually: Eventually) -> None:
    launcher.ensure_all(folders, idle_seconds=1)
    eventually(lambda: not any(launcher.is_there(folder) for folder in folders))


def test_a_hundred_with_long_names(tmp_path: Path) -> None:
    root = tmp_path / ("a class of a hundred, " * 8)
    folders = [root / f"member-{number}" / "sandbox" for number in range(100)]
    try:
        class_ = started(folders)
        assert len(class_) == 100
        assert len({running.url for running in class_.values()}) == 100
        assert len({running.pid for running in class_.values()}) == 1
        assert kubectl_of(folders[99])("get", "nodes").count(" Ready ") == 3
    finally:
        stopped = launcher.stop_all(folders)
    assert set(stopped.values()) == {True}

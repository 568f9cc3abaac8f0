"""Most tests' sandboxes are forks (tests/kit/forked_sandboxes.py): they are what started ones are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.server import launcher
from sandbox.server.state import folders_of
from tests.kit import forked_sandboxes

Eventually = Callable[[Callable[[], Any]], Any]
_LASTING = ("Umask", "SigBlk", "SigIgn", "SigCgt", "Threads", "NoNewPrivs")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descriptors(pid: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}


def seen(pid: int, folder: Path) -> dict[str, object]:
    """What a process has from the one that started it."""
    process = Path(f"/proc/{pid}")
    kinds = {name.partition("[")[0].replace(str(folder), "FOLDER") for name in descriptors(pid)}
    return {
        **{name: status(pid)[name] for name in _LASTING},
        "leads a session": os.getsid(pid) == pid,
        "folder": process.joinpath("cwd").readlink().relative_to(folder),
        "limits": process.joinpath("limits").read_text(),
        "descriptors": kinds,
        "folders": [Path(name).relative_to(folder) for name in folders_of(pid) or ()],
    }


def test_a_forked_sandbox_is_like_one_that_was_started(tmp_path: Path, eventually: Eventually) -> None:
    folders = tmp_path / "started", tmp_path / "forked"
    try:
        started = launcher.ensure(folders[0])
        with forked_sandboxes.used():
            forked = launcher.ensure(folders[1])
        assert seen(forked.pid, folders[1]) == seen(started.pid, folders[0])
        waiting = int(status(forked.pid)["PPid"])
        assert waiting != os.getpid()
        others = {name for pid in (waiting, os.getpid()) for name in descriptors(pid) if name.endswith("]")}
        assert not {name for name in descriptors(forked.pid) & others if not name.startswith("anon_inode")}
    finally:
        launcher.stop_all(folders)
    eventually(lambda: not Path(f"/proc/{forked.pid}").exists())  # who has forked it waits for it

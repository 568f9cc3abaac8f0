"""A state folder whose disk is full, or that is read-only. Seen: `the sandbox ended with status 1`, an empty log,
and `sandbox.up` as the next command of `sandbox.up`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.workshop import BIN, HANGS, Ran, Workshop
from workshop.runbook.state_folder import refuse_unusable
from workshop.settings import ROOT

ANOTHER = "name another folder: INVOKE_STATE=~/.mesh-workshop"
MOUNTING = ("unshare", "--mount", "--map-root-user", "sh", "-ec")
Mounted = Callable[[str, str], Ran]


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    """Runs a script in a state folder that is a file system of its own, with these mount options: nobody else sees
    it, and it goes with the script."""
    state = tmp_path / "state"
    state.mkdir()

    def run(options: str, script: str) -> Ran:
        done = subprocess.run(
            [*MOUNTING, f'mount -t tmpfs -o {options} tmpfs "$INVOKE_STATE"; {script}'],
            cwd=ROOT,
            env={**Workshop(state).environment, "INVOKE": str(BIN / "invoke")},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=HANGS,
            check=False,
        )
        return Ran(done.returncode, " ".join(done.stdout.split()))

    if run("size=64k", "true").status:
        pytest.skip("this system does not let us mount anything")
    return run


FULL = 'head -c %dk /dev/zero > "$INVOKE_STATE/fill"; '


@pytest.mark.parametrize(
    ("options", "before", "said"),
    [
        ("size=64k", FULL % 64, "No space left on device"),
        ("size=64k", FULL % 48, "No space left on device"),  # it ends in the middle of its files
        ("ro", "", "Read-only file system"),
    ],
    ids=["full", "nearly full", "read-only"],
)
def test_the_sandbox_is_started_there(mounted: Mounted, options: str, before: str, said: str) -> None:
    ran = mounted(options, f'{before}"$INVOKE" sandbox.up')
    assert ran.status == 2, ran.said
    assert f"sandbox: {said}" in ran.said
    assert "or its disk is full" in ran.said
    assert ran.said.endswith(f"next {ANOTHER}")
    ran = mounted(options, f'{before}"$INVOKE" doctor')
    assert ran.status == 1
    assert "fail state folder" in ran.said
    assert f"cannot be written: {said} {ANOTHER}" in ran.said


def test_looking_leaves_nothing_there(tmp_path: Path) -> None:
    refuse_unusable(tmp_path / "not" / "there")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        refuse_unusable(tmp_path / "file" / "in")

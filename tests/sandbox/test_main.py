"""`python -m sandbox`, as a process: the sandbox without the labs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a state"
    yield path
    launcher.stop(path)


def sandbox(
    *arguments: str | Path, stdin: str = "", cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_a_life(folder: Path) -> None:
    down = sandbox("status", "--state", folder)
    assert (down.returncode, down.stderr) == (1, "")
    assert f"`python -m sandbox up --state '{folder}'` starts one" in down.stdout
    assert not folder.exists(), "asking leaves no trace"

    up = sandbox("up", "--state", folder)
    assert (up.returncode, up.stderr) == (0, "")
    running = launcher.status(folder)
    assert running
    first, exported = up.stdout.splitlines()
    assert first.startswith(f"the sandbox runs at {running.url} (process {running.pid}, for ")
    nodes = subprocess.run(
        ["sh", "-c", f"{exported}; kubectl get nodes -o name"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert len(nodes.stdout.split()) == 3, "what is exported can be typed"
    assert "until nobody uses it for 1 h)" in first
    kept = sandbox("up", "--state", folder, "--for", "12h").stdout.splitlines()
    assert kept[1] == exported
    assert "until nobody uses it for 1 h, at least until 2" in kept[0]
    assert sandbox("status", "--state", folder).returncode == 0

    ended = sandbox("down", "--state", folder)
    assert (ended.returncode, ended.stdout) == (0, "the sandbox is stopped\n")
    assert sandbox("down", "--state", folder).stdout == f"no sandbox runs in {folder}\n"


def test_a_shell_has_its_commands_and_its_own_exit_status(folder: Path) -> None:
    asked = 'command -v kubectl; command -v istioctl; kubectl config current-context; echo "$KUBECONFIG"; exit 7\n'
    typed = sandbox("shell", "--state", folder, stdin=asked, SHELL="/bin/sh")
    assert (typed.returncode, typed.stderr) == (7, "")
    assert typed.stdout.splitlines() == [
        str(folder / "bin" / "kubectl"),
        str(folder / "bin" / "istioctl"),
        "primary",
        str(folder / "kubeconfig"),
    ]
    gone = sandbox("shell", "--state", folder, SHELL="/no/such/shell")
    assert (gone.returncode, gone.stderr) == (1, "python -m sandbox: /no/such/shell: No such file or directory\n")


def test_the_folder_is_beside_whoever_asks_unless_said(tmp_path: Path) -> None:
    asked = sandbox("status", cwd=tmp_path)
    assert asked.stdout == "no sandbox runs in .sandbox (`python -m sandbox up` starts one)\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["begin"], ["up", "--idle", "soon"], ["up", "--idle", "0"], ["up", "--for", "5"], ["down", "--idle", "3"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    asked = sandbox(*arguments)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "usage: python -m sandbox" in asked.stderr


def test_what_goes_wrong_is_worded(folder: Path, tmp_path: Path) -> None:
    asked = sandbox("up", "--state", folder, WORKSHOP_SANDBOX_AZURE='{"speed": 1}')
    assert asked.returncode == 1
    assert "WORKSHOP_SANDBOX_AZURE: Object contains unknown field `speed`" in asked.stderr
    assert "Traceback" not in asked.stderr
    file = tmp_path / "file"
    file.touch()
    asked = sandbox("up", "--state", file)
    assert (asked.returncode, asked.stderr) == (1, f"python -m sandbox: {file}: File exists\n")


def test_damaged_it_says_what_and_how_to_end_it(folder: Path) -> None:
    running = launcher.ensure(folder)
    running.kubeconfig.unlink()
    asked = sandbox("status", "--state", folder)
    assert asked.returncode == 1
    assert f"{running.kubeconfig} is damaged: it is gone" in asked.stderr
    assert f"`python -m sandbox down --state '{folder}'` ends it" in asked.stderr
    assert sandbox("down", "--state", folder).returncode == 0


def test_it_imports_nothing_of_the_labs_nor_of_their_engine() -> None:
    code = "import sys, sandbox.__main__, sandbox.server.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {name for name in done.stdout.split() if name.partition(".")[0] in ("labs", "workshop")}

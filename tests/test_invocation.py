"""What goes wrong before or beside a run is said in words, too, and has its exit status."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import invocation
from workshop.settings import ROOT


def _invoke(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "invoke", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("task", ["lab.istio", "sandbox.up"])
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path, task: str) -> None:
    (tmp_path / "file").touch()
    ran = _invoke(task, INVOKE_STATE=str(tmp_path / "file"))
    assert ran.returncode == 2
    assert f"{tmp_path}/file/sandbox: Not a directory" in ran.stderr
    assert "INVOKE_STATE" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_profile_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("- target\n")
    ran = _invoke("-f", str(profile), "lab.istio", "--plan")
    assert ran.returncode == 2
    assert "it is not a mapping of settings" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("content", "variables", "words"),
    [
        (b"azure: {nodes: 3}", {}, "my.yaml, line 1"),
        (b"azure: {nodes: {count: 3}}", {"INVOKE_AZURE_NODES_COUNT": "abc"}, "a whole number"),
        (b"", {"INVOKE_AZURE_NODES_COUNT": "abc"}, "the variable INVOKE_AZURE_NODES_COUNT"),
        (b"1: 3", {}, "there is no setting 1"),
        (b"run: 3", {}, "Invoke's own"),
        (b"azure: {nodes:\n\tcount: 3}", {}, "my.yaml, line 2, column 7"),
        (b"target: a\x01b", {}, "control characters are not allowed"),
        (b"target: caf\xe9", {}, "byte 12 of it is not text in UTF-8"),
    ],
)
def test_whatever_is_wrong_with_a_profile_is_wrong_usage(
    tmp_path: Path, content: bytes, variables: dict[str, str], words: str
) -> None:
    profile = tmp_path / "my.yaml"
    profile.write_bytes(content)
    ran = _invoke("-f", str(profile), "lab.istio", "--explain", COLUMNS="1000", **variables)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "defect" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "tried", "following"),
    [
        ("lab.istio.canary --max-errors 5", "use --max-errors without --promote", "invoke --help lab.istio.canary"),
        ("lab.istio --plan --explain", "use --plan and --explain together", "invoke lab.istio --plan"),
        ("lab.istio.canary --step x", "run step 'x'", "invoke lab.istio.canary --plan"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_to_type_instead(
    tmp_path: Path, words: str, tried: str, following: str
) -> None:
    ran = _invoke(*words.split(), INVOKE_STATE=str(tmp_path))
    assert ran.returncode == 2
    assert f"tried      {tried}\n" in ran.stderr
    assert f"next       {following}\n" in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_list_that_nobody_reads_to_its_end_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [Path(sys.executable).parent / "invoke", "--list"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_a_full_disk_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> int:
        with Path("/dev/full").open("w") as full:
            full.write("x")
        return 0

    assert invocation.ended(act) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_a_defect_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert invocation.ended(lambda: 1 // 0) == 1
    assert "ZeroDivisionError" in (said := capsys.readouterr().err)
    assert "a defect in the workshop" in said
    assert "Traceback" not in said


def test_the_tests_run_in_a_folder_with_blanks(tmp_path: Path) -> None:
    """As Invoke would type them (-R): each begins with a program that is one word to a shell."""
    folder = tmp_path / "Ünser Kurs"
    venv = folder / ".venv"
    venv.mkdir(parents=True)
    code = f"import sys; sys.prefix = {str(venv)!r}; from invoke import main; main.program.run('invoke -R test')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    typed = [shlex.split(line.removeprefix("nice -n 19 "))[0] for line in plain.splitlines()]
    assert typed == [f"{venv}/bin/{tool}" for tool in ("ruff", "ruff", "mypy", "lint-imports", "pytest", "pytest")]


@pytest.mark.parametrize(("shell", "script"), [("/bin/bash", "activate"), ("/usr/bin/fish", "activate.fish")])
def test_where_a_shell_does_not_find_invoke_it_is_told_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, script: str
) -> None:
    """As after README's first command, which calls .venv/bin/invoke."""
    folder = tmp_path / "Unser Kurs" / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("activate", "activate.fish", "invoke"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(folder.parent))
    monkeypatch.setenv("SHELL", shell)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(folder.parent.parent)
    assert invocation.activation() == f"source .venv/bin/{script}"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert invocation.activation() == f"source '{folder / script}'"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin")
    assert invocation.activation() == ""

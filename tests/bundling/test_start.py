"""start.sh, as it is typed on another machine: at a path as people have them, with no index that pip could ask."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.bundling.conftest import PLATFORM, TAR, Index, new_packer
from tests.kit.workshop import Ran
from workshop.bundling import wheels
from workshop.settings import ROOT

pytestmark = pytest.mark.slow

START = ROOT / "workshop" / "bundling" / "start.sh"


def start(bundle: Path, *words: str, **variables: str) -> Ran:
    done = subprocess.run(
        ["sh", bundle / "start.sh", *words],
        env={**os.environ, "PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9", **variables},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def packed(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "ready.json.gz").write_bytes(gzip.compress(b"saved"))
    with pytest.MonkeyPatch.context() as patch:
        ran = new_packer(index, folder, patch).pack(folder / "b.tar.gz", saved=str(folder / "ready.json.gz"))
    assert ran.status == 0, ran.said
    return folder / "b.tar.gz"


@pytest.fixture
def unpacked(packed: Path, tmp_path: Path) -> Path:
    return _unpack(packed, tmp_path / "Jörg's Übung, 1. Tag")


@pytest.fixture(scope="module")
def started(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """One that was started, and what it said."""
    bundle = _unpack(packed, tmp_path_factory.mktemp("started") / "Jörg's Übung, 1. Tag")
    return bundle, start(bundle)


def _unpack(packed: Path, folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(packed) as archive:
        archive.extractall(folder, **TAR)  # noqa: S202 - our own
    return folder / "mesh-workshop-bundle"


def test_it_sets_all_up_and_says_what_to_type(started: tuple[Path, Ran]) -> None:
    bundle, ran = started
    assert ran.status == 0, ran.said
    assert "invoke sandbox.load ../saved/ready.json.gz --yes in mesh-workshop" in ran.said
    typed = ran.said.partition("Ready. Type:\n")[2].replace("invoke --list      the", "invoke --list  # the")
    done = subprocess.run(
        ["sh", "-ec", typed.partition("    invoke lab")[0]], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "invoke --list in mesh-workshop\n"
    assert not (bundle / "start.log").exists()


def test_once_it_is_set_up_it_does_what_it_is_told_and_keeps_the_sandbox(started: tuple[Path, Ran]) -> None:
    bundle, _ = started
    installed = (bundle / "mesh-workshop" / ".venv" / "bundle").stat().st_mtime_ns
    ran = start(bundle, "lab", "--plan")
    assert ran.status == 0, ran.said
    assert "set up already" in ran.said
    assert "invoke lab --plan in mesh-workshop" in ran.said
    assert "The sandbox runs, and is left as it is" in ran.said
    assert "--yes" not in ran.said
    assert (bundle / "mesh-workshop" / ".venv" / "bundle").stat().st_mtime_ns == installed


def test_it_ends_with_the_status_of_what_it_was_told(started: tuple[Path, Ran]) -> None:
    assert start(started[0], "fails").status == 3


def test_where_it_was_moved_to_it_is_set_up_anew(started: tuple[Path, Ran], tmp_path: Path) -> None:
    moved = Path(shutil.copytree(started[0], tmp_path / "moved", symlinks=True))
    ran = start(moved, "--version")
    assert ran.status == 0, ran.said
    assert "Setting up with" in ran.said
    assert str(started[0]) not in (moved / "mesh-workshop" / ".venv" / "bin" / "invoke").read_text()


def _damage(file: Path) -> None:
    broken = bytearray(file.read_bytes())
    broken[-1] ^= 1
    file.write_bytes(broken)


def test_a_damaged_saved_state_is_not_loaded(started: tuple[Path, Ran]) -> None:
    saved = started[0] / "saved" / "ready.json.gz"
    _damage(saved)
    ran = start(started[0])
    _damage(saved)
    assert ran.status == 1, ran.said
    assert "saved/ready.json.gz is damaged" in ran.said
    assert "sandbox.load" not in ran.said


@pytest.mark.parametrize("what", ["fast", "pip"])
def test_a_damaged_file_is_named_and_what_to_do(unpacked: Path, what: str) -> None:
    (file,) = unpacked.glob(f"wheels/{what}-*")
    _damage(file)
    ran = start(unpacked)
    assert ran.status == 1, ran.said
    assert "is damaged" in ran.said
    assert "Copy the archive once more" in ran.said
    assert not (unpacked / "mesh-workshop" / ".venv" / "bundle").exists()


def test_a_lost_wheel_is_named(unpacked: Path) -> None:
    next(unpacked.glob("wheels/fast-*")).unlink()
    ran = start(unpacked)
    assert ran.status == 1
    assert "There is no matching distribution found for fast==1.0" in ran.said
    assert "copy and unpack the archive once more" in ran.said


def _python(folder: Path, script: str) -> str:
    """One that says of itself what the test wants."""
    folder.mkdir()
    lines = ("import platform, sys", script, "code, sys.argv = sys.argv[2], sys.argv[2:]")
    (folder / "old.py").write_text("\n".join((*lines, "exec(code)\n")))
    # No #! takes a path with a blank, or a long one.
    command = shlex.join((sys.executable, str(folder / "old.py")))
    (folder / "python3").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (folder / "python3").chmod(0o755)
    return str(folder / "python3")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sys.version_info = (3, 9, 1)", "it is Python 3.9"),
        ("platform.machine = lambda: 'riscv64'", "it is for "),
        ("sys.maxsize = 2**31 - 1", "32 bits"),
        ("platform.python_implementation = lambda: 'PyPy'", "of a kind without wheels (PyPy"),
        ("platform.libc_ver = lambda: ('glibc', '2.28')", "its glibc is 2.28, and Envoy needs 2.31"),
        ("platform.libc_ver = lambda: ('', '')", "its C library is not glibc"),
    ],
)
def test_a_python_that_it_is_not_for_is_refused(unpacked: Path, tmp_path: Path, script: str, said: str) -> None:
    if "libc" in script and not sys.platform.startswith("linux"):
        pytest.skip("no glibc here")
    ran = start(unpacked, PYTHON=_python(tmp_path / "old", script))
    assert ran.status == 2, ran.said
    assert said in ran.said
    assert f"It has wheels for: {PLATFORM}" in ran.said
    assert f"PYTHON=/path/to/python3 sh '{unpacked.parent.parent}/Jörg'\\''s Übung, 1. Tag/" in ran.said
    assert not (unpacked / "mesh-workshop" / ".venv").exists()


def test_alone_it_says_that_the_rest_is_not_there(unpacked: Path, tmp_path: Path) -> None:
    shutil.copy(unpacked / "start.sh", tmp_path / "start.sh")
    ran = start(tmp_path)
    assert ran.status == 2
    assert "Unpack the whole archive" in ran.said


def test_it_names_readme_s_first_job() -> None:
    (job,) = re.findall(
        r"&& \.venv/bin/(invoke \S+)$",
        (ROOT / "README.md").read_text().partition("```sh")[2].partition("```")[0],
        re.M,
    )
    assert re.search(rf"^    {job}  ", START.read_text(), re.M)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_can_read_it(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    words = [shell, "sh"] if shell == "busybox" else [shell, *(["--posix"] if shell == "bash" else [])]
    subprocess.run([*words, "-n", START], timeout=60, check=True)


def test_what_it_asks_of_glibc_is_what_the_wheels_are_for() -> None:
    newest = max(
        int(found) for name in wheels.PLATFORMS["linux-x86_64"] for found in re.findall(r"manylinux_2_(\d+)", name)
    )
    assert f"[2, {newest}]" in START.read_text()

"""docs/authoring.md, followed word for word in an empty folder, with the workshop installed from its wheel.

Files are written as the page has them, commands typed, and what they say is compared with what the page shows. Its
set-up alone is another: the wheel is built here, and what it depends on is the running environment's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.server import launcher
from workshop import authoring
from workshop.settings import ROOT

PAGE = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
HANGS = 600


@dataclass(frozen=True)
class Followed:
    """The folder at the end, and each block of what commands say, with what they said."""

    folder: Path
    shown: list[tuple[str, str]]


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "PYTHON"))}
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**own, "NO_COLOR": "1", "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of an environment that has the wheel, and else only what the running one has."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=place,
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    (packages / "running.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    calls = {"invoke": "invoke.main import program as run; run.run()", "pytest": "pytest import main; exit(main())"}
    for name, call in calls.items():
        script = python.with_name(name)
        script.write_text(f"#!{python}\nfrom {call}\n")
        script.chmod(0o755)
    return python.parent


@pytest.fixture(scope="module")
def followed(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder, said, shown = tmp_path_factory.mktemp("my-workshop"), "", []
    path = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    try:
        for block in BLOCK.finditer(PAGE):
            if block["file"]:
                file = folder / block["file"]
                file.parent.mkdir(exist_ok=True)
                file.write_text(block["text"])
            elif block["kind"] == "sh":
                said = run("bash", "-ec", block["text"], cwd=folder, PATH=path)
            elif block["kind"] == "text":
                shown.append((block["text"], said))
        yield Followed(folder, shown)
    finally:
        launcher.stop(folder / ".workshop" / "sandbox")


def plain(text: str) -> str:
    """Without what differs from one run to the next."""
    return re.sub(r"\d[\d,.]*", "0", " ".join(text.split()))


def test_the_page_tells_of_all_that_a_lab_can_import() -> None:
    assert [name for name in authoring.__all__ if not re.search(rf"\b{name}\b", PAGE)] == []


@pytest.mark.slow
def test_the_page_shows_what_its_commands_say(followed: Followed) -> None:
    assert len(followed.shown) > 4
    for lines, said in followed.shown:
        there = [plain(line) for line in said.splitlines()]
        for line in lines.splitlines():
            assert any(plain(line) in each for each in there), f"{line}\n\nnot in\n\n{said}"


def test_the_lab_runs_from_the_wheel_and_not_from_here(followed: Followed, programs: Path) -> None:
    code = "import labs, sandbox, workshop.settings as s; print(labs.__file__, sandbox.__file__, s.CONFIG)"
    where = run(programs / "python", "-c", code, cwd=followed.folder)
    assert [str(programs.parent) in each for each in where.split()] == [True] * 3


def test_its_state_is_in_its_own_folder(followed: Followed) -> None:
    assert (followed.folder / ".workshop" / "journal.sqlite").exists()
    made = {path.name for path in followed.folder.iterdir()}
    assert made - {".pytest_cache", "__pycache__"} == {".workshop", "acme", "tasks.py", "tests"}


def test_the_wheel_has_all_files_that_are_no_program(wheel: Path) -> None:
    folders = (ROOT / name for name in ("labs", "sandbox", "workshop", "config"))
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    wanted = {re.sub("^config/", "workshop/config/", file.relative_to(ROOT).as_posix()) for file in files}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())

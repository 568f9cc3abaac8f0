"""The packages of a lock file for machines that need not be this one: their wheels, fetched by pip, which compares
them with the lock's hashes.

pip looks where it is configured to (an index of one's own, a proxy, a folder), and nothing of that is kept. It
reads a lock's markers (`; sys_platform == ...`) as of the machine it runs on: the lock may only have such as are
the same for all, and a test sees to that.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workshop.kubernetes import tool_process
from workshop.runbook.errors import UsageError, WorkshopError


def _manylinux(architecture: str, oldest: int, *older: str) -> tuple[str, ...]:
    """For glibc 2.31, which Envoy asks for. What is newest is preferred, as pip does there."""
    newer = (f"_2_{minor}" for minor in range(31, oldest - 1, -1))
    return tuple(f"manylinux{name}_{architecture}" for name in (*newer, *older))


PLATFORMS = {
    "linux-x86_64": _manylinux("x86_64", 5, "2014", "2010", "1"),
    "linux-aarch64": _manylinux("aarch64", 17, "2014"),
    "macos-arm64": ("macosx_15_0_arm64",),  # pip adds the older ones
}
"""By name: what wheels for it may be called."""

PYTHONS = ("3.11", "3.12", "3.13")
"""Versions to take wheels for, unless others are asked for."""

_ENTRY = re.compile(r"^([\w.-]+)==[^\n]*(?:(?<=\\)\n[^\n]*)*\n?", re.M)
_NO_WHEEL = re.compile(r"No matching distribution found for ([\w.-]+)==([^\s;]+)")
_UNREACHED = re.compile(r"^.*(?:connection broken by|Could not fetch URL|Max retries exceeded).*$", re.M)
_FILE = re.compile(r"^\s+(?:Downloading|Using cached) (\S+\.whl.*)$")
_LONGEST = 3600.0
"""Seconds for one machine's wheels: 100 MB, at 30 kB a second. pip itself waits 15 s for the next byte, unless it
is told otherwise."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`python` is a version, 3.12."""

    platform: str
    python: str

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}"


@dataclass(frozen=True, slots=True)
class Progress:
    """`file` is what is being fetched, `number` which one of `of`."""

    number: int
    of: int
    file: str


def this_platform() -> str:
    """Its name; not one of PLATFORMS where there are no wheels for it."""
    return f"{'macos' if sys.platform == 'darwin' else sys.platform}-{platform.machine()}"


def refuse_without_pip() -> None:
    """Raises UsageError."""
    if importlib.util.find_spec("pip") is None:
        raise UsageError(
            "fetch wheels",
            f"{sys.executable} has no pip",
            cause="its environment was made without one",
            next_command=f"{sys.executable} -m ensurepip",
        )


def entries(lock: str) -> list[str]:
    """The packages that a lock file names."""
    return [found[1] for found in _ENTRY.finditer(lock)]


async def download(
    lock: str, machine: Machine, folder: Path, work: Path, progress: Callable[[Progress], None]
) -> tuple[str, ...]:
    """What there are wheels of for that machine is in `folder` afterwards; returned are the names of the others,
    with their versions. `work` is for files of one's own. Raises WorkshopError when pip fails otherwise."""
    missing: list[str] = []
    while left := entries(lock):
        file = work / "left.lock"
        file.write_text(lock, encoding="utf-8")
        done = await tool_process.run(
            list(_pip(machine, folder, file)),
            seconds=_LONGEST,
            on_line=_Reader(len(left), progress).read,
        )
        if not done.status:
            break
        if (unreached := _UNREACHED.search(done.stderr)) or not (none := _NO_WHEEL.search(done.stderr)):
            raise _failed(machine, unreached[0] if unreached else done.stderr, reached=not unreached)
        missing.append(f"{none[1]} {none[2]}")
        shorter = _ENTRY.sub(lambda found: "" if _same(found[1], none[1]) else found[0], lock)
        if shorter == lock:
            raise _failed(machine, done.stderr, reached=True)
        lock = shorter
    return tuple(missing)


def _pip(machine: Machine, folder: Path, lock: Path) -> Iterator[str]:
    yield from (sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input")
    yield from ("--progress-bar", "off", "--no-deps", "--require-hashes", "--only-binary", ":all:")
    yield from ("--implementation", "cp", "--python-version", machine.python)
    yield from ("--abi", f"cp{machine.python.replace('.', '')}")
    for name in PLATFORMS[machine.platform]:
        yield from ("--platform", name)
    yield from ("--dest", str(folder), "--requirement", str(lock))


class _Reader:
    """pip names a package (Collecting), then its file."""

    def __init__(self, packages: int, progress: Callable[[Progress], None]) -> None:
        self._number, self._of, self._progress = 0, packages, progress

    def read(self, line: str) -> None:
        if line.startswith("Collecting "):
            self._number += 1
            self._progress(Progress(self._number, self._of, line.split()[1]))
        elif found := _FILE.match(line):
            self._progress(Progress(self._number, self._of, found[1]))


def _same(one: str, other: str) -> bool:
    """As names of packages (PEP 503)."""
    first, second = (re.sub(r"[-_.]+", "-", name).lower() for name in (one, other))
    return first == second


def _failed(machine: Machine, said: str, *, reached: bool) -> WorkshopError:
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-5:]
    return WorkshopError(
        f"fetch wheels for {machine}",
        "\n".join(errors),
        cause="" if reached else "the package index cannot be reached; pip looks where its configuration says",
        next_command=f"{sys.executable} -m pip config list",
    )

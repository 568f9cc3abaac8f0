"""What the benchmarks share: sandboxes of their own, and processes timed from outside."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
INVOKE = str(BIN / "invoke")


@dataclass(frozen=True)
class Taken:
    """`seconds` by the clock; `cpu` of the process and all that it has waited for, the sandbox not among them."""

    seconds: float
    cpu: float
    status: int
    said: str


@dataclass(frozen=True)
class Place:
    """A folder with a sandbox's state and a home, so that nothing is left from the run before. Programs in its
    `bin` come before all others. `profile` and `through` are those of a way to its clusters that is not its own
    (`side_by_side.behind`)."""

    folder: Path
    profile: Path | None = None
    through: Path | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "state" / "sandbox" / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return given | {
            "INVOKE_STATE": str(self.folder / "state"),
            "KUBECONFIG": str(self.through or self.kubeconfig),
            "HOME": str(home),
            "PATH": f"{self.folder / 'bin'}:{self.kubeconfig.parent / 'bin'}:{BIN}:{os.environ['PATH']}",
            "COLUMNS": "160",
            "NO_COLOR": "1",
        }

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str = "",
        may_fail: bool = False,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Taken:
        """With `more` variables. Ends the benchmark when the command fails, unless it may."""
        taken = timed(command, {**self.environment, **more}, stdin)
        if taken.status and not may_fail:
            sys.exit(f"{' '.join(map(str, command))} ended with {taken.status}:\n{taken.said}")
        return taken

    def stand_in(self, program: str, script: str) -> None:
        """A shell script in the program's place, which finds it as $REAL."""
        real, path = shutil.which(program, path=self.environment["PATH"]), self.folder / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\nREAL={shlex.quote(str(real))}\n{script}\n")
        path.chmod(0o755)

    def invoke(self, *words: str, may_fail: bool = False) -> Taken:
        profile = ("-f", str(self.profile)) if self.profile else ()
        return self.run([INVOKE, *profile, *words], may_fail=may_fail)


@contextlib.contextmanager
def place(folder: Path, name: str) -> Iterator[Place]:
    here = Place(folder / name)
    try:
        yield here
    finally:
        here.invoke("sandbox.down", "--yes", may_fail=True)
        shutil.rmtree(here.folder, ignore_errors=True)


def kubectl_processes(echoed: str) -> int:
    """Of a run with --echo: those after a $, and for each cluster that is asked after a = the one that stays."""
    started = re.findall(r"(?m)^ *(?:\S+  )?\$ \S*kubectl ", echoed)
    staying = re.findall(r"(?m)^ *(?:\S+  )?= \S*kubectl .*?--context=(\S+)", echoed)
    return len(started) + len(set(staying))


def timed(command: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> Taken:
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    return Taken(seconds, used.ru_utime + used.ru_stime, process.returncode, said)


def middle(figures: Sequence[float], digits: int = 1) -> str:
    """The median, and the spread where there are several."""
    if not figures:
        return "-"
    median = f"{statistics.median(figures):.{digits}f}"
    if len(figures) == 1:
        return median
    return f"{median} ({min(figures):.{digits}f} to {max(figures):.{digits}f})"


def resident(pid: int, *, once: bool = False) -> list[float]:
    """Resident memory of a process and of each of its children, in MB; pages that they share are counted in each,
    or `once`, each with its part."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [_megabytes(one, "Pss:" if once else "Rss:") for one in (str(pid), *children)]


def _megabytes(pid: str, what: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1.024 / 1000
    return 0.0

"""Measures the design's budgets, all in one run: `.venv/bin/python benchmarks/budgets.py`.

Everything is timed from outside, as whole processes, on a sandbox in a folder of its own. Figures are medians; a
ratio is that of two commands run in turn (A B A B ...), pair by pair, so a machine whose speed drifts does not bend
it.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
INVOKE = str(BIN / "invoke")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        environment = {**os.environ, "INVOKE_STATE": str(state)}

        def invoke(*words: str) -> tuple[float, str]:
            return timed([INVOKE, *words], environment)

        def ready() -> float:
            invoke("sandbox.down")
            return timed(["/bin/sh", "-c", f"{INVOKE} sandbox.shell"], environment, "kubectl get nodes")[0]

        def from_nothing() -> float:
            invoke("sandbox.down")
            return invoke("lab.istio")[0]

        try:
            row("`invoke --list`, ratio to an empty tasks.py", "1.15", listing(Path(folder)))
            row(
                "sandbox from nothing to `kubectl get nodes` (two Invoke starts included)",
                "1.0 s",
                several(ready, 7),
            )
            row(
                "`invoke lab.istio` from nothing, sandbox start included",
                "15 s, deliberate delays aside",
                several(from_nothing, 5),
            )
            row("memory of all sandbox processes then", "400 MB", [megabytes(state)], "MB")
            row("the same again, converged", "0.5 s", several(lambda: invoke("lab.istio")[0], 7))
            said = invoke("--echo", "lab.istio")[1]
            processes = re.findall(r"^ *(?:istio\.\S+  )?\$ \S*kubectl", said, re.M)
            row("its kubectl processes", "5", [float(len(processes))])
            row("`invoke lab.istio.cleanup`", "", [invoke("lab.istio.cleanup")[0]])
        finally:
            invoke("sandbox.down")


def timed(command: list[str], environment: dict[str, str], stdin: str = "") -> tuple[float, str]:
    """Seconds of the whole process, and what it printed. Ends the benchmark when it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return seconds, done.stdout


def several(measure: Callable[[], float], times: int) -> list[float]:
    return [measure() for _ in range(times)]


def listing(folder: Path) -> list[float]:
    empty = folder / "empty"
    empty.mkdir()
    (empty / "tasks.py").write_text("from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n")
    ours, theirs = ([INVOKE, "--search-root", str(root), "--list"] for root in (ROOT, empty))
    environment = dict(os.environ)
    timed(ours, environment)
    return [timed(ours, environment)[0] / timed(theirs, environment)[0] for _ in range(15)]


def megabytes(state: Path) -> float:
    """Resident memory of the server and all its children, in MB (pages they share counted in each)."""
    server = int(re.search(r'"pid": (\d+)', (state / "sandbox" / "server.json").read_text())[1])  # type: ignore[index]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return sum(_resident(pid) for pid in (str(server), *children)) / 1000


def _resident(pid: str) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return float(found[1]) * 1.024 if found else 0.0


def row(what: str, budget: str, figures: list[float], unit: str = "") -> None:
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    spread = f" ({low:.2f} to {high:.2f}, n = {len(figures)})" if len(figures) > 1 else ""
    print(f"| {what} | {budget} | {middle:.2f}{' ' + unit if unit else ''}{spread} |", flush=True)


if __name__ == "__main__":
    main()

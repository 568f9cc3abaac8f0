"""Measures the design's budgets, all in one run: `.venv/bin/python benchmarks/budgets.py`.

Everything is timed from outside, as whole processes, on a sandbox in a folder of its own. Figures are medians; a
ratio is that of two commands run in turn (A B A B ...), pair by pair, so a machine whose speed drifts does not bend
it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench import INVOKE, ROOT, Place, kubectl_processes, place, resident, timed


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, place(Path(folder), "budgets") as here:
        empty = Path(folder) / "empty"
        empty.mkdir()
        (empty / "tasks.py").write_text("from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n")
        for what, ours, theirs in (
            ("`invoke --list`", ["--list"], ["--list"]),
            ("completion of a lab's flags", _completing("lab.istio.canary"), _completing("nothing")),
        ):
            seconds, cpu = beside(here, ours, empty, theirs)
            row(f"{what}, ratio to an empty tasks.py", "1.15", seconds)
            row("the same in processor time", "1.15", cpu)

        def ready() -> float:
            here.invoke("sandbox.down")
            return here.run([INVOKE, "sandbox.shell"], stdin="kubectl get nodes").seconds

        def from_nothing() -> float:
            here.invoke("sandbox.down")
            return here.invoke("lab.istio").seconds

        row("sandbox from nothing to `kubectl get nodes` (Invoke's start included)", "1.0 s", several(ready, 7))
        row(
            "`invoke lab.istio` from nothing, sandbox start included",
            "15 s, deliberate delays aside",
            several(from_nothing, 5),
        )
        pid = json.loads((here.kubeconfig.parent / "server.json").read_text())["pid"]
        row("memory of all sandbox processes then", "400 MB", [sum(resident(pid))], "MB")
        for which, figure in zip(("the server's", "the Envoys'", "the Envoys'"), resident(pid), strict=False):
            row(f"of it {which}", "", [figure], "MB")
        row("with shared pages counted once", "", [sum(resident(pid, once=True))], "MB")
        row("the same again, converged", "0.5 s", several(lambda: here.invoke("lab.istio").seconds, 7))
        said = here.invoke("--echo", "lab.istio").said
        row("its kubectl processes", "5", [float(kubectl_processes(said))])
        row("`status` of both clusters", "1 s", several(lambda: here.invoke("status").seconds, 7))

        def back() -> float:
            here.invoke("lab.istio")
            return here.invoke("reset", "--to", "istio.gateway").seconds

        row("`reset --to istio.gateway` from the end of all labs", "5 s", several(back, 3))
        here.invoke("lab.istio")
        row("`invoke lab.istio.cleanup`", "", [here.invoke("lab.istio.cleanup").seconds])


def several(measure: Callable[[], float], times: int) -> list[float]:
    return [measure() for _ in range(times)]


def _completing(task: str) -> list[str]:
    return ["--complete", "--", f"invoke {task} --"]


def beside(
    here: Place, ours: Sequence[str], empty: Path, theirs: Sequence[str], pairs: int = 15
) -> tuple[list[float], list[float]]:
    """Ratios of seconds, and of processor seconds, pair by pair."""
    commands = [[INVOKE, "--search-root", str(root), *words] for root, words in ((ROOT, ours), (empty, theirs))]
    timed(commands[0], here.environment)
    found = [[timed(command, here.environment) for command in commands] for _ in range(pairs)]
    return [our.seconds / their.seconds for our, their in found], [our.cpu / their.cpu for our, their in found]


def row(what: str, budget: str, figures: list[float], unit: str = "") -> None:
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    spread = f" ({low:.2f} to {high:.2f}, n = {len(figures)})" if len(figures) > 1 else ""
    print(f"| {what} | {budget} | {middle:.2f}{' ' + unit if unit else ''}{spread} |", flush=True)


if __name__ == "__main__":
    main()

"""What each azure task imports, and how long that takes: `.venv/bin/python benchmarks/imports.py`.

Each task runs once from nothing, on a sandbox in a folder of its own, and once more when there is nothing to do.
The seconds are those that `python -X importtime` counts for all modules of the process, Invoke's own included; the
clients are those of Azure's SDK that were imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASKS = ("group", "vnet", "acr", "aks", "aks-secondary", "credentials")
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.M)
_CLIENT = re.compile(r"^azure\.(?:mgmt\.)?(network|containerregistry|containerservice|resource|identity)$")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "INVOKE_STATE": folder}
        run(environment, "sandbox.up")
        try:
            print(f"| task | from nothing | clients | converged | clients |\n|{'---|' * 5}")
            nothing = {task: imports(environment, f"lab.azure.{task}") for task in TASKS}
            for task in TASKS:
                first, again = nothing[task], imports(environment, f"lab.azure.{task}")
                print(f"| lab.azure.{task} | {first} | {again} |", flush=True)
            print(f"| lab.azure.cleanup | {imports(environment, 'lab.azure.cleanup')} | | |")
            print(f"| --list | {imports(environment, '--list')} | | |")
        finally:
            run(environment, "sandbox.down")


def imports(environment: dict[str, str], *words: str) -> str:
    found = _LINE.findall(run(environment, *words))
    clients = sorted(match[1] for _, module in found if (match := _CLIENT.match(module)))
    return f"{sum(int(own) for own, _ in found) / 1e6:.2f} s | {', '.join(clients) or 'none'}"


def run(environment: dict[str, str], *words: str) -> str:
    """What it wrote to stderr. Ends the benchmark when it fails."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"invoke {' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stderr


if __name__ == "__main__":
    main()

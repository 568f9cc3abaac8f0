"""Measures the azure labs against Azure's own time: `.venv/bin/python benchmarks/azure.py [SECONDS FOR A CLUSTER]`.

In the sandbox Azure takes as long as it is told to. The longest chain of a run from nothing is a network and then
a cluster (the registry, and everything of the secondary, go beside it); a run may take 1.1 times as long. The whole
`invoke` is timed from outside, with a sandbox that runs already. Then the same again, converged, with what was
asked of Azure's control plane in both runs.
"""

from __future__ import annotations

import collections
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INVOKE = str(Path(sys.executable).parent / "invoke")
NETWORK, REGISTRY = 5.0, 8.0


def main() -> None:
    cluster = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    chain = NETWORK + cluster
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        environment = {**os.environ, "INVOKE_STATE": str(state)}
        try:
            invoke(environment, "sandbox.up")
            durations = {"virtualNetworks": NETWORK, "registries": REGISTRY, "managedClusters": cluster}
            ask(state, "POST", "settings", {"durations": durations})
            ask(state, "DELETE", "requests")
            seconds = invoke(environment, "lab.azure")
            ratio = f"{seconds / chain:.3f} ({seconds:.1f} s)"
            print(f"| `invoke lab.azure` from nothing, ratio to the chain of {chain:g} s | 1.1 | {ratio} |")
            print(f"|   requests | | {requests(state)} |")
            ask(state, "DELETE", "requests")
            print(f"| the same again, converged | | {invoke(environment, 'lab.azure'):.2f} s |")
            print(f"|   requests | GET only | {requests(state)} |")
        finally:
            invoke(environment, "sandbox.down")


def invoke(environment: dict[str, str], task: str) -> float:
    """Seconds of the whole process. Ends the benchmark when it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [INVOKE, task], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{task} ended with {done.returncode}:\n{done.stdout}")
    return seconds


def requests(state: Path) -> str:
    """How many of each method."""
    counted = collections.Counter(each["method"] for each in ask(state, "GET", "requests")["value"])
    return ", ".join(f"{count} {method}" for method, count in sorted(counted.items()))


def ask(state: Path, method: str, what: str, body: Any = None) -> Any:
    """The sandbox's Azure, by its entrance for tests."""
    said = json.loads((state / "sandbox" / "azure.json").read_text())
    request = urllib.request.Request(  # noqa: S310
        f"{said['url']}/sandbox/{what}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {said['token']}"},
    )
    context = ssl.create_default_context(cafile=said["ca"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


if __name__ == "__main__":
    main()

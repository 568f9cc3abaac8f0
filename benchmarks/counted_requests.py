"""Are all requests counted, and what do they cost? `.venv/bin/python benchmarks/counted_requests.py [REQUESTS]`.

As tests/sandbox/test_metrics_sums.py, with 10,000 requests: on a sandbox of its own, by two callers to two
services, with four kinds of answers, each through two sidecars with mTLS. Their sum at port 15020 of all pods has
to be what was sent, at both ends; else it ends with status 1. Processor time is the sandbox's (its server, with the
programs that answer, and its Envoy) and the sender's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sandbox.server import launcher  # noqa: E402
from tests.sandbox.test_metrics_sums import counted, deployed, expected, send  # noqa: E402


def processor(pid: int) -> float:
    """Seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used(folder: Path) -> dict[str, float]:
    server = int(json.loads((folder / "server.json").read_text())["pid"])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return {
        "server": processor(server),
        "Envoy": sum(processor(int(pid)) for pid in children),
        "sender": time.process_time(),
    }


def main(number: int) -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "sandbox"
        kubectl = deployed(launcher.ensure(folder), Path(place) / "cache")
        try:
            counted(kubectl)
            before, began = used(folder), time.perf_counter()
            sent = send(kubectl, number)
            seconds, after = time.perf_counter() - began, used(folder)
            found = counted(kubectl)
        finally:
            launcher.stop(folder)
    total = sum(sent.values())
    print(f"{total:,} requests in {seconds:.1f} s, {total / seconds:,.0f} a second")
    print("; ".join(f"{who} {(after[who] - before[who]) / total * 1e6:.0f} µs a request" for who in before))
    for reporter in ("source", "destination"):
        print(f"counted at the {reporter}: {sum(n for key, n in found.items() if key[0] == reporter):,}")
    wrong = [key for key in {**found, **expected(sent)} if found.get(key) != expected(sent).get(key)]
    for key in wrong:
        print(f"{' '.join(key)}: {found.get(key, 0):,} counted, {expected(sent).get(key, 0):,} sent")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

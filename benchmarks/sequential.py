"""What stopping early saves, and both of its error rates: `.venv/bin/python benchmarks/sequential.py [RUNS]`.

For each split: how many requests the fixed test sends, how many are sent at most and on average when the split is
right and when it is wrong by the deviation that must be noticed; how often either is judged wrongly, calculated
over the whole lattice of (requests, hits of each kind) with a look after every answer, and in RUNS (10,000)
simulated runs that look as a probe does, after groups. The least likely states (1e-14 each) are left out of the
lattice, and several tries have so many times the rates of one. With errors among the answers the calculation is a
bound (they count against whatever they could help), so only the simulation is told.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.traffic.lattice import odds  # noqa: E402
from workshop.traffic.sequential import Sequential, sequential  # noqa: E402
from workshop.traffic.verdict import plan  # noqa: E402

SPLITS: tuple[tuple[tuple[float, ...], float, tuple[float, ...], int], ...] = (
    ((1.0, 0.0), 0.10, (0.9, 0.1), 1),
    ((0.5, 0.5), 0.10, (0.6, 0.4), 1),
    ((0.8, 0.2), 0.10, (0.7, 0.3), 1),
    ((0.9, 0.1), 0.10, (0.8, 0.2), 1),
    ((0.95, 0.05), 0.04, (0.91, 0.09), 1),
    ((0.5, 0.5), 0.20, (0.3, 0.7), 1),
    ((0.33, 0.33, 0.34), 0.10, (0.43, 0.28, 0.29), 1),
    ((0.33, 0.33, 0.34), 0.20, (0.53, 0.23, 0.24), 1),
    ((0.5, 0.3, 0.2), 0.20, (0.3, 0.4, 0.3), 1),
    ((0.5, 0.25, 0.25), 0.18, (0.5, 0.43, 0.07), 3),
)
"""The shares, the deviation, a split that is off by it, and how often it may be measured."""

ERRORS = 0.01
GROUP = 40

LARGE = 520
"""Requests from which on the lattice of three kinds takes minutes; the bound that is promised is told instead."""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("| split | noticed | fixed | at most | right | wrong | saved | right rejected | wrong accepted |")
    print("|---|---|---|---|---|---|---|---|---|")
    for shares, deviation, wrong, tries in SPLITS:
        print(row(shares, deviation, wrong, tries, runs), flush=True)
    print(f"\nWith {ERRORS:.0%} errors among the answers, {runs:,} runs each:\n")
    print("| split | right: pass, fail, inconclusive | wrong: pass, fail, inconclusive |")
    print("|---|---|---|")
    for shares, deviation, wrong, tries in SPLITS:
        test = of(shares, deviation, tries)
        cells = []
        for true in (shares, wrong):
            found, _ = simulated(test, true, runs, ERRORS)
            cells.append(", ".join(f"{found[kind]:,}" for kind in ("pass", "fail", "inconclusive")))
        print(f"| {named(shares)} | {cells[0]} | {cells[1]} |", flush=True)


def row(shares: tuple[float, ...], deviation: float, wrong: tuple[float, ...], tries: int, runs: int) -> str:
    test = of(shares, deviation, tries)
    right_found, right_mean = simulated(test, shares, runs)
    wrong_found, wrong_mean = simulated(test, wrong, runs)
    fixed = plan(labelled(shares), deviation, tries).n
    if len(shares) == 2 or test.last.n < LARGE:
        right, off = odds(test, shares), odds(test, wrong)
        rejected, accepted, how = tries * right.failed, tries * off.passed, ""
    else:
        rejected, accepted, how = test.rejects_right, test.accepts_wrong, "at most "
    cells = [
        named(shares) + (f", {tries} tries" if tries > 1 else ""),
        f"{deviation:.0%}",
        f"{fixed:,}",
        f"{test.last.n:,}",
        f"{right_mean:,.0f}",
        f"{wrong_mean:,.0f}",
        f"{1 - right_mean / fixed:.0%}",
        f"{how}{rejected:.2g}; {right_found['fail']:,} of {runs:,}",
        f"{how}{accepted:.2g}; {wrong_found['pass']:,} of {runs:,}",
    ]
    return f"| {' | '.join(cells)} |"


def simulated(
    test: Sequential, true: Sequence[float], runs: int, errors: float = 0.0
) -> tuple[Counter[str], float]:
    """How many verdicts of each kind, and after how many requests on average."""
    rng, found, requests = random.Random(f"{test.last.n} {true} {errors}"), Counter[str](), 0  # noqa: S311
    labels, most = list(test.sides), test.last.n
    kinds = [*labels, "error"]
    weights = [share * (1 - errors) for share in true] + [errors]
    for _ in range(runs):
        counts, sent, kind = Counter[str](), 0, "inconclusive"
        while kind == "inconclusive" and sent < most:
            size = min(most - sent, test.least if not sent else GROUP)
            counts.update(rng.choices(kinds, weights, k=size))
            sent += size
            failed = counts["error"]
            kind = test.judge({label: counts[label] for label in labels}, failed).kind
            if not test.possible(failed, 0):
                break
        found[kind] += 1
        requests += sent
    return found, requests / runs


def of(shares: tuple[float, ...], deviation: float, tries: int) -> Sequential:
    return sequential(labelled(shares), deviation, tries)


def labelled(shares: tuple[float, ...]) -> dict[str, float]:
    return {f"v{number}": share for number, share in enumerate(shares, 1)}


def named(shares: tuple[float, ...]) -> str:
    return "/".join(f"{share * 100:g}" for share in shares)


if __name__ == "__main__":
    main()

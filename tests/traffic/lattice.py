"""What becomes of a sequential test, exactly: over the whole lattice of (requests, hits of each kind)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workshop.traffic.sequential import Sequential

NEGLIGIBLE = 1e-14
"""Less likely states are left out; their sum goes to neither side, and is told as `left_out`."""


@dataclass(slots=True)
class Odds:
    """How likely a pass and a fail are, and after how many requests a verdict comes on average."""

    passed: float = 0.0
    failed: float = 0.0
    requests: float = 0.0
    left_out: float = 0.0


def odds(test: Sequential, true: Sequence[float], looks: Sequence[int] = ()) -> Odds:
    """Where `true` are the shares of the test's labels, in their order. Without `looks`, after every answer.

    Raises nothing: what is not decided after the last look is neither passed nor failed.
    """
    found, most = Odds(), test.last.n
    at, kinds = frozenset(looks), len(true)
    alive: dict[tuple[int, ...], float] = {(0,) * kinds: 1.0}
    steps = [(kind, share) for kind, share in enumerate(true) if share > 0]
    for n in range(1, most + 1):
        found.requests += sum(alive.values())
        following: dict[tuple[int, ...], float] = {}
        for state, chance in alive.items():
            for kind, share in steps:
                reached = (*state[:kind], state[kind] + 1, *state[kind + 1 :])
                following[reached] = following.get(reached, 0.0) + chance * share
        if at and n not in at and n < most:
            alive = following
            continue
        alive = {}
        decided = Decided(test, n)
        for state, chance in following.items():
            said = decided(state)
            if said == "pass":
                found.passed += chance
            elif said == "fail":
                found.failed += chance
            elif chance < NEGLIGIBLE:
                found.left_out += chance
            else:
                alive[state] = chance
    return found


class Decided:
    """`Sequential.judge` after n answers without any error, looked up instead of being worded each time."""

    def __init__(self, test: Sequential, n: int) -> None:
        self._bounds = list(self._of(test, n))

    def __call__(self, counts: tuple[int, ...]) -> str:
        passed = True
        for count, (shut_low, low, high, shut_high) in zip(counts, self._bounds, strict=True):
            if not shut_low <= count <= shut_high:
                return "fail"
            passed &= low <= count <= high
        return "pass" if passed else ""

    def _of(self, test: Sequential, n: int) -> Iterator[tuple[int, int, int, int]]:
        most = test.last.n
        for label, it in test.last.ranges.items():
            above, below = test.sides[label]
            if n == most:
                yield it.low, it.low, it.high, it.high
                continue
            low, shut_low, high, shut_high = 0, 0, n, n
            if above is not None:
                high, shut_high = above.accepted(n), above.open(n)
            if below is not None:
                low, shut_low = n - below.accepted(n), n - below.open(n)
            yield shut_low, low, high, shut_high

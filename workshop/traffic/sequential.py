"""When the answers so far are enough: a verdict that does not wait for requests that can hardly change it.

`verdict.plan` says how many requests prove a split. Few splits need that many: what is right is mostly in the
middle of its range long before, and what is wrong far outside. Looking early must not cost what the plan promises,
though. Whoever looks at the running figures with the plan's own limits, and stops when he likes them, is wrong
much more often than once in a thousand.

**The lines.** Each share p that is to be noticed from p + d on is a question between two binomials, and Wald's
likelihood ratio says how much likelier the answers so far are with the one than with the other:

    L(n, x) = ((p + d) / p)^x · ((1 - p - d) / (1 - p))^(n - x),   x of n answers in the category.

With the right share, L is above 1/a at *some* time, however long one goes on, with probability a at most; with the
wrong one it is at some time below b with probability b at most (Ville's inequality, 1939: L is a martingale of mean
1, and so is 1/L with the wrong share). So one may look after every answer, or at any moment that suits, or never:

* as soon as L is above 1/a for some share, or for everything else than it (its lower tail), the split is wrong;
* as soon as L is below b for all shares and both tails of each, it is right. If one share is wrong, its own line
  alone keeps that from happening but for b, whatever the others do; so the lines of several shares need no
  correction for (b), and for (a) they share its rate (Bonferroni's inequality).

In x both are straight lines in n (Wald 1945). A share further off than p + d only makes it rarer to get below.

**The last look.** Near p + d/2 neither line may ever be reached. So after a largest number of requests the plan's
own ranges decide. Both error rates are divided: EARLY of each for the lines, the rest for the last look; the plan
is derived from that rest, and is about 4 % larger for it (1,043 requests instead of 999 for 80/20). What was right
before holds at the last look, too: it is the plan's verdict, which counts whatever is missing against it
(`verdict.judge`), so it is also given as soon as the missing ones cannot change it.

**0.** A category with share 0 is decided by the first log(ERROR) / log(1 - d) requests: with none in them there is
no later look at which it could be wrong a second time, so nothing is divided. Where some answers may be lost (plans
for several tries), its line is that of a share of SPARE · d, so that L may get below b in spite of them.

**Errors, and what is still under way,** may be of any category. They count for whatever they would be in the way
of: a fail looks at what is known only, a pass at the worst of all ways in which they may have come out. If a pass
is said, the true counts have been below the line as well, and both inequalities speak of those.

**Which answers.** They hold for requests in the order of sending, of which none before the last one is left out.
In the order of coming the quicker version would be seen first. So a look is taken at whole groups (`measuring`), or
with all that is under way counted as missing (`timed`).

What that saves is in docs/decisions/5-verdicts.md; benchmarks/sequential.py calculates both error rates over the
whole lattice of (requests, hits) and simulates them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from workshop.runbook.results import Verdict
from workshop.traffic.verdict import ERROR, FALSE_ALARM, SPARE, Plan, judge, plan

EARLY = 0.25
"""The part of both error rates that is for stopping early. With a tenth 12 % more requests are sent on average and
with a half 8 % fewer, but the most that may be sent grow by 10 % instead of 4."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Side:
    """The upper tail of a count: its share is `right`, unless it is `wrong` (which is larger) or more. `alarm` and
    `error` are how often, at any time, its line may say that a right share is wrong and a wrong one right."""

    right: float
    wrong: float
    alarm: float
    error: float

    def accepted(self, n: int) -> int:
        """The largest count of n that says it is not wrong, -1 when none does."""
        if self.wrong >= 1:
            return n - 1
        if self.right <= 0:
            return 0 if n * self._down <= math.log(self.error) else -1
        return max(-1, self._count(n, math.log(self.error)))

    def open(self, n: int) -> int:
        """The largest count of n that does not say it is wrong."""
        if self.right <= 0:
            return 0
        if self.wrong >= 1:
            return n - 1 if -n * math.log(self.right) >= -math.log(self.alarm) else n
        return min(n, math.ceil((-math.log(self.alarm) - n * self._down) / (self._up - self._down)) - 1)

    def least(self) -> int:
        """From how many requests on a count that is just right is accepted."""
        if self.wrong >= 1:
            return math.ceil(1 / (1 - self.right))
        gained = -(1 - self.right) * self._down
        if self.right > 0:
            gained -= self.right * self._up
        return math.ceil(-math.log(self.error) / gained)

    def never(self) -> float:
        """How likely a wrong share shows in none of the first `least`."""
        return (1 - self.wrong) ** self.least()

    @property
    def _up(self) -> float:
        return math.log(self.wrong / self.right)

    @property
    def _down(self) -> float:
        return math.log1p(-self.wrong) - math.log1p(-self.right)

    def _count(self, n: int, ratio: float) -> int:
        return math.floor((ratio - n * self._down) / (self._up - self._down) - _ROUNDING)


@dataclass(frozen=True)
class Sequential:
    """`last` is the look after `last.n` requests, the most that are sent; `sides` are those above and below each
    category's share, whose line may be reached before. A share of 0 has none below, one of 1 none above."""

    last: Plan
    sides: Mapping[str, tuple[Side | None, Side | None]]

    @cached_property
    def least(self) -> int:
        """From how many requests on there may be a pass."""
        return min(self.last.n, max((side.least() for side in self._all()), default=self.last.n))

    @property
    def rejects_right(self) -> float:
        """What bounds the probability that a right split is rejected, at whatever moments one looks."""
        seen = {id(side): side for side in self._all()}.values()
        return self.last.rejects_right + self.last.tries * math.fsum(side.alarm for side in seen if side.right > 0)

    @property
    def accepts_wrong(self) -> float:
        """The same for a wrong one and being accepted. A share of 0 has one line only, for all looks."""
        early = max((side.error for side in self._all() if side.right > 0), default=0.0)
        once = max((side.never() for side in self._all() if side.right <= 0), default=0.0)
        return max(self.last.accepts_wrong + self.last.tries * early, once)

    def judge(self, counts: Mapping[str, int], errors: int = 0, lost: int = 0, under_way: int = 0) -> Verdict:
        """What the answers so far prove; `inconclusive` may be said too early, as more are to come.

        All that was sent is in `counts`, or is one of `errors` and `lost` (as for `verdict.judge`), or still
        `under_way`. Raises ValueError as that does.
        """
        final = judge(self.last, counts, errors, lost)
        answers = sum(counts.values())
        unknown = errors + lost + under_way
        n = answers + unknown
        if n > self.last.n:
            raise ValueError(f"{n} requests do not fit a plan of {self.last.n}")
        if n == self.last.n and not under_way:
            return final
        had = f"{answers:,} answers"
        if unknown:
            kinds = ((errors, "errors"), (lost, "lost to a slow machine"), (under_way, "not waited for"))
            had = ", ".join((f"{answers:,} of {n:,} answers", *(f"{n:,} {kind}" for n, kind in kinds if n)))
        had += f"; enough, of {self.last.n:,} at most"
        out = [label for label in self.sides if self._out(label, counts.get(label, 0), answers, n)]
        if out:
            said = (f"{label}: {_of(counts.get(label, 0), answers)}, {self._accepted(label, n)}" for label in out)
            return Verdict("fail", f"{'; '.join(said)} ({had})")
        if final.kind == "fail":
            return final
        none_else = not errors and not under_way
        if all(self._in(label, counts.get(label, 0), answers, unknown, none_else) for label in self.sides):
            return Verdict("pass", f"every share is as expected ({had})")
        return final

    def accepted(self, label: str, n: int, *, passed: bool) -> tuple[float, float]:
        """The shares of n answers that are accepted of a category: those that say it is right where that is the
        verdict, else those that do not say it is wrong."""
        if n >= self.last.n or not n:
            it = self.last.ranges[label]
            return it.low / self.last.n, it.high / self.last.n
        share = self.last.ranges[label].share
        if share in (0, 1):
            return share, share
        above, below = (
            0 if side is None else side.accepted(n) if passed else side.open(n) for side in self.sides[label]
        )
        # As a share is made of a count: 1 - below / n may round elsewhere.
        return max(0.0, (n - below) / n), min(1.0, above / n)

    def possible(self, errors: int, lost: int) -> bool:
        """Whether there may still be a pass, with so many answers that are of no use."""
        unknown, widest = errors + lost, self.last.n
        for it in self.last.ranges.values():
            zero = it.share in (0, 1)
            widest = min(widest, (0 if errors else self.last.spare) if zero else it.high - it.low)
        return unknown <= widest

    def _all(self) -> Iterator[Side]:
        return (side for both in self.sides.values() for side in both if side is not None)

    def _out(self, label: str, count: int, answers: int, n: int) -> bool:
        above, below = self.sides[label]
        spare = self.last.spare
        if above is not None and count > (above.open(n) if self._between(label) else spare):
            return True
        return below is not None and answers - count > (below.open(n) if self._between(label) else spare)

    def _in(self, label: str, count: int, answers: int, unknown: int, none_else: bool) -> bool:
        above, below = self.sides[label]
        n = answers + unknown
        if not self._between(label):
            some = count if above is not None else answers - count
            side = above or below
            assert side is not None, "a share is above 0 or below 1"
            return none_else and not some and unknown <= side.accepted(n)
        assert above is not None, "a share below 1 may be larger"
        assert below is not None, "a share above 0 may be smaller"
        return count + unknown <= above.accepted(n) and answers - count + unknown <= below.accepted(n)

    def _between(self, label: str) -> bool:
        return 0 < self.last.ranges[label].share < 1

    def _accepted(self, label: str, n: int) -> str:
        low, high = (f"{share:.1%}" for share in self.accepted(label, n, passed=False))
        return f"accepted {low}" if low == high else f"accepted {low} to {high}"


def sequential(expected: Mapping[str, float], deviation: float, tries: int = 1) -> Sequential:
    """The test of `verdict.plan` for these shares that stops early. Raises ValueError as that does."""
    fixed = plan(expected, deviation, tries)
    shares = {label: it.share for label, it in fixed.ranges.items()}
    between = [label for label, share in shares.items() if 0 < share < 1]
    if not between and tries == 1:
        whole = ERROR  # every one of the requests is needed for a pass
        return Sequential(fixed, {label: _only(share, deviation, whole) for label, share in shares.items()})
    last = plan(expected, deviation, tries, 1 - EARLY)
    error = EARLY * ERROR / tries
    # Of two categories the one is above where the other is below.
    alarm = EARLY * FALSE_ALARM / tries / (2 if len(between) == 2 else 2 * len(between) or 1)
    sides: dict[str, tuple[Side | None, Side | None]] = {}
    for label, share in shares.items():
        if label not in between:
            sides[label] = _only(share, deviation, ERROR if tries == 1 else error, SPARE if tries > 1 else 0.0)
        elif len(between) == 2 and label == between[1]:
            above, below = sides[between[0]]
            sides[label] = (below, above)
        else:
            sides[label] = (
                Side(share, min(1.0, share + deviation), alarm, error),
                Side(1 - share, min(1.0, 1 - share + deviation), alarm, error),
            )
    return Sequential(last, sides)


def _only(share: float, deviation: float, error: float, spare: float = 0.0) -> tuple[Side | None, Side | None]:
    """That of a share of 0 or 1."""
    side = Side(spare * deviation, deviation, 0.0, error)
    return (side, None) if share == 0 else (None, side)


def _of(count: int, answers: int) -> str:
    return f"{count / answers:.1%}" if answers else "no answer"

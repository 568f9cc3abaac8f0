"""Exact binomial tails, without any library.

`at_most` and `at_least` add up probabilities from the mode's side of the tail, the largest first, each obtained
from its neighbour; the first comes from log-gamma. The relative error is that of log-gamma at n (about
n·log n·1e-16, so 1e-12 for a thousand requests).

`by_chance` is the range between two tails.

`UpperTail` follows the acceptance limit of a test as n grows by one, in constant time, which is what makes the
search for the smallest n cheap. It rests on two identities of X_n ~ Binomial(n, q):

    P(X_{n+1} <= h) = P(X_n <= h) - q · P(X_n = h)
    P(X_{n+1} = h)  = P(X_n = h) · (n + 1)(1 - q) / (n + 1 - h)
"""

from __future__ import annotations

import math


def probability(count: int, n: int, share: float) -> float:
    """P(X = count) for X ~ Binomial(n, share)."""
    if not 0 <= count <= n:
        return 0.0
    if share <= 0 or share >= 1:
        return float(count == (n if share >= 1 else 0))
    ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    return math.exp(ways + count * math.log(share) + (n - count) * math.log1p(-share))


def at_most(count: int, n: int, share: float) -> float:
    """P(X <= count) for X ~ Binomial(n, share)."""
    if count >= n:
        return 1.0
    if share <= 0 or share >= 1:
        return float(share <= 0 <= count)
    if count > n * share:
        return 1.0 - at_least(count + 1, n, share)
    term = total = probability(count, n, share)
    odds = (1 - share) / share
    for k in range(count, 0, -1):
        term *= k / (n - k + 1) * odds
        total += term
        if term < total * 1e-17:
            break
    return total


def at_least(count: int, n: int, share: float) -> float:
    """P(X >= count) for X ~ Binomial(n, share): the failures are at most n - count."""
    return at_most(n - count, n, 1 - share)


def by_chance(n: int, share: float, alarm: float) -> tuple[int, int]:
    """The fewest and the most of n that chance explains: with a probability of `alarm` at most it is outside of
    this range, half of that on each side."""
    least = most = round(n * share)
    while least > 0 and at_most(least - 1, n, share) > alarm / 2:
        least -= 1
    while most < n and at_least(most + 1, n, share) > alarm / 2:
        most += 1
    return least, most


class UpperTail:
    """The upper limit of a category's count, while n grows.

    `limit` is the largest count h with P(X <= h | wrong) <= error: the widest range that still notices the wrong
    share. `rejected` is P(X > h | right): how often a right share lands above it. It is 1 at n = 0 and falls, in
    saw teeth, as n grows.

    `right` < `wrong`, 0 < right < 1. A `wrong` of 1 is noticed by demanding one count less than n.
    """

    __slots__ = ("_accepted", "_at_right", "_at_wrong", "_error", "_right", "_wrong", "limit", "n", "rejected")

    def __init__(self, right: float, wrong: float, error: float) -> None:
        self._right, self._wrong, self._error = right, wrong, error
        self.limit = 0
        if wrong >= 1:
            self.n = 1
            self._at_wrong = self._accepted = 0.0
        else:
            # Before this n even a count of 0 is too likely with the wrong share: no limit exists.
            self.n = math.ceil(math.log(error) / math.log1p(-wrong))
            self._at_wrong = self._accepted = (1 - wrong) ** self.n
        self._at_right = (1 - right) ** self.n
        self.rejected = 1 - self._at_right
        self._raise()

    def grow(self) -> None:
        """From n to n + 1."""
        left = (self.n + 1) / (self.n + 1 - self.limit)
        self._accepted -= self._wrong * self._at_wrong
        self._at_wrong *= left * (1 - self._wrong)
        self.rejected += self._right * self._at_right
        self._at_right *= left * (1 - self._right)
        self.n += 1
        self._raise()

    def _raise(self) -> None:
        if self._wrong >= 1:
            steps = self.n - 1 - self.limit
            for _ in range(steps):
                self._step(0.0)
            return
        odds = self._wrong / (1 - self._wrong)
        while True:
            following = self._at_wrong * (self.n - self.limit) / (self.limit + 1) * odds
            if self._accepted + following > self._error:
                return
            self._step(following)

    def _step(self, following: float) -> None:
        self._at_right *= (self.n - self.limit) / (self.limit + 1) * self._right / (1 - self._right)
        self.rejected -= self._at_right
        self.limit += 1
        self._at_wrong = following
        self._accepted += following

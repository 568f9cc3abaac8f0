from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from math import comb

import pytest

from workshop.traffic.binomial import UpperTail, at_least, at_most, by_chance, probability


def exact(n: int, share: Fraction) -> list[Fraction]:
    """P(X = k) for every k, in whole numbers."""
    return [comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 20), Fraction(97, 100)])
@pytest.mark.parametrize("n", [1, 2, 17, 120])
def test_tails_equal_brute_force_sums_to_twelve_digits(n: int, share: Fraction) -> None:
    terms = exact(n, share)
    for k, below in enumerate(accumulate(terms)):
        assert probability(k, n, float(share)) == pytest.approx(float(terms[k]), rel=1e-12)
        assert at_most(k, n, float(share)) == pytest.approx(float(below), rel=1e-12)
        assert at_least(k, n, float(share)) == pytest.approx(float(1 - below + terms[k]), rel=1e-12)


def test_tails_of_a_thousand_requests_equal_brute_force_sums() -> None:
    n, share = 1010, Fraction(3, 5)
    sums = list(accumulate(exact(n, share)))
    for k in (500, 557, 606, 700):
        assert at_most(k, n, 0.6) == pytest.approx(float(sums[k]), rel=1e-11)
        assert at_least(k + 1, n, 0.6) == pytest.approx(float(1 - sums[k]), rel=1e-11)


@pytest.mark.parametrize(
    ("count", "n", "share", "below", "above"),
    [(0, 5, 0, 1, 1), (1, 5, 0, 1, 0), (-1, 5, 0, 0, 1), (5, 5, 1, 1, 1), (4, 5, 1, 0, 1), (-1, 5, 0.5, 0, 1)],
)
def test_shares_of_0_and_1_are_certain(count: int, n: int, share: float, below: float, above: float) -> None:
    assert at_most(count, n, share) == below
    assert at_least(count, n, share) == above


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(1, 20), Fraction(97, 100), Fraction(1)])
@pytest.mark.parametrize("n", [0, 1, 17, 120])
def test_what_chance_explains_is_all_but_two_tails(n: int, share: Fraction) -> None:
    half, below = Fraction(1, 200), [Fraction(0), *accumulate(exact(n, share))]
    least, most = by_chance(n, float(share), 2 * float(half))
    assert below[least] <= half < below[least + 1]
    assert 1 - below[most + 1] <= half < 1 - below[most]


@pytest.mark.parametrize(("right", "wrong"), [(0.5, 0.6), (0.05, 0.09), (0.95, 0.99), (0.9, 1.0), (0.01, 0.9)])
def test_the_followed_tail_equals_the_direct_sum_at_every_n(right: float, wrong: float) -> None:
    tail = UpperTail(right, wrong, 0.001)
    before = tail.n - 1
    assert before == 0 or at_most(0, before, wrong) > 0.001, "a limit existed before the first n"
    while tail.n < 600:
        assert at_most(tail.limit, tail.n, wrong) <= 0.001 * (1 + 1e-9)
        assert tail.limit == tail.n or at_most(tail.limit + 1, tail.n, wrong) > 0.001 * (1 - 1e-9)
        assert tail.rejected == pytest.approx(at_least(tail.limit + 1, tail.n, right), rel=1e-9, abs=1e-12)
        tail.grow()


@pytest.mark.parametrize("n", [1, 5])
def test_a_share_of_none_or_all_leaves_nothing_to_chance(n: int) -> None:
    for count in range(n + 1):
        assert probability(count, n, 0.0) == (count == 0)
        assert probability(count, n, 1.0) == (count == n)
        assert at_most(count, n, 0.0) == 1.0
        assert at_most(count, n, 1.0) == (count == n)
        assert at_least(count, n, 0.0) == (count == 0)
        assert at_least(count, n, 1.0) == 1.0

"""What becomes of product pages while ratings is late, or answers with errors, and of which share of them.

It follows from how long each service waits for the next one: productpage gives reviews 3 s and tries once more;
reviews v2 waits 10 s for ratings, so it is itself given up on; v3 waits 2.5 s, in time to say that there are no
stars; v1 does not ask. Each call to ratings is delayed or not independently of all others, so with a share p of
them late, a page of v2 has its stars at once (1 - p), at the second try (p - p²) or no reviews at all (p²).

A wait never ends early but may end late on a busy machine: pages are told apart by times just below the waits. The
deviation noticed is 18 points: 420 pages or so, as each may take 6 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from labs.istio.stars import NO_STARS, SOMEBODY_ELSE, User, login, page_with
from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.runbook.options import Duration, Number
from workshop.traffic.probe import Category, Probe

if TYPE_CHECKING:
    from workshop.runbook.run import Run

PRODUCTPAGE, V3 = 3.0, 2.5
"""Seconds that productpage gives each of its two tries, and that reviews v3 gives ratings."""
DEVIATION = 0.18
RARE = 0.01
PER_SECOND = 200
"""About how many pages are asked for in a second: how many at the same time grows with how long they take, so that
a page that waits for nothing is not kept waiting by the others."""

NO_REVIEWS = r"product reviews are currently unavailable"
NO_RATINGS = r"(?s)^(?=.*Reviews served by)(?=.*Ratings service is currently unavailable)"


@dataclass(frozen=True, slots=True)
class Delay(Duration):
    """One whose effect is told from that of a wait: not the same but for chance, and not at once."""

    def problem(self, given: str | bool | None) -> str:
        if found := Duration.problem(self, given):
            return found
        close = 0.9 * V3 <= self.of({self.name: given}) <= 1.1 * PRODUCTPAGE
        why = f"productpage waits {PRODUCTPAGE:g}s and reviews v3 {V3:g}s: which comes first would be chance"
        return f"it is not from {0.9 * V3:g}s to {1.1 * PRODUCTPAGE:g}s, as {why}" if close else ""


DELAY = Delay("delay", "How long a delayed call to ratings waits.", "7s", low=1.0, high=60.0)
PERCENT = Number("percent", "Which percentage of the calls is delayed.", "50")
USER = User("user", "Whose pages are measured, and who alone gets errors in the end.", "jason")


def _no_reviews(label: str = "no reviews", after: float = 0.0) -> Category:
    return Category(label, NO_REVIEWS, "yellow", within=(0.95 * after, inf))


def undelayed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages before."""
    return (_probe(run, "before", *late_for_v2(DELAY.of(run.options), 0.0)),)


def delayed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages while ratings is late."""
    return (_probe(run, "with the delay", *late_for_v2(DELAY.of(run.options), _share(run))),)


def fixed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages with the fix, while ratings is as late as before."""
    return (_probe(run, "with the fix", *late_for_v1_and_v3(DELAY.of(run.options), _share(run))),)


def aborted(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages with errors of ratings, and somebody else's."""
    v1 = Category("v1, no stars", NO_STARS, "bright_black")
    errors = (v1, Category("v3, no ratings", NO_RATINGS, "magenta"), _no_reviews())
    good = (v1, Category("v3, red stars", page_with("red"), "red"), _no_reviews())
    user, other = USER.of(run.options), SOMEBODY_ELSE
    return (
        _pages(f"Pages of {user}", user, errors, (0.5, 0.5, 0.0)),
        _pages(f"Pages of {other}", other, good, (0.5, 0.5, 0.0)),
    )


def late_for_v2(delay: float, share: float) -> tuple[tuple[Category, ...], tuple[float, ...], float]:
    """Categories of v2's pages, their shares, and seconds that a page takes on average."""
    black, first = page_with("black"), min(delay, PRODUCTPAGE)
    at_once = Category("stars at once", black, "white", within=(0.0, 0.95 * first))
    late = Category(f"stars after {first:g} s", black, "cyan", within=(0.95 * first, 1.95 * PRODUCTPAGE))
    if delay < PRODUCTPAGE:
        return (at_once, late, _no_reviews()), (1 - share, share, 0.0), share * delay
    twice = share * share
    missing = _no_reviews(f"no reviews, {2 * PRODUCTPAGE:g} s", 2 * PRODUCTPAGE)
    mean = (share + twice) * PRODUCTPAGE
    if 0 < twice < RARE:  # it would take ten thousands of pages to be sure of those
        either = Category("later, or none", f"{black}|{NO_REVIEWS}", "yellow", within=(0.95 * PRODUCTPAGE, inf))
        return (at_once, either), (1 - share, share), mean
    return (at_once, late, missing), (1 - share, share - twice, twice), mean


def late_for_v1_and_v3(delay: float, share: float) -> tuple[tuple[Category, ...], tuple[float, ...], float]:
    """The same of pages half of which are v1's and half v3's."""
    wait = min(delay, V3)
    late = (
        Category(f"no ratings, {wait:g} s", NO_RATINGS, "magenta", within=(0.95 * wait, inf))
        if delay > V3
        else Category(f"red stars, {wait:g} s", page_with("red"), "magenta", within=(0.95 * wait, inf))
    )
    categories = (
        Category("no stars at once", NO_STARS, "bright_black", within=(0.0, 0.95 * wait)),
        Category("red stars at once", page_with("red"), "red", within=(0.0, 0.95 * wait)),
        late,
        _no_reviews(),
    )
    return categories, (0.5, (1 - share) / 2, share / 2, 0.0), share / 2 * wait


def _share(run: Run) -> float:
    return PERCENT.of(run.options) / 100


def _probe(
    run: Run, when: str, categories: tuple[Category, ...], shares: tuple[float, ...], mean: float
) -> ThroughIngress:
    user = USER.of(run.options)
    return _pages(f"Pages of {user} {when}", user, categories, shares, mean, latencies=True)


def _pages(
    title: str,
    user: str,
    categories: tuple[Category, ...],
    shares: tuple[float, ...],
    mean: float = 0.0,
    latencies: bool = False,
) -> ThroughIngress:
    """`mean` is how long a page takes, in seconds, besides what it always takes."""
    at_once = max(16, min(256, round(PER_SECOND * mean)))
    return through_ingress(
        Probe(
            title,
            "/productpage",
            categories,
            shares,
            DEVIATION,
            login=login(user),
            concurrency=at_once,
            latencies=latencies,
        )
    )

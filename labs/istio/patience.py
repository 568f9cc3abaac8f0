"""What becomes of product pages while ratings is late, or answers with errors, and of which share of them.

It follows from how long each service waits for the next one: productpage gives reviews 3 s and tries once more;
reviews v2 waits 10 s for ratings, so it is itself given up on; v3 waits 2.5 s, in time to say that there are no
stars; v1 does not ask. Each call to ratings is delayed or not independently of all others, so with a share p of
them late, a page of v2 has its stars at once (1 - p), at the second try (p - p²) or no reviews at all (p²).

A wait never ends early but may end late on a busy machine: pages are told apart by times just below the waits, and
belong to no category when they took longer than a wait by half of one. Beside them, the book's details are asked
for all the while: productpage and the gateway in front of it are the same, and no fault touches them. The
deviation noticed is 18 points: 480 pages or so, as each may take 6 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from labs.istio.stars import NO_STARS, SOMEBODY_ELSE, STARS_TELL, User, login, page_with
from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.runbook.options import Duration, Number
from workshop.traffic.probe import Category, Probe
from workshop.traffic.side_requests import Control

if TYPE_CHECKING:
    from workshop.runbook.run import Run

PRODUCTPAGE, V3 = 3.0, 2.5
"""Seconds that productpage gives each of its two tries, and that reviews v3 gives ratings."""
DEVIATION = 0.18
RARE = 0.01
AT_ONCE = 256
"""The most pages under way at once, nearly all of them waiting."""
WITHIN = 240.0
"""Seconds for all of a measurement, when the machine lets few pages wait at once."""
DETAILS = "/api/v1/products/0"

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


def undelayed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages before."""
    return (_timed(run, "before", late_for_v2(DELAY.of(run.options), 0.0)),)


def delayed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages while ratings is late."""
    return (_timed(run, "with the delay", late_for_v2(DELAY.of(run.options), _share(run))),)


def fixed(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages with the fix, while ratings is as late as before."""
    return (_timed(run, "with the fix", late_for_v1_and_v3(DELAY.of(run.options), _share(run))),)


def aborted(run: Run) -> tuple[ThroughIngress, ...]:
    """The user's pages with errors of ratings, and somebody else's."""
    v1 = Category("v1, no stars", NO_STARS, "bright_black")
    errors = (v1, Category("v3, no ratings", NO_RATINGS, "magenta"), _no_reviews())
    good = (v1, Category("v3, red stars", page_with("red"), "red"), _no_reviews())
    user, other = USER.of(run.options), SOMEBODY_ELSE
    return (
        _pages(f"Pages of {user}", user, Pages(errors, (0.5, 0.5, 0.0), _control(PRODUCTPAGE))),
        _pages(f"Pages of {other}", other, Pages(good, (0.5, 0.5, 0.0), _control(PRODUCTPAGE))),
    )


@dataclass(frozen=True, slots=True)
class Pages:
    """What becomes of pages, which share of them, and how slow the machine may be for that to be told."""

    categories: tuple[Category, ...]
    shares: tuple[float, ...]
    control: Control


def late_for_v2(delay: float, share: float) -> Pages:
    """Of v2's pages, with a share of the calls to ratings delayed by so many seconds."""
    black, first = page_with("black"), min(delay, PRODUCTPAGE)
    at_once = Category("stars at once", black, "white", within=_at_once(first))
    late = Category(f"stars after {first:g} s", black, "cyan", within=_late(first))
    control = _control(first)
    if delay < PRODUCTPAGE:
        return Pages((at_once, late, _no_reviews()), (1 - share, share, 0.0), control)
    twice = share * share
    if 0 < twice < RARE:  # it would take ten thousands of pages to be sure of those
        either = Category("later, or none", f"{black}|{NO_REVIEWS}", "yellow", within=(0.95 * first, inf))
        return Pages((at_once, either), (1 - share, share), control)
    missing = Category(f"no reviews, {2 * first:g} s", NO_REVIEWS, "yellow", within=_late(first, 2))
    return Pages((at_once, late, missing), (1 - share, share - twice, twice), control)


def late_for_v1_and_v3(delay: float, share: float) -> Pages:
    """The same of pages half of which are v1's and half v3's."""
    wait = min(delay, V3)
    body, said = (NO_RATINGS, "no ratings") if delay > V3 else (page_with("red"), "red stars")
    categories = (
        Category("no stars at once", NO_STARS, "bright_black", within=_at_once(wait)),
        Category("red stars at once", page_with("red"), "red", within=_at_once(wait)),
        Category(f"{said}, {wait:g} s", body, "magenta", within=_late(wait)),
        _no_reviews(),
    )
    control = _control(wait)
    return Pages(categories, (0.5, (1 - share) / 2, share / 2, 0.0), control)


def _share(run: Run) -> float:
    return PERCENT.of(run.options) / 100


def _no_reviews() -> Category:
    return Category("no reviews", NO_REVIEWS, "yellow")


def _at_once(wait: float) -> tuple[float, float]:
    return 0.0, 0.5 * wait


def _late(wait: float, waits: int = 1) -> tuple[float, float]:
    """From just below so many waits to half of one above."""
    return 0.95 * wait * waits, (waits + 0.5) * wait


def _control(wait: float) -> Control:
    """A page that took longer than its waits by half of one is of no category, and one that took twice as much is
    of a wrong one. It makes three calls, one after the other, and the control one: so a third of that half."""
    return Control(DETAILS, 0.5 * wait / 3, '"author"')


def _timed(run: Run, when: str, split: Pages) -> ThroughIngress:
    user = USER.of(run.options)
    return _pages(f"Pages of {user} {when}", user, split, latencies=True)


def _pages(title: str, user: str, split: Pages, latencies: bool = False) -> ThroughIngress:
    return through_ingress(
        Probe(
            title,
            "/productpage",
            split.categories,
            split.shares,
            DEVIATION,
            login=login(user),
            concurrency=AT_ONCE,
            within=WITHIN,
            latencies=latencies,
            control=split.control,
            telling=STARS_TELL,
        )
    )

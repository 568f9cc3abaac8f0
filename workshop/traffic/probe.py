"""Measured traffic, as a lab declares it: where to send requests, how to tell the answers apart, what to expect.

Declarations only, as `invoke --list` imports this module; `measuring` does what they say.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.results import Hint, Verdict
from workshop.traffic.side_requests import Control, Login

if TYPE_CHECKING:
    from workshop.runbook.run import Run
    from workshop.traffic.load import Load
    from workshop.traffic.sequential import Sequential


TRIES = 3
"""How many times a probe with a control is measured while nothing can be told."""

OTHER = "other answers"

_ROUNDING = 1e-9
_COUNTED, _TIMED = 100, 10
"""How many answers a person is told to count, and to wait for where time tells them apart."""


@dataclass(frozen=True, slots=True)
class Category:
    """Answers of one kind: of this `status`, with a body that has the regular expression or passes the test.

    `within` also asks for an answer that took so many seconds: from the first bound up to, but not including, the
    second (which may be infinite). A wait never ends early but may end late on a busy machine: bounds belong just
    below a wait and well above it, and what comes in between is better of no category than of a wrong one: 0 to 1.5
    s and 2.8 to 4.5 s for "at once" and "after 3 s".

    Raises ValueError for bounds that no time is between.
    """

    label: str
    body: str | Callable[[str], bool]
    colour: str = ""
    status: int = 200
    within: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.within is not None and not 0 <= self.within[0] < self.within[1]:
            raise ValueError(f"category {self.label!r}: no time is between {self.within[0]} and {self.within[1]} s")

    def matches(self, status: int, body: str, seconds: float) -> bool:
        return (not self.within or self.within[0] <= seconds < self.within[1]) and self.fits(status, body)

    def fits(self, status: int, body: str) -> bool:
        """Whenever it came."""
        if status != self.status:
            return False
        return re.search(self.body, body) is not None if isinstance(self.body, str) else self.body(body)


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests to `path` and the share of them that each category is expected to get.

    `expected` are shares in the order of `categories`, adding up to 1. `deviation` is the smallest one that must
    be noticed in any category (0.10 is ten percentage points); it decides how many are enough. An answer of no
    category, or of several, is an error; with a control one of status 200 whose body fits none of them is of the
    category OTHER, of which none is expected, as no slowness explains it. Times are in seconds: `visible_within`
    for the change to arrive, `within` for the measurement as a whole, `request_timeout` for each request.
    `latencies` asks for the histogram as well. `telling` is an extended regular expression (grep -E) whose first
    match in an answer shows a person which category it is of; one without a match shows as its HTTP status. `page`
    is what a person opens instead of `path`, where that is for programs.

    Where time tells answers apart, or may change them, a slow machine must not decide: `control` says how it
    shows. Answers that it may have changed are lost, and what is inconclusive for such reasons is measured again,
    with fewer at once, `tries` times in all. With a control `concurrency` is the most that are under way at once;
    without one it is how many are at first (`pace`).

    Shares may come from a lab's options, so all figures are checked here. Raises ValueError.
    """

    title: str
    path: str
    categories: tuple[Category, ...]
    expected: tuple[float, ...]
    deviation: float = 0.10
    headers: tuple[tuple[str, str], ...] = ()
    login: Login | None = None
    concurrency: int = 16
    request_timeout: float = 15.0
    visible_within: float = 30.0
    within: float = 120.0
    latencies: bool = False
    control: Control | None = None
    telling: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        wrong = self._wrong()
        if wrong:
            raise ValueError(f"probe {self.title!r}: {wrong}")

    def _wrong(self) -> str:
        labels = {category.label for category in self.categories}
        if len(self.expected) != len(self.categories) or len(labels - {OTHER}) != len(self.categories):
            return "each category needs a label of its own and a share"
        if not all(0 <= share <= 1 for share in self.expected) or abs(math.fsum(self.expected) - 1) > _ROUNDING:
            return f"the expected shares must be from 0 to 1 and add up to 1, not {self.expected}"
        if not 0 < self.deviation < 1:
            return f"the deviation to notice must be between 0 and 1, not {self.deviation}"
        if self.concurrency < 1:
            return f"the concurrency must be 1 or more, not {self.concurrency}"
        if not all(seconds > 0 for seconds in (self.request_timeout, self.visible_within, self.within)):
            return "times must be more than 0 s"
        if self.control is None and any(it.within for it in self.categories):
            return "answers are told apart by time, and no control says how slow the machine is"
        if self.control is not None and not self.control.within > 0:
            return f"a control cannot come within {self.control.within:g} s"
        late = [it.label for it in self.categories if it.within and it.within[0] >= self.request_timeout]
        return f"{late[0]!r} can have no answer within {self.request_timeout:g} s" if late else ""

    def load(self, base_url: str) -> Load:
        from workshop.traffic.load import Load

        return Load(
            base_url.rstrip("/") + self.path,
            self.classify,
            self.concurrency,
            self.headers,
            self.login,
            self.control,
            self.request_timeout,
            self.within,
        )

    def test(self) -> Sequential:
        """Raises ValueError for a deviation so small that nobody would wait for the measurement."""
        from workshop.traffic.sequential import sequential

        shares = {it.label: share for it, share in zip(self.categories, self.expected, strict=True)}
        return sequential({**shares, OTHER: 0.0} if self.control else shares, self.deviation, self.tries)

    @property
    def tries(self) -> int:
        return TRIES if self.control else 1

    def classify(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        text = body.decode(errors="replace")
        found = [category.label for category in self.categories if category.matches(status, text, seconds)]
        if self.control and status == 200 and not any(category.fits(status, text) for category in self.categories):
            return OTHER
        return found[0] if len(found) == 1 else None

    def commands(self, base_url: str) -> tuple[str, ...]:
        """What a person types to see it: one answer, or a hundred that are counted; ten times, where time tells."""
        headers = "".join(f"-H '{name}: {value}' " for name, value in self.headers)
        cookies = "" if self.login is None else "-b $COOKIES "
        curl, url = f"curl -s {cookies}{headers}", f"{base_url}{self.path}"
        before = () if self.login is None else self.login.commands(base_url)
        if self.control is not None and any(it.within for it in self.categories):
            timed = f"{curl}-o /dev/null -w '%{{time_total}} s\\n' {url}"
            return (*before, *self._expected(), f"for i in $(seq {_TIMED}); do {timed}; done")
        if not self.telling:
            return (*before, f"{curl}{url}")
        told = f"grep -oE {shlex.quote(f'{self.telling}|HTTP [0-9]+')} | head -n 1"
        one = f"{curl}-w 'HTTP %{{http_code}}' {url}"
        counted = f"for i in $(seq {_COUNTED}); do {one} | {told}; done | sort | uniq -c"
        return (*before, *self._expected(), counted)

    def look_at(self, base_url: str) -> Hint:
        """Where a person sees it: in a browser, unless that cannot send the headers."""
        about = f"{self.title if self.login is None else f'Log in as {self.login.who}'}: {self._shares()}"
        if self.headers:
            return Hint("call", called(f"{base_url}{self.path}", self.headers), about)
        return Hint("open", f"{base_url}{self.page or self.path}", about)

    def seen(self) -> str:
        return f"{self.title}: {self._shares()}"

    def _shares(self) -> str:
        shares = [(category.label, share) for category, share in zip(self.categories, self.expected, strict=True)]
        return "; ".join(
            f"{share * 100:.3g} % {label}" if len(shares) > 1 else label for label, share in shares if share
        )

    def _expected(self) -> tuple[str, ...]:
        """A line a share: a comment that is wrapped does not go on in a shell."""
        shares = zip(self.categories, self.expected, strict=True)
        said = (f"# expected: {share:.0%} {category.label}" for category, share in shares if share)
        return ("sleep 2  # mostly enough for a change to reach all proxies", *said)

    async def measure(self, run: Run, base_url: str) -> Verdict:
        """Wait until the change is visible at `base_url` (scheme, host and port), then measure as `measuring` says.

        Emits `events.Waiting` while the change is not visible, then `events.Progress`.
        """
        from workshop.traffic.held_back import HeldBack
        from workshop.traffic.measuring import Measuring

        colours = {category.label: category.colour for category in self.categories}
        timed = [(category.label, category.within) for category in self.categories if category.within]
        held = HeldBack(self.classify, {label: within[0] for label, within in timed})
        load, test = replace(self.load(base_url), classify=held.classify), self.test()
        # In the later half of its time, what nothing delays is on its way to be taken for something else.
        prompt = {label: within[1] / 2 for label, within in timed if not within[0]}
        measuring = Measuring(
            self.title, load, test, colours, self.tries, self.visible_within, self.latencies, prompt
        )
        try:
            return await measuring.measure(run)
        finally:
            for began, ended in held.moments():
                run.stopwatch.was("delays", began, ended)


def called(url: str, headers: tuple[tuple[str, str], ...]) -> str:
    """One request, as a person types it."""
    given = "".join(f"-H {shlex.quote(f'{name}: {value}')} " for name, value in headers)
    return f"curl -s {given}{shlex.quote(url)}"

"""How many requests to send before the next look at them, over how many connections: by what the service serves.

A look costs a moment in which nothing is under way, so a fast service is sent in one go what it serves meanwhile,
and a slow one few requests at a time: there each is worth a look. And a service that answers slowly because it
waits (for a database, say) serves more over more connections, while one that is busy does not. So where the rest
would take SLOW seconds, connections are doubled as long as that helps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from workshop.traffic.load import Load, Result, Trouble

LOOK = 0.1
"""Seconds of sending after which a look is taken, once there may be a verdict, unless a look takes longer."""

PARTS = 4
"""However fast a service is: with a look after each quarter of the least that may be enough, few are too many."""

SLOW = 1.0
"""Seconds: until then nothing is worth more connections, nor a look that is known to be too early."""

HELPS = 1.2
"""So many times as many answers a second are more than chance: with a second's worth of a dozen."""

MOST = 128
"""Connections that are asked of a service at most."""


@dataclass(slots=True)
class Pace:
    """`rate` is in answers a second, 0 while unknown; `timeout` seconds are allowed for each, `look` taken by a
    look."""

    connections: int
    timeout: float
    rate: float = 0.0
    look: float = LOOK
    _before: tuple[int, float] | None = None
    _grows: bool = True

    def size(self, sent: int, least: int, most: int) -> int:
        """How many more to send: `least` before there may be a verdict, `most` in all."""
        if sent >= least:
            wanted = max(min(int(self.rate * self.look), least // PARTS), self.connections)
        elif self.rate:
            wanted = min(least - sent, max(int(self.rate * SLOW), 2 * self.connections))
        else:
            wanted = self.connections
        return max(1, min(most - sent, wanted))

    def saw(self, result: Result, left: int) -> None:
        """What the last ones came to, with so many `left` to send."""
        done = result.answers + result.failed
        if not done or result.seconds <= 0:
            return
        self.rate = done / result.seconds
        if self._before is not None:
            connections, rate = self._before
            self._before = None
            if self.rate < HELPS * rate:
                self.connections, self._grows = connections, False
        # A request that waits for more than a part of its time would be lost to the next slow moment.
        bearable = 4 * 2 * self.connections / self.rate < self.timeout
        enough = done >= 2 * self.connections
        if self._grows and enough and bearable and 2 * self.connections <= MOST and left / self.rate > SLOW:
            self._before = (self.connections, self.rate)
            self.connections *= 2

    def load(self, load: Load) -> Load:
        return replace(load, concurrency=self.connections)


def merged(first: Result, then: Result) -> Result:
    """Of requests that were sent one after the other."""
    errors = {kind: Trouble(it.example, it.count) for kind, it in first.errors.items()}
    for kind, it in then.errors.items():
        errors.setdefault(kind, Trouble(it.example)).count += it.count
    labels = {**first.counts, **then.counts}
    return Result(
        {label: first.counts.get(label, 0) + then.counts.get(label, 0) for label in labels},
        errors,
        sorted([*first.latencies, *then.latencies]),
        first.seconds + then.seconds,
    )

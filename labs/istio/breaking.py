"""What is to be expected of a breaker with given limits: of one, two and three connections that call httpbin at the
same moments.

A request that finds no connection open waits for one, and with one request per connection that is every request.
So c calls at the same moment are all served when c may wait. At most c - pending of them are refused, when none of
them is on its way as the last one arrives; at least c - pending - connections, as only so many can be in the proxy
at all. In between it depends on how close together the calls come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workshop.kubernetes.proofs import Proof
from workshop.mesh.breaker import Ejects, Expected, HasLimits, Limits, Loads, Target
from workshop.mesh.fortio import Fortio
from workshop.runbook.options import Number

if TYPE_CHECKING:
    from workshop.runbook.run import Run

MOST = 64
CONNECTIONS = Number("connections", "The most connections to httpbin (maxConnections).", "1", low=1, high=MOST)
PENDING = Number("pending", "The most requests that wait (http1MaxPendingRequests).", "1", low=1, high=MOST)
PER_CONNECTION = Number(
    "requests-per-connection",
    "The most requests on one connection (maxRequestsPerConnection).",
    "1",
    low=1,
    high=1000,
)

LIFTED = Limits(1000, 1000)
HTTPBIN = Target(Fortio("primary", "deploy/fortio"), "httpbin", 8000)
PATH = "/delay/0.005"
"""5 ms, so that the last of several calls arrives while the first one is still served."""

FEW, MANY = 100, 200
"""Calls of each connection: that all are served shows in fewer than how shares compare. When two connections are
refused a fifth of their calls and three a third, it takes these many to say that it is more."""

UNLIMITED = Loads(HTTPBIN, PATH, (Expected(3, FEW, all=True),))


def limited(run: Run) -> tuple[Proof, ...]:
    """With the limits that the options ask for."""
    connections, pending = CONNECTIONS.of(run.options), PENDING.of(run.options)
    expected = expectations(connections, pending, PER_CONNECTION.of(run.options))
    return (
        HasLimits(HTTPBIN, Limits(connections, pending)),
        Loads(HTTPBIN, PATH, expected),
        Ejects(HTTPBIN, PATH),
    )


def lifted(run: Run) -> tuple[Proof, ...]:
    return (HasLimits(HTTPBIN, LIFTED), UNLIMITED)


def expectations(connections: int, pending: int, per_connection: int) -> tuple[Expected, ...]:
    found: list[Expected] = []
    for count in (1, 2, 3):
        surely, before = count > connections + pending, count - 1 > connections + pending
        found.append(
            Expected(
                count,
                FEW if count <= pending else MANY,
                all=count <= pending,
                some=surely or (per_connection == 1 and 1 == pending < count),
                more=surely and not before,
            )
        )
    return tuple(found)

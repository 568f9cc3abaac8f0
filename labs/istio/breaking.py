"""What is to be expected of a breaker with given limits: of one, two and three connections that call httpbin at the
same moments.

A request that finds no connection open waits for one, and with one request per connection that is every request.
So c calls at the same moment are all served when c may wait. At most c - pending of them are refused, when none of
them is on its way as the last one arrives; at least c - pending - connections, as only so many can be in the proxy
at all. In between it depends on how close together the calls come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workshop.kubernetes.proofs import Proof, exec_check
from workshop.runbook.options import Number

if TYPE_CHECKING:
    from workshop.mesh.breaker import Expected, Target
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

LIFTED = 1000
PATH = "/delay/0.005"
"""5 ms, so that the last of several calls arrives while the first one is still served."""

FEW, MANY = 100, 200
"""Calls of each connection: that all are served shows in fewer than how shares compare. When two connections are
refused a fifth of their calls and three a third, it takes these many to say that it is more."""


def unlimited(run: Run) -> tuple[Proof, ...]:
    """Before there is any limit."""
    return (
        exec_check(
            "fortio curl -quiet -curl-stdout-headers http://httpbin:8000/get",
            r"HTTP/1\.1 (200 OK)",
            namespace="primary",
            workload="deploy/fortio",
            container="fortio",
        ),
        _all_served(),
    )


def limited(run: Run) -> tuple[Proof, ...]:
    """With the limits that the options ask for."""
    from workshop.mesh.breaker import Ejects, HasLimits, Limits, Loads

    connections, pending = CONNECTIONS.of(run.options), PENDING.of(run.options)
    expected = expectations(connections, pending, PER_CONNECTION.of(run.options))
    httpbin = _httpbin()
    return (
        HasLimits(httpbin, Limits(connections, pending)),
        Loads(httpbin, PATH, expected),
        Ejects(httpbin, PATH),
    )


def lifted(run: Run) -> tuple[Proof, ...]:
    from workshop.mesh.breaker import HasLimits, Limits

    return (HasLimits(_httpbin(), Limits(LIFTED, LIFTED)), _all_served())


def _httpbin() -> Target:
    from workshop.mesh.breaker import Target
    from workshop.mesh.fortio import Fortio

    return Target(Fortio("primary", "deploy/fortio"), "httpbin", 8000)


def _all_served() -> Proof:
    from workshop.mesh.breaker import Expected, Loads

    return Loads(_httpbin(), PATH, (Expected(3, FEW, all=True),))


def expectations(connections: int, pending: int, per_connection: int) -> tuple[Expected, ...]:
    from workshop.mesh.breaker import Expected

    found: list[Expected] = []
    for count in (1, 2, 3):
        surely, before = count > connections + pending, count - 1 > connections + pending
        found.append(
            Expected(
                count,
                FEW if count <= pending else MANY,
                all=count <= pending,
                some=surely or (per_connection == 1 and 1 == pending < count),
                surely=surely,
                more=surely and not before,
            )
        )
    return tuple(found)

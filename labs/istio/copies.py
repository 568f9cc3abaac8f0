"""Who gets the copies of HelloWorld's requests, and how they are counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.istio.shift import VERSIONS
from workshop.mesh.received import Mirrored, Receiver
from workshop.runbook.options import Number

if TYPE_CHECKING:
    from workshop.runbook.run import Run

SHARE = Number("share", "Which percentage of the requests is copied.", "50", low=1)

HERE = Receiver("v2", "primary", "app=helloworld,version=v2", "helloworld")
THERE = Receiver("v2 in secondary", "secondary", "app=helloworld,version=v2", "helloworld", cluster="secondary")


def copied_here(run: Run) -> tuple[Mirrored, ...]:
    return (_mirrored(run, HERE),)


def copied_there(run: Run) -> tuple[Mirrored, ...]:
    """With the host name that the secondary's routes know, with -shadow after it, from copies."""
    return (_mirrored(run, THERE, ("Host", "hello.example.com")),)


def _mirrored(run: Run, receiver: Receiver, *headers: tuple[str, str]) -> Mirrored:
    v1, v2 = VERSIONS
    return Mirrored("/hello", v1, v2, receiver, SHARE.of(run.options) / 100, headers)

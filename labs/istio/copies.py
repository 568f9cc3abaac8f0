"""Who gets the copies of HelloWorld's requests, and how they are counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.istio.shift import HOST, VERSIONS
from workshop.runbook.options import Number

if TYPE_CHECKING:
    from workshop.mesh.mirroring import Mirrored
    from workshop.runbook.run import Run

SHARE = Number("share", "Which percentage of the requests is copied.", "50", low=1)


LEAST, MOST = 0.10, 0.20


def noticed(share: float) -> float:
    """The deviation of a mirrored share that must be noticed. Nobody sees the copies, so of a middling share it
    matters that there is one: not none, not all (a percentage left out), not a tenth of it. Small ones are told
    from none."""
    return max(LEAST, min(MOST, share, 1 - share))


def copied_here(run: Run) -> tuple[Mirrored, ...]:
    return (_mirrored(run, "v2", "primary"),)


def copied_there(run: Run) -> tuple[Mirrored, ...]:
    return (_mirrored(run, "v2 in secondary", "secondary", cluster="secondary"),)


def _mirrored(run: Run, label: str, namespace: str, cluster: str = "") -> Mirrored:
    from workshop.mesh.mirroring import Mirrored, Receiver

    v1, v2 = VERSIONS
    share = SHARE.of(run.options) / 100
    receiver = Receiver(label, namespace, "app=helloworld,version=v2", "helloworld", cluster)
    return Mirrored("/hello", v1, v2, receiver, share, (("Host", HOST),), noticed(share))

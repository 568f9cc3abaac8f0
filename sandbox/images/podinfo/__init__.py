"""podinfo: says who it is, in a colour of one's choice; made for trying roll-outs, good ones and bad ones."""

from __future__ import annotations

from sandbox.images.podinfo.server import PodInfo
from sandbox.images.program import Factory

PROGRAMS: dict[str, Factory] = {"podinfo": PodInfo}

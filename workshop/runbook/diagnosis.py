"""What `invoke doctor` finds, as data: the layers look, the console shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `name` is what ("vCPU quota"), `state` whether labs would succeed ("warn": not surely),
    `what` what was found, with the figures, and `next_command` what to type when it is not ok."""

    name: str
    state: Literal["ok", "warn", "fail"]
    what: str
    next_command: str = ""

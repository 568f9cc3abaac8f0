"""What a class's last task came to for a member, and what it is at now: one small file in the member's folder.

The journal has what a run did. This has what the journal cannot: tasks that are no run (a check, an adoption), what
was refused before a run began, and what is being done at this moment, for whoever watches from another process. It
is replaced as a whole each time, so that a reader never sees half of it, and it decides nothing but which members
`--failed` means.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from msgspec import DecodeError, json

from workshop.kubernetes.lease import Holder
from workshop.runbook.record import Trouble

FILE = "class.json"


@dataclass(slots=True)
class MemberRecord:
    """`task` is what was asked of the class ("run istio.canary"), `command` the whole line. `begun` and `ended` are
    seconds since the epoch. `status` is the exit status it came to, None while it is under way or when it was cut
    off: `holder` is the process that does it. `lab`, `step`, `doing` and `since` tell what that is at, `measured`
    what was measured last, and `trouble` why it failed."""

    task: str
    command: str = ""
    holder: str = ""
    begun: float = 0.0
    ended: float | None = None
    status: int | None = None
    lab: str = ""
    step: str = ""
    doing: str = ""
    since: float = 0.0
    measured: str = ""
    trouble: Trouble | None = None

    @property
    def under_way(self) -> bool:
        holder = Holder.parse(self.holder)
        return self.status is None and holder is not None and not holder.is_gone()

    @property
    def failed(self) -> bool:
        """Also what was cut off."""
        return self.status != 0 and not self.under_way


def read(folder: Path) -> MemberRecord | None:
    """None where there is none, or none that can be read."""
    try:
        return json.decode((folder / FILE).read_bytes(), type=MemberRecord)
    except (OSError, DecodeError):
        return None


def write(folder: Path, record: MemberRecord) -> None:
    """Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{FILE}.{os.getpid()}"
    try:
        draft.write_bytes(json.encode(record))
        draft.replace(folder / FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise

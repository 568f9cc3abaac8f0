"""A command at a terminal of its own, and who types there."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HANGS = 120
"""Seconds after which what is waited for is not going to come, on a machine however busy."""


def at_terminal(
    command: Sequence[str], keys: Sequence[tuple[str, str]], *, environment: Mapping[str, str], folder: Path
) -> tuple[int, str]:
    """Its exit status and what was seen. Each line is typed once the text before it is there, behind what was seen
    when the one before was typed."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # else ignored, where the tests run behind a script's `&`
        os.chdir(folder)
        os.execve(command[0], list(command), dict(environment))  # noqa: S606
    seen, behind, waiting = "", 0, list(keys)
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        if waiting and waiting[0][0] in seen[behind:]:
            behind = len(seen)
            os.write(terminal, f"{waiting.pop(0)[1]}\r".encode())
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece.decode(errors="replace")
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen

"""Standard output and error of this process, when they cannot be written: a full disk, closed (`>&-`), a terminal
that is gone.

Nothing here raises then. What cannot be written is dropped, so a run that has begun goes on to its end, and in the
end standard error says that the output is lost, and why (`settled`); the exit status is the task's, or 2 where that
was 0. A pipe that nobody reads any more is another thing: that is no error, and its exception ends what only lists.

This module is imported by every `invoke`, also to list.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

from workshop.runbook.errors import UsageError

_CAUSES = {
    errno.EBADF: "it was closed before the workshop began (>&-)",
    errno.ENOSPC: "the disk that it is written to is full",
    errno.EDQUOT: "the disk that it is written to is full for this user",
    errno.EIO: "the terminal is gone, or the disk is broken",
}

READ_NO_MORE = 141
"""As a shell sees it of a program that SIGPIPE ended."""


class Output(io.TextIOWrapper):
    """One of the two. `lost` says why nothing is written any more; `closed_before` says that it never was there."""

    lost: OSError | None = None
    closed_before = False

    def write(self, text: str) -> int:
        if self.closed_before and text and self.lost is None:
            self._lose(OSError(errno.EBADF, "it is closed"))
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """What is still in a buffer goes nowhere as well, lest it is tried again."""
        self.lost = self.lost or error
        forsake(self.fileno())


def forsake(descriptor: int) -> None:
    """What is written there from now on goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def keep() -> None:
    """From now on. Also gives all three standard descriptors something behind them: else the next file that is
    opened takes their place, and what is printed goes into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = _kept(sys.stdout, 1), _kept(sys.stderr, 2)


def _kept(stream: TextIO | None, number: int) -> TextIO:
    """Left as it is where something else stands in for it already (a test)."""
    if stream is None:
        output = Output(open(number, "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
        output.closed_before = True
        return output
    if type(stream) is not io.TextIOWrapper or stream.fileno() != number:
        return stream
    return Output(
        stream.buffer,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost() -> OSError | None:
    """Why the standard output is lost, when it is."""
    return getattr(sys.stdout, "lost", None)


def refuse_if_lost() -> None:
    """Raises UsageError, for a run that has not begun: nobody would see what it does."""
    if error := lost():
        raise _write_error(error)


def _write_error(error: OSError) -> Exception:
    from workshop.invocation import typed

    return UsageError(
        "write to the standard output",
        error.strerror or str(error),
        cause=_CAUSES.get(error.errno or 0, ""),
        next_command=f"{typed()}  # with the output elsewhere",
    )


def settled(status: int) -> int:
    """See to it that all that was printed is written; to be called when nothing more will be. The exit status of a
    process that was going to end with `status`. Python flushes once more after this: of an error it makes a message
    of its own, and the status 120."""
    try:
        sys.stdout.flush()
        if error := lost():
            from workshop.invocation import show

            show(_write_error(error))
            status = status or 2
    except BrokenPipeError:
        forsake(sys.stdout.fileno())
        status = status or READ_NO_MORE
    except ValueError:  # closed by somebody
        return status
    try:
        sys.stderr.flush()
    except BrokenPipeError:
        forsake(sys.stderr.fileno())
    return status

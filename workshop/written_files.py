"""Documents that the workshop writes for somebody, where they say: whole or not at all, and never over what it has
not written itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from workshop import invocation
from workshop.runbook.errors import UsageError

_HEAD = 4096
"""Bytes in which a document says who has made it."""


def write(to: str, text: str, *, made_by: str, force: bool, what: str) -> None:
    """`made_by` stands near the beginning of the text, and of what may be written over without `force`. Says where
    `what` is; for `-` the text is printed, alone. Raises UsageError where it cannot be written."""
    if to == "-":
        print(text, end="")
        return
    path = place(to, made_by=made_by, force=force)
    with replaced(path) as file:
        file.write(text.encode())
    print(f"{what} is in {path.absolute()}")


def place(to: str, *, made_by: str, force: bool) -> Path:
    """What `to` names. Raises UsageError where it may not be written over, or nothing can be written."""
    path = Path(to).expanduser()
    tried = f"write {path}"
    if path.is_dir():
        raise UsageError(tried, "it is a folder", cause="--to names the file")
    if not force and path.exists() and not _is_own(path, made_by):
        raise UsageError(
            tried,
            "it is there, and not the workshop's own",
            cause="it would be lost; --to names another file, --force writes over this one",
            next_command=f"{invocation.typed()} --force",
        )
    if path.is_file() or not path.exists():
        with _worded(path), tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    return path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """What is written takes the file's place at the end, for whoever reads it now; after an exception it is gone,
    and the file as it was. What is a device or a pipe is written to. Raises UsageError when it cannot be."""
    special = path.exists() and not path.is_file()
    with _worded(path), path.open("wb") if special else _beside(path.resolve()) as file:
        yield file


@contextlib.contextmanager
def _worded(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"write {path}",
            error.strerror or str(error),
            cause="--to names a file in a folder that is there and can be written",
            next_command=shlex.join(["ls", "-ld", str(path.absolute().parent)]),
        ) from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_own(path: Path, made_by: str) -> bool:
    try:
        with path.open("rb") as file:
            return made_by.encode() in file.read(_HEAD)
    except OSError:
        return False

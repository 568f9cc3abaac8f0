"""The workshop's own files, for another machine: what git has of the last commit, or what lies here.

Of a checkout only what is committed is taken: what lies beside it may be anybody's (a kubeconfig, a profile with a
subscription), and what is not committed nobody else could get again.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workshop.bundling.archive import FILE, PROGRAM, Entry
from workshop.runbook.errors import UsageError

LOCK = "requirements.lock"

CONSISTS_OF = (
    *(".ci", "benchmarks", "config", "docs", "labs", "sandbox", "tests", "tools", "workshop"),
    *(".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("pyproject.toml", LOCK, "requirements-dev.lock", "requirements-uv.lock", "tasks.py"),
)
"""Where there is no git to ask: at the top of the workshop's folder."""

_BOUND = 60
"""Seconds for a git, many times what one takes."""


@dataclass(frozen=True, slots=True)
class Repository:
    """`made` is the time that all its files get, in seconds since 1970: the same for the same commit, and another
    for another one, so that no compiled file of an older bundle is taken for that of a newer one."""

    entries: tuple[Entry, ...]
    made: int
    origin: str
    changed: tuple[str, ...] = ()
    """What differs here from what is taken."""

    @property
    def lock(self) -> str:
        (content,) = (entry.content for entry in self.entries if entry.name == LOCK)
        assert isinstance(content, bytes)
        return content.decode()


def read(root: Path) -> Repository:
    """Raises UsageError where that is not a checkout, nor an unpacked one, or git fails."""
    if not (root / LOCK).is_file() or not (root / "tasks.py").is_file():
        raise UsageError(
            "make a bundle",
            f"{root} has no {LOCK} and tasks.py",
            cause="the workshop is installed there as a package; a bundle is made of its repository",
        )
    commit = _commit(root)
    return _committed(root, commit) if commit else _lying(root)


def _commit(root: Path) -> str:
    """Empty where no git has these files."""
    try:
        found = _git(root, "rev-parse", "--verify", "HEAD")
    except FileNotFoundError:
        return ""
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip()
        if "not a git repository" in said:
            return ""
        raise UsageError(
            f"ask git for the last commit of {root}",
            said,
            cause="a bundle has what is committed, so that anybody can make it again",
            next_command="git log -1",
        )
    if _git(root, "cat-file", "-e", f"HEAD:./{LOCK}").returncode:  # the folder is in somebody else's repository
        return ""
    return found.stdout.decode().strip()


def _committed(root: Path, commit: str) -> Repository:
    packed = _git(root, "archive", "--format=tar", commit)
    if packed.returncode:
        raise UsageError(
            f"take the files of commit {commit[:12]}",
            packed.stderr.decode(errors="replace").strip(),
            cause="the repository lacks some of them (a partial clone?) or is broken",
            next_command="git fsck",
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        entries = tuple(_of_members(archive))
    made = int(_git(root, "log", "-1", "--format=%ct", commit).stdout)
    status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--", ".").stdout.decode(errors="replace")
    changed = tuple(line[3:] for line in status.split("\0") if line)
    return Repository(entries, made, f"commit {commit[:12]}", changed)


def _of_members(archive: tarfile.TarFile) -> Iterator[Entry]:
    for member in archive:
        if member.issym():
            yield Entry(member.name, link=member.linkname)
        elif content := archive.extractfile(member):
            yield Entry(member.name, content.read(), PROGRAM if member.mode & 0o100 else FILE)


def _lying(root: Path) -> Repository:
    files = [path for name in CONSISTS_OF for path in _files(root / name)]
    entries = tuple(
        Entry(str(path.relative_to(root)), path.read_bytes(), PROGRAM if path.stat().st_mode & 0o100 else FILE)
        for path in files
    )
    made = max(int(path.stat().st_mtime) for path in files)
    return Repository(entries, made, "the files as they lay there, without git")


def _files(path: Path) -> Iterator[Path]:
    """No links, and in folders nothing hidden or compiled."""
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        for inside in path.iterdir():
            if not inside.name.startswith(".") and inside.name != "__pycache__" and inside.suffix != ".pyc":
                yield from _files(inside)


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """One of this folder, whatever a hook or another git has told this process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(root), *words],
        env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_BOUND,
        check=False,
    )

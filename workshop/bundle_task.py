"""What the task `bundle` does: it packs the workshop for a room without internet. What is missing is said before
anything is written, and the file is there whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import re
import shlex
import shutil
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import bundling, invocation, written_files
from workshop.bundling import archive, repository, wheels
from workshop.bundling.archive import PRIVATE, PROGRAM, Entry
from workshop.bundling.repository import Repository
from workshop.bundling.wheels import Machine, Progress
from workshop.kubernetes.lease import Holder
from workshop.runbook.errors import UsageError
from workshop.runbook.state_folder import FolderLock
from workshop.settings import ROOT, Settings, load

if TYPE_CHECKING:
    from invoke.config import Config

FILE = "mesh-workshop-bundle.tar.gz"
FOLDER = "mesh-workshop-bundle"
"""What it unpacks to."""

PARTS = Path(bundling.__file__).parent
PIP_LOCK = PARTS / "pip.lock"

_OLDEST = (3, 11)
_SAID_EVERY = 5.0
"""Seconds between two lines about what is being fetched."""


def bundle(
    config: Config,
    *,
    platforms: str,
    pythons: str,
    saved: str,
    to: str,
    force: bool,
    root: Path = ROOT,
    pip_lock: Path = PIP_LOCK,
) -> int:
    """Of the workshop in `root`, with the pip of `pip_lock` to install it with."""

    def act() -> int:
        settings = load(config)
        machines = tuple(_machines(platforms, pythons))
        state = _saved(settings, saved)
        path = written_files.place(to or FILE, made_by=archive.MADE_BY, force=force)
        wheels.refuse_without_pip()
        ours = repository.read(root)
        _tell_of(ours, state)
        pip = pip_lock.read_text(encoding="utf-8")
        with _work(settings.state_folder / "bundle") as work:
            fetched = work / "wheels"
            missing = asyncio.run(_fetch(f"{ours.lock}\n{pip}", machines, fetched, work))
            given = {"--saved": saved, "--to": to}
            typed = [word for flag, value in given.items() if value for word in (flag, value)]
            _refuse_incomplete(machines, missing, [*typed, *(["--force"] if force else [])])
            found = sorted(fetched.iterdir())
            size = sum(wheel.stat().st_size for wheel in found)
            print(f"packing {len(found)} wheels ({_megabytes(size)}) and {ours.origin}", flush=True)
            contents = Contents(ours, machines, tuple(found), pip, state)
            with written_files.replaced(path) as file:
                sha256 = archive.write(file, FOLDER, contents.entries(), ours.made)
        print(f"the bundle is in {path.absolute()}: {_megabytes(path.stat().st_size)}, SHA-256 {sha256}")
        print(f"where it is to run: tar xzf {shlex.quote(path.name)} && sh {FOLDER}/start.sh")
        return 0

    return invocation.ended(act)


@contextlib.contextmanager
def _work(folder: Path) -> Iterator[Path]:
    """A folder for one bundle at a time, with an empty one for its wheels: also after one that was killed."""
    fetched = folder / "wheels"
    with FolderLock(folder, str(Holder.me())).held():
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(fetched, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is packed. `pip` is a lock file of pip alone."""

    repository: Repository
    machines: tuple[Machine, ...]
    wheels: tuple[Path, ...]
    pip: str
    saved: Path | None

    def entries(self) -> Iterator[Entry]:
        for entry in self.repository.entries:
            yield Entry(f"mesh-workshop/{entry.name}", entry.content, entry.mode, entry.link)
        for wheel in self.wheels:
            yield Entry(f"wheels/{wheel.name}", wheel)
        yield Entry("wheels/pip.lock", self.pip.encode())
        if self.saved:
            yield Entry(f"saved/{self.saved.name}", self.saved, PRIVATE)
        words = self._words()
        yield Entry("start.sh", _filled("start.sh", words), PROGRAM)
        yield Entry("README.txt", _filled("README.txt", {**words, **self._sentences()}))

    def _words(self) -> Mapping[str, str]:
        (pip,) = (wheel for wheel in self.wheels if wheel.name.startswith("pip-"))
        packages = "\n".join((self.repository.lock, *(wheel.name for wheel in self.wheels)))
        return {
            "platforms": " ".join(dict.fromkeys(machine.platform for machine in self.machines)),
            "pythons": " ".join(dict.fromkeys(machine.python for machine in self.machines)),
            "content": hashlib.sha256(packages.encode()).hexdigest(),
            "pip": pip.name,
            "pip_sha256": _sha256(pip),
            "saved": self.saved.name if self.saved else "",
            "saved_sha256": _sha256(self.saved) if self.saved else "",
        }

    def _sentences(self) -> Mapping[str, str]:
        macos = any(machine.platform.startswith("macos") for machine in self.machines)
        return {
            "origin": self.repository.origin,
            "python": ", ".join(dict.fromkeys(machine.python for machine in self.machines)),
            "platform": ", ".join(dict.fromkeys(machine.platform for machine in self.machines)),
            "macos": "\nOn macOS the sandbox does not run: the labs need a cluster there, and its images.\n"
            if macos
            else "",
            "saved": f"    saved/{self.saved.name}\n                        what the sandbox begins with\n"
            if self.saved
            else "",
        }


def _filled(name: str, words: Mapping[str, str]) -> bytes:
    text = (PARTS / name).read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], text).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _machines(platforms: str, pythons: str) -> Iterator[Machine]:
    """Raises UsageError for one that there is not."""
    this = ".".join(map(str, sys.version_info[:2]))
    versions = _listed(pythons) or sorted({*wheels.PYTHONS, this}, key=_version)
    for version in versions:
        if _version(version) < _OLDEST:
            raise UsageError(
                f"pack wheels for Python {version}",
                f"the workshop needs {'.'.join(map(str, _OLDEST))} or newer",
                next_command=f"{invocation.invoke()} bundle --pythons {','.join(wheels.PYTHONS)}",
            )
    for name in _listed(platforms) or [wheels.this_platform()]:
        if name not in wheels.PLATFORMS:
            raise UsageError(
                f"pack wheels for {name}",
                f"it can be for {', '.join(wheels.PLATFORMS)}",
                cause="" if platforms else "this machine is none of them",
                next_command=f"{invocation.invoke()} bundle --platforms {next(iter(wheels.PLATFORMS))}",
            )
        yield from (Machine(name, version) for version in versions)


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(text.replace(",", " ").split()))


def _version(text: str) -> tuple[int, ...]:
    """Of two numbers; smaller than all where it is none."""
    found = re.fullmatch(r"(\d)\.(\d{1,3})", text)
    return (int(found[1]), int(found[2])) if found else ()


def _saved(settings: Settings, named: str) -> Path | None:
    """Raises UsageError where there is none of that name."""
    if not named:
        return None
    folder = settings.state_folder / "saved"
    for path in (Path(named).expanduser(), folder / f"{named}.json.gz"):
        if path.is_file():
            if not re.fullmatch(r"[\w.-]+", path.name):
                raise UsageError(
                    f"pack the saved state {path}", "its file's name has other than letters, digits, . _ and -"
                )
            _refuse_damaged(path)
            return path
    names = sorted(path.name.removesuffix(".json.gz") for path in folder.glob("*.json.gz"))
    raise UsageError(
        f"pack the saved state {named}",
        f"there is neither such a file nor one of that name in {folder}",
        cause=f"saved are: {', '.join(names)}" if names else "nothing is saved yet",
        next_command=f"{invocation.invoke()} "
        + (f"bundle --saved {names[0]}" if names else f"sandbox.save {shlex.quote(Path(named).name)}"),
    )


def _refuse_damaged(saved: Path) -> None:
    """Raises UsageError: now, and not in the room."""
    try:
        with gzip.open(saved) as content:
            while content.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(
            f"pack the saved state {saved}",
            str(error),
            cause="it is damaged, or no saved state",
            next_command=f"{invocation.invoke()} sandbox.load {shlex.quote(str(saved))}",
        ) from error


def _tell_of(ours: Repository, saved: Path | None) -> None:
    if changed := ours.changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        print(
            f"not in the bundle, which has {ours.origin}: what is not committed in {', '.join(changed[:3])}{more}"
        )
    if saved:
        print(f"{saved.name} has the Secrets of its sandbox as plain text: who gets the bundle can read them")


async def _fetch(
    lock: str, machines: Sequence[Machine], folder: Path, work: Path
) -> dict[Machine, tuple[str, ...]]:
    """For each machine what there is no wheel of."""
    missing = {}
    for machine in machines:
        print(f"wheels for {machine}", flush=True)
        missing[machine] = await wheels.download(lock, machine, folder, work, _Told().tell)
    return missing


class _Told:
    """Says now and then what is being fetched, and at once of a file that may take long."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, progress: Progress) -> None:
        large = re.search(r"\(\d{2,}\.\d MB\)", progress.file)
        if large or time.monotonic() > self._last + _SAID_EVERY:
            self._last = time.monotonic()
            print(f"  {progress.number} of {progress.of}: {progress.file}", flush=True)


def _refuse_incomplete(
    machines: Sequence[Machine], missing: Mapping[Machine, Sequence[str]], typed: Sequence[str]
) -> None:
    """Raises UsageError that names what there is no wheel of, and the call that would do without. `typed` are its
    other words."""
    packages: dict[str, list[Machine]] = {}
    for machine, names in missing.items():
        for name in names:
            packages.setdefault(name, []).append(machine)
    if not packages:
        return
    together: dict[str, list[str]] = {}
    for name, those in packages.items():
        together.setdefault(_worded(those), []).append(name)
    raise UsageError(
        "pack the wheels",
        "; ".join(f"for {those} there is none of {', '.join(names)}" for those, names in together.items()),
        cause="the index has no wheel of the version that requirements.lock names, and nothing is built here",
        next_command=_without(machines, [machine for machine in machines if missing[machine]], typed),
    )


def _worded(machines: Iterable[Machine]) -> str:
    pythons: dict[str, list[str]] = {}
    for machine in machines:
        pythons.setdefault(machine.platform, []).append(machine.python)
    return ", ".join(f"{platform} (Python {', '.join(those)})" for platform, those in pythons.items())


def _without(machines: Sequence[Machine], lacking: Sequence[Machine], typed: Sequence[str]) -> str:
    """The call that leaves out whole platforms, or else whole versions; none where nothing would be left."""
    platforms, pythons = (
        list(dict.fromkeys(getattr(machine, what) for machine in machines)) for what in ("platform", "python")
    )
    if whole := [name for name in platforms if name not in {machine.platform for machine in lacking}]:
        platforms = whole
    elif whole := [version for version in pythons if version not in {machine.python for machine in lacking}]:
        pythons = whole
    else:
        return ""
    words = ("--platforms", ",".join(platforms), "--pythons", ",".join(pythons), *typed)
    return f"{invocation.invoke()} bundle {shlex.join(words)}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

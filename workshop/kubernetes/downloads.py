"""Programs that are downloaded: from their release, checked against the SHA-256 that is published beside it.

The file appears under its final name only when it is complete and checked, so a download that was cut off is simply
begun again, and two at the same time do not harm each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import platform
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from workshop.runbook.errors import WorkshopError


@dataclass(frozen=True, slots=True)
class Download:
    """An archive (.tar.gz) at `url` that has the program as `member`. Its SHA-256 is the first word of the file at
    the same address with `published` at its end. `setting` is where a person says from where; `seconds` limits each
    answer from the server. Raises WorkshopError for an address that is none."""

    url: str
    member: str
    setting: str
    published: str = ".sha256"
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise WorkshopError(f"download {self.url}", "the address is neither https nor http", cause=self.setting)

    def reach(self) -> None:
        """Raises WorkshopError when it could not be downloaded now."""
        self._get(self.url + self.published)

    def fetch(self, target: Path) -> None:
        """Raises WorkshopError."""
        archive = self._checked()
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(target, self._program_in(archive))

    def fetch_folder(self, target: Path) -> None:
        """The same where `member` is a folder of texts. Raises WorkshopError."""
        archive = self._checked()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place:
            whole = Path(place) / target.name
            self._unpack(archive, whole)
            with contextlib.suppress(OSError):  # another one was quicker
                whole.replace(target)
        if not target.is_dir():
            raise WorkshopError(
                f"unpack {self.url}", f"{target} cannot be written", next_command=f"ls -ld {target}"
            )

    def _checked(self) -> bytes:
        published = self._get(self.url + self.published).decode(errors="replace").split()
        archive = self._get(self.url)
        found = hashlib.sha256(archive).hexdigest()
        if not published or published[0].lower() != found:
            raise WorkshopError(
                f"check the download {self.url}",
                f"its SHA-256 is {found}, published is {published[0] if published else 'none'}",
                cause="the download was changed or cut off on its way; it was not kept",
                next_command=f"curl -LO {self.url}",
            )
        return archive

    def _get(self, url: str) -> bytes:
        try:
            with urllib.request.urlopen(url, timeout=self.seconds) as answer:  # noqa: S310 - checked above
                content: bytes = answer.read()
                return content
        except (urllib.error.URLError, OSError) as error:
            raise WorkshopError(
                f"download {url}",
                str(getattr(error, "reason", error)),
                cause="this machine does not reach the server, or it has no such release",
                next_command=f"curl -I {url}",
            ) from error

    def _unpack(self, archive: bytes, into: Path) -> None:
        """Only files that are below the folder, and nothing that leads out of it."""
        inside = f"{self.member.rstrip('/')}/"
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as content:
                for member in content:
                    name = Path(member.name.removeprefix(inside))
                    if not member.isfile() or not member.name.startswith(inside) or ".." in name.parts:
                        continue
                    file = content.extractfile(member)
                    assert file is not None
                    (into / name).parent.mkdir(parents=True, exist_ok=True)
                    (into / name).write_bytes(file.read())
        except (tarfile.TarError, OSError) as error:
            raise WorkshopError(f"unpack {self.url}", str(error)) from error
        if not into.is_dir():
            raise WorkshopError(f"unpack {self.url}", f"there is no {self.member} in it")

    def _program_in(self, archive: bytes) -> bytes:
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as content:
                program = content.extractfile(self.member)
                if program is not None:
                    return program.read()
        except (tarfile.TarError, KeyError, OSError):
            pass
        raise WorkshopError(f"unpack {self.url}", f"there is no {self.member.rpartition('/')[2]} in it")


def _write_atomically(target: Path, program: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(program)
        Path(name).chmod(0o755)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def platform_name(tool: str, *, darwin: str = "darwin") -> str:
    """This machine's, as releases call it: linux-amd64. Raises WorkshopError where there is no such program for
    it."""
    systems = {"linux": "linux", "darwin": darwin}
    system, machine = systems.get(sys.platform), _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        raise WorkshopError(
            f"find {tool} for this machine",
            f"there is none for {sys.platform} on {platform.machine()}",
            cause=f"known are {', '.join(systems)} on amd64 and arm64",
        )
    return f"{system}-{machine}"

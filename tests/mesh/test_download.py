"""Downloads from a server on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import platform
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from workshop.kubernetes import process
from workshop.mesh import download
from workshop.mesh.download import Release
from workshop.runbook.errors import WorkshopError

PROGRAM = b"#!/bin/sh\necho it runs\n"


def archive(name: str = "istioctl", content: bytes = PROGRAM) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def publish(self, content: bytes, checksum: str = "") -> None:
        name = download.archive_name("1.31.1")
        self.files[f"/1.31.1/{name}"] = content
        line = f"{checksum or hashlib.sha256(content).hexdigest()}  {name}\n"
        self.files[f"/1.31.1/{name}.sha256"] = line.encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def release(server: Server, tmp_path: Path) -> Release:
    return Release(f"http://127.0.0.1:{server.server_port}/", tmp_path / "bin", seconds=60)


async def test_the_program_is_kept_and_runs(server: Server, release: Release) -> None:
    server.publish(archive())
    path = await release.fetch("1.31.1")
    assert (await process.run((str(path),), seconds=60)).stdout == "it runs\n"
    assert [entry.name for entry in release.folder.iterdir()] == ["istioctl-1.31.1"]
    asked = len(server.asked)
    assert await release.fetch("1.31.1") == path
    assert len(server.asked) == asked


async def test_a_wrong_checksum_keeps_nothing(server: Server, release: Release) -> None:
    server.publish(archive(), checksum="0" * 64)
    with pytest.raises(WorkshopError) as refused:
        await release.fetch("1.31.1")
    assert "0" * 64 in refused.value.came_back
    assert not release.folder.exists()


async def test_begun_again_after_a_failure(server: Server, release: Release) -> None:
    with pytest.raises(WorkshopError) as failed:
        await release.fetch("1.31.1")
    assert "Not Found" in failed.value.came_back
    server.publish(archive())
    assert (await release.fetch("1.31.1")).exists()


async def test_two_at_the_same_time(server: Server, release: Release) -> None:
    server.publish(archive())
    first, second = await asyncio.gather(release.fetch("1.31.1"), release.fetch("1.31.1"))
    assert first == second
    assert first.read_bytes() == PROGRAM
    assert [entry.name for entry in release.folder.iterdir()] == ["istioctl-1.31.1"]


@pytest.mark.parametrize("content", [archive("other"), b"no archive"])
async def test_an_archive_without_the_program(server: Server, release: Release, content: bytes) -> None:
    server.publish(content)
    with pytest.raises(WorkshopError, match="no istioctl in it"):
        await release.fetch("1.31.1")


async def test_only_http_addresses(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match="neither https nor http"):
        await Release("file:///etc", tmp_path).fetch("1.31.1")


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-amd64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "osx-arm64"),
        ("darwin", "x86_64", "osx-amd64"),
    ],
)
def test_archive_names(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert download.archive_name("1.31.1") == f"istioctl-1.31.1-{name}.tar.gz"


def test_a_machine_that_istio_has_nothing_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(WorkshopError, match="riscv64"):
        download.archive_name("1.31.1")

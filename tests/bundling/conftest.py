"""A workshop of three files and two packages, with a folder of wheels for pip to look in: no network is needed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.kit.in_process import here
from tests.kit.workshop import Ran, Workshop
from workshop import bundle_task
from workshop.bundling import wheels

PLATFORM = wheels.this_platform()
TAR: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
"""For `extractall`; Python 3.11.2, which Debian 12 has, knows no filters."""
PYTHON = ".".join(map(str, sys.version_info[:2]))
OTHER = "macos-arm64" if PLATFORM != "macos-arm64" else "linux-x86_64"
"""A platform that this one is not, and that the fast package has no wheel for."""

INVOKE = """
import pathlib, sys

def main():
    print("invoke", *sys.argv[1:], "in", pathlib.Path.cwd().name)
    up = pathlib.Path(".sandbox-is-up")
    if sys.argv[1] == "sandbox.load":
        up.touch()
    sys.exit(3 if sys.argv[1] == "fails" else sys.argv[1] == "sandbox.status" and not up.exists())
"""
"""Stands for the real one: a start.sh is tested, and what it types."""


@dataclass(frozen=True)
class Index:
    """Wheels in a folder."""

    folder: Path
    hashes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, tag: str, files: Mapping[str, str]) -> None:
        """Version 1.0."""
        info = f"{name}-1.0.dist-info"
        content = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        record = "".join(f"{file},{_digest(text)},{len(text)}\n" for file, text in content.items())
        self._write(name, f"{name}-1.0-{tag}.whl", {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"})

    def add_pip(self) -> None:
        """The one that is installed."""
        pip = importlib.metadata.distribution("pip")
        files = [file for file in pip.files or () if file.suffix != ".pyc" and ".." not in file.parts]
        content = {str(file): Path(file.locate()).read_bytes() for file in files}
        self._write("pip", f"pip-{pip.version}-py3-none-any.whl", content)

    def _write(self, name: str, file: str, content: Mapping[str, str | bytes]) -> None:
        with zipfile.ZipFile(self.folder / file, "w") as wheel:
            for path, text in content.items():
                wheel.writestr(path, text)
        self.hashes.setdefault(name, []).append(hashlib.sha256((self.folder / file).read_bytes()).hexdigest())

    def lock(self, name: str, version: str = "1.0") -> str:
        hashes = (f"    --hash=sha256:{one}" for one in self.hashes[name])
        return " \\\n".join((f"{name}=={version}", *hashes)) + "\n"


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="package")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    found = Index(tmp_path_factory.mktemp("index"))
    entry = {"invoke-1.0.dist-info/entry_points.txt": "[console_scripts]\ninvoke = typed:main\n"}
    found.add("invoke", "py3-none-any", {"typed.py": INVOKE, **entry})
    abi = f"cp{PYTHON.replace('.', '')}"
    found.add("fast", f"{abi}-{abi}-{wheels.PLATFORMS[PLATFORM][-1]}", {"fast.py": ""})
    found.add_pip()
    return found


@dataclass(frozen=True)
class Packer:
    """A checkout of that workshop, and its bundles."""

    index: Index
    root: Path
    workshop: Workshop

    @property
    def pip_lock(self) -> Path:
        file = self.root.parent / "pip.lock"
        file.write_text(self.index.lock("pip", importlib.metadata.version("pip")))
        return file

    def git(self, *words: str) -> str:
        """As nobody in particular, at a fixed time."""
        who = {f"GIT_{one}_{what}": "a" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        when = {f"GIT_{one}_DATE": "2026-11-27T20:00:00Z" for one in ("AUTHOR", "COMMITTER")}
        variables = {**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", "-C", self.root, *words], env=variables, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    def pack(
        self, to: Path, *, pythons: str = PYTHON, platforms: str = "", saved: str = "", force: bool = False
    ) -> Ran:
        return here(
            self.workshop,
            lambda config: bundle_task.bundle(
                config,
                platforms=platforms,
                pythons=pythons,
                saved=saved,
                to=str(to),
                force=force,
                root=self.root,
                pip_lock=self.pip_lock,
            ),
        )


@pytest.fixture
def packer(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packer:
    return new_packer(index, tmp_path, monkeypatch)


def new_packer(index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Packer:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    variables = {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": index.folder, "NO_CACHE_DIR": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    root = folder / "checkout"
    (root / "labs").mkdir(parents=True)
    (root / "requirements.lock").write_text(index.lock("fast") + index.lock("invoke"))
    (root / "tasks.py").write_text("ns = ...\n")
    (root / "labs" / "übung.sh").write_text("#!/bin/sh\n")
    (root / "labs" / "übung.sh").chmod(0o755)
    (root / "labs" / "the same").symlink_to("übung.sh")
    made = Packer(index, root, Workshop(folder / "state"))
    made.git("init", "-q")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "All")
    return made

"""Real kubectl for the tests of the sandbox: what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher


@dataclass(frozen=True)
class Kubectl:
    """kubectl against the sandbox; a call gives what it printed. Fails the test on any other exit status."""

    binary: Path
    kubeconfig: Path
    cache: Path

    def command(self, *arguments: str) -> list[str]:
        return [
            *(str(self.binary), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}"),
            *arguments,
        ]

    def run(self, *arguments: str, stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 30) -> str:
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl says while it fails."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} did not fail: {done.stdout}"
        return done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """For commands that go on; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture(scope="session")
def kubectl(sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The kubectl of this project."""
    binary = Path(sys.executable).parent / "kubectl"
    return Kubectl(binary, sandbox.kubeconfig, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", params=["new", pytest.param("old", marks=pytest.mark.slow)])
def either_kubectl(
    request: pytest.FixtureRequest, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    """The kubectl of this project, then the oldest one that is supported (1.32, at $KUBECTL_OLD)."""
    if request.param == "new":
        return kubectl
    old = os.environ.get("KUBECTL_OLD")
    if not old:
        pytest.skip("KUBECTL_OLD does not name a kubectl 1.32")
    return Kubectl(Path(old), kubectl.kubeconfig, tmp_path_factory.mktemp("cache"))

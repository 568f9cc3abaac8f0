"""Fixtures for all folders: a sandbox as a cluster like any other, the workshop's own kubectl and its istioctl; the
product on a sandbox of its own. tests/sandbox has another kubectl, under the same name: kit/sandbox.py."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher
from tests.kit import forked_sandboxes
from tests.kit.workshop import BIN, Cluster, Workshop
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.istioctl import Istioctl, Program, Release

VERSION = "1.31.1"

_numbers = itertools.count(1)


def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.Running]:
    folder = tmp_path_factory.mktemp("sandbox") / "state"
    with forked_sandboxes.used():
        running = launcher.ensure(folder)
    yield running
    launcher.stop(folder)


sandbox = pytest.fixture(_running, scope="session", name="sandbox")
"""One for all tests of a worker, which leave it as it was."""

own_sandbox = pytest.fixture(_running, scope="module", name="own_sandbox")
"""One for the tests of a file, which need not."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    state = tmp_path_factory.mktemp("workshop")
    yield Workshop(state)
    launcher.stop(state / "sandbox")


@pytest.fixture(scope="session")
def kubectl(sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(BIN / "kubectl", sandbox.kubeconfig, "primary", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def namespace(sandbox: launcher.Running) -> Iterator[str]:
    """A namespace of the test's own. Over HTTP: hundreds of tests have one."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    Cluster(sandbox.kubeconfig, "primary").create_namespace(name)
    yield name
    Cluster(sandbox.kubeconfig, "primary").delete_namespace(name)


@pytest.fixture
def istioctl(sandbox: launcher.Running, kubectl: Kubectl, tmp_path: Path) -> Istioctl:
    """The sandbox's, as any other."""
    release = Release("http://127.0.0.1:9", tmp_path / "bin", seconds=1)
    program = Program(VERSION, release, (str(sandbox.bin / "istioctl"),), (f"{VERSION}-sandbox",))
    return Istioctl(program, kubectl.kubeconfig, kubectl.context)


Wait = Callable[[Callable[[], Any]], Any]


@pytest.fixture(scope="session")
def eventually() -> Wait:
    """Repeats a question until its answer is true (a minute at most), and returns the answer."""

    def wait(question: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 60
        while not (answer := question()):
            assert time.monotonic() < deadline, "it did not happen within a minute"
            time.sleep(0.02)
        return answer

    return wait

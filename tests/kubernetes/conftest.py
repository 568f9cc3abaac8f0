"""The sandbox as a cluster like any other, and the workshop's own kubectl."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.sandbox.conftest import sandbox
from workshop.kubernetes.kubectl import Kubectl

__all__ = ["sandbox"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kubectl(sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    cache = tmp_path_factory.mktemp("cache")
    return Kubectl(Path(sys.executable).parent / "kubectl", sandbox.kubeconfig, "primary", cache)


@pytest.fixture
async def namespace(kubectl: Kubectl) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    await kubectl.call("create", "namespace", name)
    yield name
    await kubectl.call("delete", "namespace", name, "--wait=false", "--ignore-not-found")

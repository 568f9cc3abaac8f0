"""The sandbox, the workshop's kubectl, and the sandbox's istioctl as any other istioctl."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kubernetes.conftest import kubectl, namespace, sandbox
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.istioctl import Istioctl, Program, Release

__all__ = ["kubectl", "namespace", "sandbox"]

VERSION = "1.31.1"


@pytest.fixture
def istioctl(sandbox: launcher.Running, kubectl: Kubectl, tmp_path: Path) -> Istioctl:
    return Istioctl(
        Program(
            VERSION,
            Release("http://127.0.0.1:9", tmp_path / "bin", seconds=1),
            (str(sandbox.bin / "istioctl"),),
            (f"{VERSION}-sandbox",),
        ),
        kubectl.kubeconfig,
        kubectl.context,
    )

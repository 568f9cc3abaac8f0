from __future__ import annotations

import pytest

from sandbox.api.local_cluster import LocalCluster
from tests.kit.sandbox import Kubectl

from .inside import Inside


@pytest.fixture
def cluster() -> LocalCluster:
    """An API without anything else: nothing acts on what is written."""
    return LocalCluster()


@pytest.fixture
def inside(either_kubectl: Kubectl, namespace: str) -> Inside:
    return Inside(either_kubectl, namespace)

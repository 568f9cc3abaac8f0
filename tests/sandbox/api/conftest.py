from __future__ import annotations

import pytest

from workshop.sandbox.api.local import LocalCluster


@pytest.fixture
def cluster() -> LocalCluster:
    """An API without anything else: nothing acts on what is written."""
    return LocalCluster()

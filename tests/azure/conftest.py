from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.azure import Arm, Session


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    with Arm(tmp_path) as arm:
        yield arm


@pytest.fixture
def session(arm: Arm, tmp_path: Path) -> Session:
    return Session(arm, tmp_path)

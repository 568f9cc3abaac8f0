"""One cluster with a mesh, on real Envoy, for each test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .world import World, free_block


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    claim, network = free_block()
    made = World(network, tmp_path / "envoy")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        claim.close()

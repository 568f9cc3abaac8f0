"""Clusters with a mesh, on real Envoy: `world` for each test that asks, `shop` one for all tests of a module."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.mesh.gateway_names import Neighbours

from .rule_world import RuleWorld
from .world import World, free_block


@contextlib.asynccontextmanager
async def running(folder: Path, neighbours: Neighbours | None = None) -> AsyncIterator[World]:
    claim, network = free_block()
    made = World(network, folder / "envoy", neighbours)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        claim.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RuleWorld]:
    """Tests that use it need `pytestmark = pytest.mark.asyncio(loop_scope="module")`."""
    async with running(tmp_path_factory.mktemp("shop")) as made:
        yield await RuleWorld.of(made)

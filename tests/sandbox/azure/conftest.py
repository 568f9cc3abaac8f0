from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from sandbox.server import launcher

from .world import LOCATION, QUICK, Arm

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_arm(sandbox: launcher.Running) -> Arm:
    return Arm.of(sandbox.kubeconfig.parent)


@pytest.fixture
def arm(shared_arm: Arm) -> Iterator[Arm]:
    """The sandbox's Azure, as it is when no test has set anything."""
    shared_arm.set(**QUICK)
    shared_arm.clear()
    yield shared_arm
    shared_arm.set(**QUICK)


@pytest.fixture
def group(arm: Arm) -> Iterator[str]:
    """A resource group of the test's own."""
    name = f"group-{os.getpid()}-{next(_numbers)}"
    arm.resources.resource_groups.create_or_update(name, {"location": LOCATION, "tags": {"workshop": "test"}})
    arm.clear()
    yield name
    arm.set(**QUICK)
    if arm.resources.resource_groups.check_existence(name):
        arm.resources.resource_groups.begin_delete(name).result()

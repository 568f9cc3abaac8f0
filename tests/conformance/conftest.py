"""The target of conformance cases: a sandbox of their own, or what --kubeconfig and --context name."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit import forked_sandboxes

from .target import Target


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--kubeconfig", default="", help="run the cases on the cluster of this file, which has Istio")
    group.addoption("--context", default="", help="its context, unless it is the current one")
    group.addoption("--istioctl", default="istioctl", help="the program, for a cluster of --kubeconfig")
    group.addoption(
        "--patience", type=float, default=0, help="seconds for a rule to be everywhere (30; a cluster: 60)"
    )


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    kubectl = str(Path(sys.executable).parent / "kubectl")
    cache = str(tmp_path_factory.mktemp("cache"))
    option = request.config.getoption
    patience = option("--patience", default=0)
    if kubeconfig := option("--kubeconfig", default=""):
        istioctl = shutil.which(option("--istioctl"))
        assert istioctl, f"there is no {option('--istioctl')}: name it with --istioctl"
        yield Target(
            kubectl, istioctl, str(Path(kubeconfig).expanduser()), option("--context"), cache, patience or 60, False
        )
        return
    state = tmp_path_factory.mktemp("conformance") / "state"
    with forked_sandboxes.used():
        running = launcher.ensure(state)
    target = Target(
        kubectl, str(running.bin / "istioctl"), str(running.kubeconfig), "primary", cache, patience or 30, True
    )
    installed = target.run("istioctl", ["install", "-y"])
    assert installed.status == 0, installed.err
    yield target
    launcher.stop(state)

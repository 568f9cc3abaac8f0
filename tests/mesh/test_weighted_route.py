"""A VirtualService moved through its stages in the sandbox, and back after somebody else changed it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.kubernetes.runs import Recorded
from tests.mesh.test_install import uninstall
from tests.mesh.test_timeline import Shares
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.istioctl import Istioctl
from workshop.mesh.timeline import Route, WeightedRoute, split
from workshop.runbook.model import Position


@pytest.fixture
async def istio(kubectl: Kubectl, istioctl: Istioctl) -> AsyncIterator[None]:
    await istioctl.install("--set", "profile=minimal")
    yield
    await uninstall(kubectl, istioctl)


async def test_stages_there_and_back(istio: None, kubectl: Kubectl, namespace: str) -> None:
    reviews = WeightedRoute(
        "Move reviews from v1 to v3",
        split("v1", "All to v1", 100, 0),
        split("half", "Half to each", 50, 50),
        route=Route(namespace, "reviews", ("v1", "v3")),
        proof=Shares,
    )
    subset = [{"name": name, "labels": {"version": name}} for name in reviews.route.subsets]
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": namespace},
        "spec": {"host": "reviews", "subsets": subset},
    }
    await kubectl.apply([rule])
    run = Recorded(kubectl)

    assert await reviews.position(run) == Position(None)
    for name, shares in (("v1", (1.0, 0.0)), ("half", (0.5, 0.5))):
        outcome, verdict = await run.converge(reviews.step(name, run))
        assert outcome == "changed"
        assert verdict
        assert verdict.reason == str(shares)
        assert await reviews.position(run) == Position(name, moved_by="istio.canary")
    assert (await run.converge(reviews.step("half", run)))[0] == "unchanged"

    # A hand edit that server-side apply repairs (in an atomic list), and one that it leaves alone (beside it).
    edits = {"/spec/http/0/timeout": "2s", "/spec/gateways": ["mesh"]}
    patch = json.dumps([{"op": "add", "path": path, "value": value} for path, value in edits.items()])
    await kubectl.call("patch", "virtualservice", "reviews", "-n", namespace, "--type=json", "-p", patch)
    run.facts.forget()
    moved = await reviews.position(run)
    assert moved.stage is None
    assert {"spec.http[0].timeout", "spec.gateways"} <= {difference.path for difference in moved.differences}
    assert (await run.converge(reviews.step("v1", run)))[0] == "changed"
    assert await reviews.position(run) == Position("v1", moved_by="istio.canary")

    await run.converge(reviews.to((25, 75)))
    assert (await reviews.position(run)).off_path.endswith("has the weights v1 25 %, v3 75 %")
    assert await run.take_back(reviews) == "changed"
    assert await reviews.position(run) == Position(None)

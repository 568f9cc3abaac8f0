"""Where a VirtualService is on its way, read from what is live."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.kit.runs import Memory, Recorded
from tests.mesh.test_install import uninstall
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.istioctl import Istioctl
from workshop.mesh.weighted_route import Route, WeightedRoute, split
from workshop.runbook.errors import WrongFlags
from workshop.runbook.model import Position
from workshop.runbook.results import ABSENT, Verdict


class Shares:
    def __init__(self, shares: tuple[float, ...]) -> None:
        self.shares = shares

    async def prove(self, run: object) -> Verdict:
        return Verdict("pass", str(self.shares))

    def commands(self, run: object) -> tuple[str, ...]:
        return (f"curl {self.shares}",)


REVIEWS = WeightedRoute(
    "Move reviews from v1 to v3",
    split("v1", "Send everybody to v1", 100, 0, 0),
    split("thirds", "Split over all three", 33, 33, 34),
    split("v3", "Send everybody to v3", 0, 0, 100),
    route=Route("bookinfo", "reviews", ("v1", "v2", "v3")),
    start="none",
    proof=Shares,
)


def there(*live: dict[str, Any], **options: str) -> Recorded:
    cluster = Memory()
    cluster.put(*live)
    run = cluster.run()
    run.options = options
    return run


def live(*weights: int, **spec: Any) -> dict[str, Any]:
    found = REVIEWS.route.virtual_service(weights, "istio.canary")
    found["metadata"] |= {"uid": "1", "resourceVersion": "7"}
    found["spec"] |= spec
    return found


async def test_not_there_is_the_start() -> None:
    assert await REVIEWS.position(there()) == Position(None)


async def test_on_its_way_out_is_the_start() -> None:
    leaving = live(100, 0, 0)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await REVIEWS.position(there(leaving)) == Position(None)


@pytest.mark.parametrize(("weights", "name"), [((100, 0, 0), "v1"), ((33, 33, 34), "thirds"), ((0, 0, 100), "v3")])
async def test_weights_are_a_split(weights: tuple[int, ...], name: str) -> None:
    assert await REVIEWS.position(there(live(*weights))) == Position(name, moved_by="istio.canary")


async def test_order_zeros_and_a_sole_destination_mean_the_same() -> None:
    route = [
        {"destination": {"host": "reviews", "subset": "v3"}, "weight": 34},
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 33},
        {"destination": {"host": "reviews", "subset": "v2"}, "weight": 33},
    ]
    assert (await REVIEWS.position(there(live(100, 0, 0, http=[{"route": route}])))).stage == "thirds"
    route = [
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 100},
        {"destination": {"host": "reviews", "subset": "v2"}, "weight": 0},
    ]
    assert (await REVIEWS.position(there(live(100, 0, 0, http=[{"route": route}])))).stage == "v1"
    route = [{"destination": {"host": "reviews", "subset": "v3"}}]
    assert (await REVIEWS.position(there(live(100, 0, 0, http=[{"route": route}])))).stage == "v3"


async def test_a_route_behind_its_own_moves_nothing() -> None:
    more = {"http": [*live(100, 0, 0)["spec"]["http"], {"directResponse": {"status": 418}}]}
    assert (await REVIEWS.position(there(live(100, 0, 0, **more)))).stage == "v1"


async def test_other_weights_are_off_the_path_and_named() -> None:
    position = await REVIEWS.position(there(live(80, 20, 0)))
    assert position.stage is None
    assert position.off_path == "VirtualService bookinfo/reviews has the weights v1 80 %, v2 20 %, v3 0 %"


FAULT = {"delay": {"fixedDelay": "7s", "percentage": {"value": 50}}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"gateways": ["bookinfo-gateway"]}, "spec.gateways"),
        ({"hosts": ["reviews", "other"]}, "spec.hosts[1]"),
        ({"hosts": ["other"]}, "spec.hosts[0]"),
        ({"http": [{**live(100, 0, 0)["spec"]["http"][0], "fault": FAULT}]}, "spec.http[0].fault"),
        ({"http": [{"directResponse": {"status": 418}}, *live(100, 0, 0)["spec"]["http"]]}, "spec.http[1]"),
        (
            {"http": [{"route": [{"destination": {"host": "reviews", "subset": "v9"}, "weight": 100}]}]},
            "spec.http[0].route[v9]",
        ),
        (
            {"http": [{"route": [{"destination": {"host": "reviews", "subset": "v1", "port": {"number": 1}}}]}]},
            "spec.http[0].route[v1].destination.port",
        ),
    ],
)
async def test_anything_else_changed_is_off_the_path_and_named(spec: dict[str, Any], path: str) -> None:
    position = await REVIEWS.position(there(live(100, 0, 0, **spec)))
    assert position.stage is None
    assert path in [difference.path for difference in position.differences]
    assert position.off_path.startswith("VirtualService bookinfo/reviews has ")
    assert position.moved_by == "istio.canary"


async def test_only_what_was_changed_is_named() -> None:
    edited = live(0, 0, 100)
    edited["spec"]["http"][0]["timeout"] = "2s"
    position = await REVIEWS.position(there(edited))
    assert position.off_path == "VirtualService bookinfo/reviews has http[0].timeout 2s as well"
    assert [(d.wanted, d.found) for d in position.differences] == [(ABSENT, "2s")]


@pytest.mark.parametrize("spec", [{}, {"http": []}, {"tcp": []}, {"http": [{"redirect": {"uri": "/"}}]}])
async def test_something_else_altogether_is_off_the_path(spec: dict[str, Any]) -> None:
    other = live(0, 0, 100)
    other["spec"] = spec
    assert (await REVIEWS.position(there(other))).off_path


async def test_the_holder_is_the_lab_that_moved_it_last() -> None:
    other = live(0, 0, 100)
    other["metadata"]["labels"]["workshop/lab"] = "istio.identity"
    assert (await REVIEWS.position(there(other))).moved_by == "istio.identity"
    other["metadata"]["labels"] = {}
    assert (await REVIEWS.position(there(other))).moved_by == ""


def test_weights_asked_for() -> None:
    assert REVIEWS.custom_stage(there()) is None
    run = there(weights="80, 20,0")
    stage = REVIEWS.custom_stage(run)
    assert stage is not None
    assert stage.name == "80,20,0"
    step = stage.step
    assert step.title == "Route reviews: v1 80 %, v2 20 %, v3 0 %"
    explained = step.explain(run)
    assert "weight: 80" in explained.commands[0]
    assert explained.commands[-1] == "curl (0.8, 0.2, 0.0)"


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ("80,10,0", "the weights add up to 90, not to 100"),
        ("80,20", "2 weights, but 3 subsets"),
        ("80,-20,40", "no whole numbers"),
        ("33.3,33.3,33.4", "no whole numbers"),
        ("", "no whole numbers"),
        ("²0,80,0", "no whole numbers"),
    ],
)
def test_weights_that_make_no_split(weights: str, problem: str) -> None:
    with pytest.raises(WrongFlags) as refused:
        REVIEWS.custom_stage(there(weights=weights))
    assert refused.value.exit_status == 2
    assert problem in refused.value.came_back
    assert "v1, v2, v3" in refused.value.cause
    assert refused.value.instead == {"--weights": "100,0,0"}


def test_a_declaration_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stage v1 .* add up to 90"):
        WeightedRoute("x", split("v1", "x", 90, 0), route=Route("a", "a", ("a", "b")), proof=Shares)


async def test_checks_name_exactly_what_is_not_as_wanted() -> None:
    thirds = REVIEWS.step("thirds", there())
    assert (await thirds.check(there(live(33, 33, 34)))).converged
    edited = await thirds.check(there(live(33, 23, 44)))
    assert [(d.path, d.wanted, d.found) for d in edited.differences] == [
        ("spec.http[0].route[v2].weight", 33, 23),
        ("spec.http[0].route[v3].weight", 34, 44),
    ]
    gone = await thirds.check(there())
    assert [(d.subject, d.path, d.found) for d in gone.differences] == [
        ("VirtualService bookinfo/reviews", "", ABSENT)
    ]


async def test_the_start_expects_equal_shares() -> None:
    step = REVIEWS.step("none", there())
    assert (await step.check(there())).converged
    assert not (await step.check(there(live(100, 0, 0)))).converged
    verdict = await step.verify(there())
    assert verdict
    assert verdict.reason == str((1 / 3, 1 / 3, 1 / 3))


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

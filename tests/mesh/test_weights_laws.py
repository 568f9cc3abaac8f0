"""What holds of every division of a service's requests."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.laws import LAW
from tests.kit.runs import Memory, Recorded, key
from tests.mesh.test_weighted_route import REVIEWS
from workshop.kubernetes.manifests import Object
from workshop.mesh.weighted_route import Weights

WEIGHTS = st.lists(st.integers(0, 100), min_size=2, max_size=2).map(
    lambda cuts: tuple(high - low for low, high in pairwise((0, *sorted(cuts), 100)))
)
"""Three that add up to 100."""

STRANGE = st.sampled_from(
    [
        {},
        {"gateways": ["other"]},
        {"http": [{"fault": {"abort": {"httpStatus": 500}}, "route": [{"destination": {"host": "reviews"}}]}]},
        {"http": [{"route": [{"destination": {"host": "reviews", "subset": "v9"}, "weight": 100}]}]},
        {"tcp": [{"route": [{"destination": {"host": "reviews"}}]}]},
    ]
)
"""What somebody may have put into the spec by hand."""


@settings(LAW, max_examples=150)
@given(WEIGHTS, WEIGHTS, STRANGE)
async def test_any_weights_that_add_up_to_100_are_reached_from_any_other(
    first: Weights, last: Weights, by_hand: Object
) -> None:
    kubectl = Memory()
    run = kubectl.run()
    there = REVIEWS.route.virtual_service(first, "istio.canary")
    there["spec"] |= by_hand
    kubectl.put(there)
    step = REVIEWS.to(last)
    outcome, _ = await run.converge(step)
    assert (outcome == "unchanged") == (first == last and not by_hand)

    live = kubectl.objects[key(there)]
    assert REVIEWS.route.weights(live) == last
    assert live["spec"] == REVIEWS.route.virtual_service(last, "istio.canary")["spec"]
    assert {entry["weight"] for entry in live["spec"]["http"][0]["route"]} <= set(range(1, 101))
    position = await REVIEWS.position(run)
    stages = {(100, 0, 0): "v1", (33, 33, 34): "thirds", (0, 0, 100): "v3"}
    assert position.stage == stages.get(last)
    assert (position.off_path == "") == (last in stages)

    kubectl.writes.clear()
    assert (await run.converge(step))[0] == "unchanged"
    assert kubectl.writes == []


@settings(LAW, max_examples=50)
@given(WEIGHTS)
async def test_the_way_back_leaves_nothing(weights: Weights) -> None:
    kubectl = Memory()
    run = kubectl.run()
    await run.converge(REVIEWS.to(weights))
    await run.converge(REVIEWS.step("none", run))
    assert kubectl.objects == {}


@settings(LAW, max_examples=100)
@given(WEIGHTS, st.sampled_from([",", ", ", " ,"]))
def test_weights_are_read_as_they_are_written(weights: Weights, comma: str) -> None:
    stage = REVIEWS.custom_stage(Recorded(options={"weights": comma.join(map(str, weights))}))
    assert stage is not None
    assert stage.name == ",".join(map(str, weights))

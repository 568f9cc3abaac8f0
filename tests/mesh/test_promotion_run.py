"""What `--promote` asks for: the step, its YAML, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs.istio import canary
from labs.istio.canary import PROMOTION, REVIEWS
from tests.mesh.test_weighted_route import there
from workshop.kubernetes.manifests import Manifests
from workshop.mesh import proxy_stats
from workshop.mesh.promotion_run import Promote
from workshop.runbook.errors import UsageError, WrongFlags
from workshop.runbook.model import Runbook
from workshop.runbook.options import Option
from workshop.runbook.request import Request
from workshop.runbook.run import Run
from workshop.settings import ROOT

IMAGES = {f"bookinfo-reviews-v{number}": "reviews" for number in (1, 2, 3)} | {"podinfo": "podinfo"}
LABS = Manifests(ROOT / "labs", IMAGES)


def asking(*live: dict[str, object], **options: str) -> Run:
    run = there(*live, **options)
    run.toolbox = {**run.toolbox, Manifests: LABS}
    return run


def asked(**options: str) -> Promote:
    run = asking(**options)
    stage = REVIEWS.custom_stage(run)
    assert stage is not None
    assert isinstance(stage.step, Promote)
    return stage.step


def live(**weights: int) -> dict[str, object]:
    step = asked(promote=list(weights)[-1])
    found = step.virtual_service(list(weights.values())[-1], asking())
    found["metadata"]["uid"] = "1"
    return found


def test_nothing_is_promoted_unasked() -> None:
    assert REVIEWS.custom_stage(asking()) is None
    stage = REVIEWS.custom_stage(asking(weights="80,20,0"))
    assert stage is not None
    assert stage.name == "80,20,0"
    assert REVIEWS.step("v1", asking()).title == "All requests to v1"


def test_the_title_says_the_stages() -> None:
    assert asked(promote="v3").title == "Promote v3: 5, 25, 50 and 100 %, measured at each"
    own = {"promote-stages": "10,100"}
    assert asked(promote="slow", **own).title == "Promote slow: 10 and 100 %, measured at each"


@pytest.mark.parametrize(
    ("options", "tried", "came_back", "instead"),
    [
        ({"promote": "v9"}, "use --promote v9", "it is one of v3, erring, slow", {"--promote": "v3"}),
        (
            {"promote": "v3", "weights": "80,20,0"},
            "use --promote and --weights together",
            "each says where to go",
            {"--weights": None},
        ),
        ({"promote": ""}, "use --promote ''", "it is one of v3, erring, slow", {"--promote": "v3"}),
    ],
)
def test_what_contradicts_itself_is_refused(
    options: dict[str, str], tried: str, came_back: str, instead: dict[str, str | None]
) -> None:
    with pytest.raises(WrongFlags) as refused:
        REVIEWS.custom_stage(asking(**options))
    assert (refused.value.tried, refused.value.came_back) == (tried, came_back)
    assert refused.value.instead == instead


@pytest.mark.parametrize("option", PROMOTION.options[1:])
def test_what_is_about_a_promotion_is_refused_without_one(option: Option) -> None:
    """Also the value that it has anyway."""
    asked = {option.name: option.default}
    runbook = Runbook((replace(canary.LAB, needs=()),))
    with pytest.raises(UsageError) as refused:
        Request((canary.LAB.name,), options={canary.LAB.name: asked}).validate(runbook)
    assert refused.value.tried == f"use --{option.name} without --promote"
    assert refused.value.next_command == "invoke --help lab.istio.canary"
    Request((canary.LAB.name,), options={canary.LAB.name: {**asked, "promote": "v3"}}).validate(runbook)


async def test_the_last_stage_is_the_goal() -> None:
    step = asked(promote="v3")
    assert (await step.check(asking(live(v3=100)))).note == "v3 has all requests already"
    for other in (live(v3=50), live(erring=100)):
        assert not (await step.check(asking(other))).converged
    found = await asked(promote="erring").check(asking(live(v3=100)))
    assert {
        "DestinationRule bookinfo/reviews-erring",
        "Deployment bookinfo/reviews-erring",
        "VirtualService bookinfo/reviews",
    } == {difference.subject for difference in found.differences}


async def test_a_promotion_that_was_killed_is_off_the_path() -> None:
    position = await REVIEWS.position(asking(live(v3=5)))
    assert position.off_path == "VirtualService bookinfo/reviews has the weights v1 95 %, v2 0 %, v3 5 %"
    assert (await REVIEWS.position(asking(live(erring=25)))).off_path


async def test_what_was_only_there_to_be_tried_goes_at_any_stage() -> None:
    tried = asked(promote="slow").objects(asking())
    assert (await REVIEWS.position(asking(live(v3=100), *tried))).off_path
    found = await REVIEWS.step("v1", asking()).check(asking(live(v3=0), *tried))
    assert [difference.subject for difference in found.differences] == [
        "DestinationRule bookinfo/reviews-slow",
        "Service bookinfo/ratings-slow",
        "VirtualService bookinfo/ratings-slow",
        "Deployment bookinfo/reviews-slow",
    ]


def test_candidates_name_just_what_their_files_have() -> None:
    for candidate in PROMOTION.candidates:
        objects = asked(promote=candidate.subset).objects(asking())
        assert candidate.objects == tuple(
            (obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in objects
        )


def subsets(objects: list[dict[str, Any]]) -> set[str]:
    """Those of the service reviews."""
    rules = [obj["spec"] for obj in objects if obj["kind"] == "DestinationRule"]
    return {subset["name"] for spec in rules if spec["host"] == "reviews" for subset in spec["subsets"]}


def test_every_candidate_is_a_subset_and_the_caller_counts_its_calls() -> None:
    """What is only there to be tried is a subset only then: one without pods is an error to `istioctl analyze`
    (`shared/real/istioctl/analyze-A.txt`, IST0173)."""
    lasting = subsets(LABS.load("istio.canary", "subsets.yaml"))
    assert lasting == set(REVIEWS.route.subsets)
    assert PROMOTION.stable in lasting
    for candidate in PROMOTION.candidates:
        own = subsets(asked(promote=candidate.subset).objects(asking()))
        assert candidate.subset in (own if candidate.file else lasting)
    page = list(yaml.safe_load_all(Path(LABS.path("istio.canary", "bookinfo-productpage.yaml")).read_text()))[-1]
    assert f"deploy/{page['metadata']['name']}" == PROMOTION.caller
    annotations = page["spec"]["template"]["metadata"]["annotations"]
    assert yaml.safe_load(annotations[proxy_stats.ANNOTATION]) == yaml.safe_load(proxy_stats.SETTING)


def test_the_explanation_has_the_yaml_of_each_stage() -> None:
    explained = asked(promote="slow").explain(asking(promote="slow"))
    typed = [command.splitlines() for command in explained.commands if command.startswith("kubectl apply")]
    documents = [document for lines in typed for document in yaml.safe_load_all("\n".join(lines[1:-1]))]
    weights = [
        [(entry["destination"]["subset"], entry["weight"]) for entry in document["spec"]["http"][0]["route"]]
        for document in documents
        if document["metadata"]["name"] == "reviews"
    ]
    assert weights == [
        [("v1", 100)],
        [("v1", 95), ("slow", 5)],
        [("v1", 75), ("slow", 25)],
        [("v1", 50), ("slow", 50)],
        [("slow", 100)],
        [("v1", 100)],
    ]
    assert explained.commands.index("# to roll back, when a figure is bad:") == len(explained.commands) - 3
    assert "kubectl rollout status -n bookinfo deployment/reviews-slow" in explained.commands
    assert "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT" in explained.commands
    assert explained.commands[-1] == "kubectl delete -f labs/istio/reviews-slow.yaml"
    assert [int(found) for found in re.findall(r"seq (\d+)", str(explained.commands))] == [5239, 1128, 1394, 215]


def test_who_tries_nothing_has_nothing_to_delete() -> None:
    commands = REVIEWS.step("v1", asking()).explain(asking()).commands
    assert [command for command in commands if "delete" in command] == [
        "kubectl delete virtualservice ratings -n bookinfo --ignore-not-found"
    ]


def test_the_lab_has_the_options() -> None:
    names = [option.name for option in canary.LAB.options]
    assert names == ["weights", "promote", "promote-stages", "max-errors", "max-latency", "source"]

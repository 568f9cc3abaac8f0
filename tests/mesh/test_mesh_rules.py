"""What is read out of rules. The fields are those of
https://istio.io/latest/docs/reference/config/networking/virtual-service/ and .../destination-rule/."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from labs.istio import canary
from tests.kit.mesh_samples import rules
from workshop.kubernetes.manifests import Manifests
from workshop.mesh.mesh_rules import Fault, Limit, Rules, Split, Weighted, full_name, rules_of
from workshop.settings import ROOT

REVIEWS, RATINGS = "reviews.bookinfo.svc.cluster.local", "ratings.bookinfo.svc.cluster.local"


def made(text: str, kind: str = "VirtualService", namespace: str = "bookinfo") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "it", "namespace": namespace}, "spec": yaml.safe_load(text)}


def test_a_canary_a_fault_and_limits() -> None:
    found = rules_of(rules())
    canary_split, faulty = found.splits
    parts = (Weighted(REVIEWS, "v1", "v1", 80), Weighted(REVIEWS, "v3", "v3", 20))
    assert canary_split == Split("bookinfo/reviews", parts)
    assert faulty.destinations == (Weighted(RATINGS, "v1", "v1", 100),)
    assert found.faults == (Fault(RATINGS, "delay 7s for 50 %", delayed=50),)
    httpbin = "httpbin.primary.svc.cluster.local"
    assert found.limits == (Limit(httpbin, "connections 1, waiting requests 1", ejects=True),)


def test_the_labs_own_rules() -> None:
    subsets = Manifests(ROOT / "labs", {}).load("istio.canary", "subsets.yaml")
    route = canary.REVIEWS.route.virtual_service((33, 33, 34), "istio.canary")
    (split,) = rules_of([*subsets, route]).splits
    assert [(one.version, one.weight) for one in split.destinations] == [("v1", 33), ("v2", 33), ("v3", 34)]


def test_which_requests_take_a_route_is_said() -> None:
    found = rules_of(
        [
            made(
                """
                http:
                - match: [{headers: {end-user: {exact: jason}}}, {uri: {prefix: /beta}, method: {exact: GET}}]
                  fault: {abort: {httpStatus: 500, percentage: {value: 100}}}
                  route: [{destination: {host: reviews, subset: v2}}]
                - route: [{destination: {host: reviews, subset: v3}}]
                """
            )
        ]
    )
    assert [split.when for split in found.splits] == [
        "end-user jason or uri prefix /beta, method GET",
        "all others",
    ]
    assert found.faults == (Fault(REVIEWS, "abort HTTP 500 for 100 %", found.splits[0].when),)


def test_a_subset_by_other_labels_has_no_version() -> None:
    subsets = "[{name: old, labels: {track: old}}, {name: v1, labels: {version: v1, track: x}}]"
    rule = made(f"{{host: reviews, subsets: {subsets}}}", "DestinationRule")
    old, new = (f"{{destination: {{host: reviews, subset: {name}}}, weight: 50}}" for name in ("old", "v1"))
    (split,) = rules_of([rule, made(f"http: [{{route: [{old}, {new}]}}]")]).splits
    assert [(one.label, one.version) for one in split.destinations] == [("old", None), ("v1", None)]


@pytest.mark.parametrize(
    "spec", ["{}", "{http: []}", "{http: [{}]}", "{http: [{route: []}]}", "{tcp: [{}]}", "http: [{redirect: {}}]"]
)
def test_what_routes_nothing_says_nothing(spec: str) -> None:
    assert rules_of([made(spec), made(spec, "DestinationRule"), made(spec, "Gateway")]) == Rules()


def test_a_host_is_of_the_rules_own_namespace_unless_it_says_another() -> None:
    assert full_name("reviews", "bookinfo") == REVIEWS
    assert full_name("api.example.com", "bookinfo") == "api.example.com"


def test_only_what_a_rule_limits_is_told() -> None:
    ejecting, tls = "{outlierDetection: {}}", "{tls: {mode: ISTIO_MUTUAL}}"
    specs = [f"{{host: reviews, trafficPolicy: {policy}}}" for policy in (ejecting, tls)]
    found = [rules_of([made(spec, "DestinationRule")]) for spec in specs]
    assert [rules.limits for rules in found] == [(Limit(REVIEWS, "", ejects=True),), ()]

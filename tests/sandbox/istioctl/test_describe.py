"""What `istioctl x describe` says of rules: cases/describe.yaml. A whole pod is described in tests/conformance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.istioctl.describe import _Described, _Dump, _port_line
from tests.kit.cases import content_of

CASES = content_of(Path(__file__).parent / "cases/describe.yaml")
METADATA = {"name": "r", "namespace": "shop"}
SERVICE = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}}}
NO_CLIENT: Any = None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["says"][-1].strip())
def test_what_is_said(case: dict[str, Any]) -> None:
    described = _Described(NO_CLIENT, "shop", [{"app": "web", "version": "v1"}])
    rule = {"metadata": METADATA, "spec": case["rule"]} if "rule" in case else None
    if "http" in case:
        routed = {"metadata": METADATA, "spec": {"http": case["http"]}}
        found = described._of_virtual_service(routed, SERVICE, rule)
    else:
        found = described._of_destination_rule(rule or {})
    assert list(found) == case["says"]


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ({"name": "http-a", "port": 80, "targetPort": 8080}, "Port: http-a 80/HTTP targets pod port 8080"),
        ({"name": "grpc-web", "port": 80, "targetPort": "web"}, "Port: grpc-web 80/GRPC-Web targets pod port 9090"),
        ({"port": 80}, "Port:  80/auto-detect targets pod port 80"),
        ({"name": "web", "port": 80}, "Port: web 80/UnsupportedProtocol targets pod port 80"),
        ({"name": "x", "appProtocol": "mongo", "port": 1}, "Port: x 1/Mongo targets pod port 1"),
        ({"name": "http", "port": 80, "targetPort": "none"}, "no suitable port for manifest: u"),
    ],
)
def test_a_port(port: dict[str, Any], said: str) -> None:
    containers = [{"name": "web", "ports": [{"name": "web", "containerPort": 9090}]}]
    assert _port_line(port, {"metadata": {"uid": "u"}, "spec": {"containers": containers}}) == said


def test_policies_are_those_of_the_first_http_that_comes_in() -> None:
    rbac = {"name": "envoy.filters.http.rbac", "typed_config": {"rules": {"policies": {"b": {}, "a": {}}}}}
    chains = [
        {"filters": [{"typed_config": {"cluster": "inbound|1||"}}]},
        {"filters": [{"typed_config": {"http_filters": [{"name": "other"}, rbac]}}]},
    ]
    listeners = [
        {"active_state": {"listener": {"name": "outbound", "filter_chains": chains}}},
        {"active_state": {"listener": {"name": "virtualInbound", "filter_chains": chains}}},
    ]
    assert _Dump({"configs": [{"dynamic_listeners": listeners}]}).policies() == ["a", "b"]
    assert _Dump({"configs": [{"dynamic_listeners": listeners[:1]}]}).policies() == []

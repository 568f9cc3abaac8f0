"""VirtualServices in, Envoy's routes out: cases/routes.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.mesh import http_routes
from sandbox.mesh.http_routes import Context
from sandbox.mesh.registry import Proxy
from tests.kit.cases import content_of

from . import inputs

CASES = content_of(Path(__file__).parent / "cases/routes.yaml")
PROXY = Proxy("sidecar", "p", "shop", "127.64.16.1", {"app": "p"})


def service(name: str, *ports: int) -> dict:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "127.64.128.1", "ports": [{"port": p, "name": f"http-{p}"} for p in ports]},
    }


REGISTRY = inputs.known([service("one", 80), service("two", 80, 90)])


def expanded(rule: dict[str, Any]) -> dict[str, Any]:
    """With the route that `to` stands for."""
    more = {field: value for field, value in rule.items() if field != "to"}
    if "to" not in rule:
        return more
    host, subset = rule["to"] if isinstance(rule["to"], list) else (rule["to"], "")
    return {"route": [{"destination": {"host": host, **({"subset": subset} if subset else {})}}], **more}


def shortened(value: Any) -> Any:
    """With clusters' names as the cases have them."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    return (
        value.removeprefix("p.shop/").removesuffix(".shop.svc.cluster.local") if isinstance(value, str) else value
    )


def of(expected: Any, found: Any) -> Any:
    """What of `found` is spoken of in `expected`. A match, and what is in a list, is spoken of as a whole."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return found
    return {key: found.get(key) if key == "match" else of(inner, found.get(key)) for key, inner in expected.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["http"])[:100])
def test_routes(case: dict[str, Any]) -> None:
    spec = {"hosts": ["one"], "http": [expanded(rule) for rule in case["http"]]}
    rule = {"metadata": {"name": "r", "namespace": "shop"}, "spec": spec}
    made = shortened(http_routes.translate(rule, Context(PROXY, case.get("port", 80), "mesh", REGISTRY)))
    assert len(made) == len(case["routes"])
    assert [of(expected, found) for expected, found in zip(case["routes"], made, strict=True)] == case["routes"]


def test_a_service_that_no_rule_is_for_is_routed_as_by_a_rule_that_says_nothing_else() -> None:
    destination = {"host": "one.shop.svc.cluster.local"}
    rule = {
        "metadata": {"name": "r", "namespace": "shop"},
        "spec": {"http": [{"route": [{"destination": destination}]}]},
    }
    context = Context(PROXY, 80, "mesh", REGISTRY)
    (by_rule,) = http_routes.translate(rule, context)
    plain = {"name": "default", **{key: by_rule[key] for key in by_rule if key != "metadata"}}
    assert http_routes.to(destination, context) == [plain]

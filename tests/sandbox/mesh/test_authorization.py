"""What Envoy is told of who may ask whom (cases/authorization.yaml), and that a real one takes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sandbox.mesh.authorization import DRY_RUN, Authorization, concerning
from sandbox.mesh.envoy import binary
from sandbox.mesh.envoy_clusters import socket_address
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX, encode
from tests.kit.cases import content_of

CASES = content_of(Path(__file__).parent / "cases/authorization.yaml")
NETWORK = "envoy.extensions.filters.network"


def of(case: dict[str, Any], **annotations: str) -> Authorization:
    policies = []
    for ((place, spec),) in map(dict.items, case["policies"]):
        namespace, _, name = place.partition("/")
        metadata = {"name": name, "namespace": namespace, "annotations": annotations}
        policies.append({"metadata": metadata, "spec": spec})
    return concerning(policies, "shop", {"app": "one"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_what_is_made(case: dict[str, Any]) -> None:
    found = of(case)
    if "http" in case:
        assert [one["typed_config"]["rules"] for one in found.http_filters()] == case["http"]
    if "tcp" in case:
        assert [one["typed_config"]["rules"] for one in found.tcp_filters()] == case["tcp"]
    assert {one["name"] for one in found.http_filters()} <= {"envoy.filters.http.rbac"}
    assert {one["name"] for one in found.tcp_filters()} <= {"envoy.filters.network.rbac"}
    assert all(one["typed_config"]["stat_prefix"] == "me/tcp." for one in found.tcp_filters("me/"))


def test_a_dry_run_is_counted_only() -> None:
    case = {"policies": [{"shop/a": {"action": "DENY", "rules": [{}]}}]}
    (enforced,) = of(case, **{DRY_RUN: "false"}).http_filters()
    (counted,) = of(case, **{DRY_RUN: "true"}).http_filters()
    assert counted["typed_config"].pop("shadow_rules") == enforced["typed_config"].pop("rules")
    assert "rules" not in counted["typed_config"]
    assert counted["typed_config"]["shadow_rules_stat_prefix"] == "istio_dry_run_deny_"
    assert enforced["typed_config"]["shadow_rules_stat_prefix"] == "istio_dry_run_allow_"


def chain(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Two filter chains that have the filters of a case."""
    made = of(case)
    manager = {
        "@type": f"{TYPE_PREFIX}{NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "route_config": {"virtual_hosts": []},
        "http_filters": [
            *made.http_filters(),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE_PREFIX}envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    forward = {"@type": f"{TYPE_PREFIX}{NETWORK}.tcp_proxy.v3.TcpProxy", "stat_prefix": "a", "cluster": "a"}
    return [
        {"filters": [{"name": "http", "typed_config": manager}]},
        {"filters": [*made.tcp_filters(), {"name": "tcp", "typed_config": forward}]},
    ]


def test_envoy_takes_all_of_it(tmp_path: Path) -> None:
    chains = [
        {**one, "filter_chain_match": {"destination_port": 1 + index}}
        for index, one in enumerate(found for case in CASES for found in chain(case))
    ]
    listener = {"name": "a", "address": socket_address("127.0.0.1", 1), "filter_chains": chains}
    encode("envoy.config.listener.v3.Listener", listener)
    clusters = [{"name": "a", "connect_timeout": "1s"}]
    bootstrap = {"static_resources": {"listeners": [listener], "clusters": clusters}}
    (tmp_path / "envoy.json").write_text(json.dumps(bootstrap), encoding="utf-8")
    command = [binary(), "--mode", "validate", "-c", tmp_path / "envoy.json", "--concurrency", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

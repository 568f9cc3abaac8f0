"""Which DestinationRule is for whom, and its traffic policy in Envoy's words."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.mesh import traffic_policies
from sandbox.mesh.rules import ROOT_NAMESPACE
from sandbox.mesh.xds import envoy_messages

from . import inputs

HOST = "one.shop.svc.cluster.local"
LIMIT = {"connectionPool": {"tcp": {"maxConnections": 1}}}
RANDOM = {"loadBalancer": {"simple": "RANDOM"}}
PLAIN = {"tls": {"mode": "DISABLE"}}


def rule(name: str, namespace: str = "shop", day: int = 1, **spec: Any) -> dict:
    created = f"2026-01-{day:02}T00:00:00Z"
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": {"host": HOST, **spec},
    }


def traffic(client: str, *found: dict) -> object:
    return inputs.rules(destination_rules=found).policy(HOST, "shop", client).traffic


def test_the_policy_is_the_oldest_one_there_is() -> None:
    assert traffic(
        "shop", rule("a"), rule("b", day=3, trafficPolicy=LIMIT), rule("c", day=2, trafficPolicy=RANDOM)
    ) == (RANDOM)


def test_rules_for_other_namespaces_are_not_merged() -> None:
    subsets = [{"name": "v1"}], [{"name": "v2"}]
    found = inputs.rules(
        destination_rules=[
            rule("a", subsets=subsets[0], exportTo=["client"]),
            rule("b", day=2, subsets=subsets[1]),
            rule("c", day=3, trafficPolicy=LIMIT, exportTo=["*"]),
        ],
    )
    in_client, elsewhere = (found.policy(HOST, "shop", client) for client in ("client", "other"))
    assert (set(in_client.subsets), in_client.traffic) == ({"v1"}, {})
    assert (set(elsewhere.subsets), elsewhere.traffic) == ({"v2"}, LIMIT)


def test_a_rule_for_its_own_namespace_is_not_seen_by_others() -> None:
    own = rule("a", exportTo=["."], trafficPolicy=LIMIT)
    assert traffic("shop", own) == LIMIT
    assert traffic("other", own) == {}


def test_the_root_namespaces_rules_come_last_also_for_clients_in_it() -> None:
    everybodys = rule("a", ROOT_NAMESPACE, host="*.local", trafficPolicy=RANDOM)
    assert traffic("client", everybodys) == RANDOM
    assert traffic(ROOT_NAMESPACE, everybodys, rule("b", trafficPolicy=LIMIT)) == LIMIT
    alone = rule("c", ROOT_NAMESPACE, host="*.local", exportTo=["."], trafficPolicy=PLAIN)
    assert traffic(ROOT_NAMESPACE, everybodys, rule("b", trafficPolicy=LIMIT), alone) == PLAIN


def test_a_subset_replaces_part_by_part_and_a_port_inherits_nothing() -> None:
    whole = {**LIMIT, **RANDOM, "portLevelSettings": [{"port": {"number": 81}, **PLAIN}]}
    assert traffic_policies.of_port(whole, 80) == {**LIMIT, **RANDOM}
    assert traffic_policies.of_port(whole, 81) == PLAIN
    subset = {"connectionPool": {"http": {"maxRetries": 5}}}
    assert traffic_policies.of_port(subset, 80, traffic_policies.of_port(whole, 80)) == {**subset, **RANDOM}
    assert traffic_policies.of_port(subset, 81, traffic_policies.of_port(whole, 81)) == {**subset, **PLAIN}


def test_without_limits_there_are_none_and_zero_is_none() -> None:
    (limits,) = traffic_policies.circuit_breakers({"tcp": {"maxConnections": 0}, "http": {"maxRetries": 7}})[
        "thresholds"
    ]
    assert limits["max_connections"] == limits["max_pending_requests"] == limits["max_requests"] == 2**32 - 1
    assert limits["max_retries"] == 7


def test_ejection_as_istiod_has_it() -> None:
    assert traffic_policies.outlier_detection(None) == {}
    found = traffic_policies.outlier_detection(
        {"consecutive5xxErrors": 1, "consecutiveGatewayErrors": 0, "interval": "1s"}
    )
    assert found == {
        "outlier_detection": {
            "enforcing_success_rate": 0,
            "consecutive_5xx": 1,
            "enforcing_consecutive_5xx": 100,
            "consecutive_gateway_failure": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "interval": "1s",
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    split = {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 2, "minHealthPercent": 30}
    found = traffic_policies.outlier_detection(split)
    assert found["outlier_detection"]["enforcing_consecutive_local_origin_failure"] == 100
    assert found["common_lb_config"] == {"healthy_panic_threshold": {"value": 30}}


@pytest.mark.parametrize(
    ("hashing", "policy", "expected"),
    [
        ({"httpHeaderName": "x-user"}, "RING_HASH", {"header": {"header_name": "x-user"}}),
        (
            {"useSourceIp": True, "maglev": {"tableSize": 11}},
            "MAGLEV",
            {"connection_properties": {"source_ip": True}},
        ),
        ({"httpQueryParameterName": "q", "ringHash": {}}, "RING_HASH", {"query_parameter": {"name": "q"}}),
        (
            {"httpCookie": {"name": "user", "path": "/", "ttl": "0s", "attributes": [{"name": "Secure"}]}},
            "RING_HASH",
            {"cookie": {"name": "user", "path": "/", "ttl": "0s", "attributes": [{"name": "Secure", "value": ""}]}},
        ),
    ],
)
def test_hashing(hashing: dict, policy: str, expected: dict) -> None:
    balancer = {"consistentHash": hashing}
    made = traffic_policies.load_balancer(balancer)
    assert made["lb_policy"] == policy
    assert traffic_policies.hash_policy({"loadBalancer": balancer}) == [expected]
    envoy_messages.encode("envoy.config.cluster.v3.Cluster", made)
    envoy_messages.encode("envoy.config.route.v3.RouteAction.HashPolicy", expected)


def test_connections_last_as_long_as_the_policy_says() -> None:
    tcp = {"connectTimeout": "1s", "idleTimeout": "5m", "maxConnectionDuration": "1h"}
    keepalive = {"probes": 3, "time": "60s", "interval": "10s"}
    pool = {"tcp": {**tcp, "tcpKeepalive": keepalive}, "http": {"maxRequestsPerConnection": 4}}
    made = traffic_policies.connection(pool)
    assert made["connect_timeout"] == "1s"
    assert made["upstream_connection_options"]["tcp_keepalive"] == {
        "keepalive_probes": 3,
        "keepalive_time": 60,
        "keepalive_interval": 10,
    }
    envoy_messages.encode("envoy.config.cluster.v3.Cluster", made)
    assert traffic_policies.http_options(pool) == {
        "idle_timeout": "300s",
        "max_requests_per_connection": 4,
        "max_connection_duration": "3600s",
    }
    assert traffic_policies.tcp_proxy({"connectionPool": pool}) == {
        "idle_timeout": "300s",
        "max_downstream_connection_duration": "3600s",
    }

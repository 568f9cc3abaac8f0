"""For each field of Istio's rules: a rule in which it means something, and a value that does."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

Spec = dict[str, Any]

TO: Spec = {"destination": {"host": "one"}}


def http(**fields: Any) -> Spec:
    return {"hosts": ["one"], "http": [{"route": [TO], **fields}]}


def answered(**fields: Any) -> Spec:
    return {"hosts": ["one"], "http": [fields]}


BASE: dict[str, Spec] = {
    "Gateway": {
        "selector": {"app": "gate"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
    "VirtualService": http(),
    "DestinationRule": {"host": "one", "subsets": [{"name": "v1", "labels": {"app": "one"}}]},
    "ServiceEntry": {
        "hosts": ["out.example"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.64.1.1"}],
    },
}

BESIDE: dict[str, dict[str, Spec]] = {
    "Gateway": {"VirtualService": {**BASE["VirtualService"], "gateways": ["gate"], "hosts": ["a.example"]}},
    "DestinationRule": {
        "VirtualService": {
            "hosts": ["two"],
            "http": [{"route": [{"destination": {"host": "one", "subset": "v1"}}]}],
        }
    },
    "ServiceEntry": {
        "DestinationRule": {"host": "out.example", "subsets": [{"name": "v1", "labels": {"key": "1s"}}]}
    },
}
"""Rules of other kinds that make a kind's fields count."""

_BY_HEADER: Spec = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x"}}}
_BY_REGEX = {"uriRegexRewrite": {"match": "a", "rewrite": "b"}}


def _encrypted(protocol: str) -> Spec:
    """The Secrets `a` and `b` are there."""
    port = {"number": 443, "name": "https", "protocol": protocol}
    tls = {"mode": "SIMPLE", "credentialName": "a"}
    return {"selector": {"app": "gate"}, "servers": [{"port": port, "hosts": ["*"], "tls": tls}]}


_AROUND: dict[str, dict[str, Spec]] = {
    "Gateway": {
        "servers.port.protocol": _encrypted("HTTP"),
        "servers.tls": _encrypted("HTTPS"),
        "servers.tls.httpsRedirect": BASE["Gateway"],
    },
    "VirtualService": {
        "http.redirect": answered(redirect={"uri": "/a"}),
        "http.redirect.derivePort": {"hosts": ["two"], "http": [{"redirect": {"uri": "/a"}}]},
        "http.redirect.prefixRewrite": answered(redirect={"scheme": "https"}),
        "http.directResponse": answered(directResponse={"status": 200}),
        "http.match.ignoreUriCase": http(match=[{"uri": {"prefix": "/a"}}]),
        "http.retries": http(retries={"attempts": 1}),
        "http.rewrite.uriRegexRewrite": http(rewrite=_BY_REGEX),
        "http.fault.delay": http(fault={"delay": {"fixedDelay": "1s"}}),
        "http.fault.abort": http(fault={"abort": {"httpStatus": 500}}),
        "http.fault.abort.grpcStatus": http(fault={"abort": {}}),
        "http.mirror": http(mirror={"host": "two"}),
        "http.mirrorPercent": http(mirror={"host": "two"}),
        "http.mirrorPercentage": http(mirror={"host": "two"}),
        "http.mirrors": http(mirrors=[{"destination": {"host": "two"}}]),
        "http.route.weight": http(route=[{**TO, "weight": 1}, {**TO, "weight": 1}]),
    },
    "ServiceEntry": {
        "resolution": {field: value for field, value in BASE["ServiceEntry"].items() if field != "endpoints"},
        "endpoints.ports": {
            **BASE["ServiceEntry"],
            "ports": [{"number": 80, "name": "key", "protocol": "HTTP"}],
        },
    },
}
"""In place of the base for the field and those below it; the longest path counts."""

_AROUND_POLICY: dict[str, Spec] = {
    "outlierDetection": {"outlierDetection": {}},
    "outlierDetection.consecutiveLocalOriginFailures": {
        "outlierDetection": {"splitExternalLocalOriginErrors": True}
    },
    "connectionPool.tcp": {"connectionPool": {"tcp": {}}},
    "connectionPool.http": {"connectionPool": {"http": {}}},
    "loadBalancer.consistentHash.minimumRingSize": _BY_HEADER,
    "loadBalancer.consistentHash.ringHash": _BY_HEADER,
    "loadBalancer.consistentHash.maglev": _BY_HEADER,
    "loadBalancer.consistentHash.httpCookie": {
        "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}}}
    },
    "loadBalancer.consistentHash.httpCookie.attributes": {
        "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "attributes": [{"name": "a"}]}}}
    },
    "port": {"connectionPool": {"tcp": {"maxConnections": 1}}},
}
"""The same for a DestinationRule's traffic policies, at each of their levels."""

_EXAMPLES: dict[str, Spec] = {
    "Gateway": {
        "servers.hosts": "b.example",
        "servers.port.protocol": "HTTPS",
        "servers.port.number": 81,
        "servers.tls.mode": "MUTUAL",
        "servers.tls.credentialName": "b",
        "servers.tls.minProtocolVersion": "TLSV1_3",
        "servers.tls.maxProtocolVersion": "TLSV1_2",
    },
    "DestinationRule": {"host": "two", "exportTo": "."},
    "ServiceEntry": {
        "hosts": "other.example",
        "addresses": "127.64.200.1",
        "location": "MESH_INTERNAL",
        "resolution": "NONE",
        "exportTo": ".",
        "ports.number": 81,
        "ports.protocol": "TCP",
        "endpoints.address": "127.64.1.2",
        "endpoints.weight": 5,
    },
    "VirtualService": {
        "hosts": "two",
        "gateways": "gate",
        "exportTo": ".",
        "http.match.port": 81,
        "http.match.gateways": "gate",
        "http.match.sourceNamespace": "other",
        "http.route.weight": 5,
        "http.redirect.redirectCode": 302,
        "http.redirect.scheme": "https",
        "http.redirect.derivePort": "FROM_REQUEST_PORT",
        "http.redirect.port": 8080,
        "http.directResponse.status": 404,
        "http.directResponse.body.bytes": "YQ==",
        "http.rewrite.uriRegexRewrite.match": "c",
        "http.rewrite.uriRegexRewrite.rewrite": "c",
        "http.retries.attempts": 5,
        "http.retries.retryOn": "5xx",
        "http.retries.retryIgnorePreviousHosts": False,
        "http.fault.delay.fixedDelay": "2s",
        "http.fault.abort.httpStatus": 501,
        "http.fault.abort.grpcStatus": "ABORTED",
        "http.corsPolicy.allowMethods": "GET",
        "http.corsPolicy.allowOrigin": "http://a.example",
        "http.corsPolicy.unmatchedPreflights": "IGNORE",
    },
}
"""Where any value would not do."""

_POLICY_EXAMPLES: Spec = {
    "loadBalancer.simple": "RANDOM",
    "loadBalancer.consistentHash.maglev.tableSize": 101,
    "connectionPool.http.h2UpgradePolicy": "DO_NOT_UPGRADE",
    "tls.mode": "DISABLE",
    "port.number": 81,
}

_CHANGES_NOTHING: dict[str, dict[str, str]] = {
    "Gateway": {
        "servers.name": "a name",
        "servers.port.name": "a name",
    },
    "ServiceEntry": {
        "ports.name": "a name, by which endpoints say their ports",
        "location": "decides on mutual TLS, which the sandbox does not have",
    },
}
_POLICY_CHANGES_NOTHING = {
    "connectionPool.http.h2UpgradePolicy": "what is taken is what the sandbox does anyway",
    "tls.mode": "what is taken is what the sandbox does anyway",
}
"""Fields that change nothing by themselves, and why."""


_LEVEL = re.compile(r"((?:subsets\.)?trafficPolicy(?:\.portLevelSettings)?)\.((?!portLevelSettings).+)")


def base(kind: str, path: str) -> Spec:
    """A rule without the field, in which it would mean something."""
    if level := _LEVEL.fullmatch(path):
        return _with_policy(level[1], level[2])
    return copy.deepcopy(_longest(_AROUND.get(kind, {}), path) or BASE[kind])


def example(kind: str, path: str, otherwise: Any) -> Any:
    level = _LEVEL.fullmatch(path)
    examples, name = (_POLICY_EXAMPLES, level[2]) if level else (_EXAMPLES.get(kind, {}), path)
    return copy.deepcopy(examples.get(name, otherwise))


def changes_nothing(kind: str, path: str) -> bool:
    level = _LEVEL.fullmatch(path)
    return level[2] in _POLICY_CHANGES_NOTHING if level else path in _CHANGES_NOTHING.get(kind, {})


def _with_policy(level: str, field: str) -> Spec:
    rule = copy.deepcopy(BASE["DestinationRule"])
    if field.endswith("maxConcurrentStreams"):
        rule["host"] = "three"
    policy = copy.deepcopy(_longest(_AROUND_POLICY, field) or {})
    if level.endswith("portLevelSettings"):
        policy = {"portLevelSettings": [{"port": {"number": 80}, **policy}]}
    if policy:
        (rule["subsets"][0] if level.startswith("subsets") else rule)["trafficPolicy"] = policy
    return rule


def _longest(around: Mapping[str, Spec], path: str) -> Spec | None:
    """For the path itself, or else what is nearest above it."""
    parts = path.split(".")
    paths = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((around[above] for above in paths if above in around), None)

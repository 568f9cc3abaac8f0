"""The one table of what the sandbox's mesh supports of Istio's rules. Everything else is refused by its path.

A path leaves out indices; `*` stands for any key of a map. Where a field takes a few values only, they are in
`VALUES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sandbox.mesh.authorization import (
    ACTIONS,
    CONDITION_KEYS,
    OPERATION_FIELDS,
    SOURCE_FIELDS,
    condition_key,
    opposite,
)
from sandbox.mesh.gateways import ENCRYPTED, PLAIN_PROTOCOLS, PLAIN_TCP, TLS_MODES
from sandbox.mesh.http_routes import REDIRECT_CODES
from sandbox.mesh.mesh_config import ENVOY
from sandbox.mesh.registry import ENTRY_PROTOCOLS
from sandbox.mesh.sidecar_scopes import ALLOW_ANY, REGISTRY_ONLY
from sandbox.mesh.traffic_policies import LOAD_BALANCERS

_STRING_MATCH = ("exact", "prefix", "regex")


def _each(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


def _with_opposites(*names: str) -> tuple[str, ...]:
    return tuple(each for name in names for each in (name, opposite(name)))


_HEADERS = tuple(
    f"headers.{direction}.{change}"
    for direction in ("request", "response")
    for change in ("set.*", "add.*", "remove")
)

_DESTINATION = ("destination.host", "destination.subset", "destination.port.number")

_POLICY_LEVELS = tuple(
    f"{of}trafficPolicy{level}" for of in ("", "subsets.") for level in ("", ".portLevelSettings")
)
_POLICY = (
    *_each("connectionPool.tcp", "maxConnections", "connectTimeout", "idleTimeout", "maxConnectionDuration"),
    *_each("connectionPool.tcp.tcpKeepalive", "probes", "time", "interval"),
    *_each("connectionPool.http", "http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection"),
    *_each("connectionPool.http", "maxRetries", "idleTimeout", "h2UpgradePolicy", "maxConcurrentStreams"),
    *_each("outlierDetection", "consecutive5xxErrors", "consecutiveGatewayErrors", "interval", "baseEjectionTime"),
    *_each("outlierDetection", "maxEjectionPercent", "minHealthPercent", "splitExternalLocalOriginErrors"),
    "outlierDetection.consecutiveLocalOriginFailures",
    *("loadBalancer.simple", "loadBalancer.localityLbSetting.enabled"),
    *_each("loadBalancer.localityLbSetting", "distribute.from", "distribute.to.*", "failover.from", "failover.to"),
    "loadBalancer.localityLbSetting.failoverPriority",
    *_each("loadBalancer.consistentHash", "httpHeaderName", "httpQueryParameterName", "useSourceIp"),
    *_each("loadBalancer.consistentHash.httpCookie", "name", "path", "ttl", "attributes.name", "attributes.value"),
    *_each("loadBalancer.consistentHash", "minimumRingSize", "ringHash.minimumRingSize", "maglev.tableSize"),
    "tls.mode",
)
_POLICY_VALUES: Mapping[str, frozenset[Any]] = {
    # No workload of the sandbox speaks HTTP/2 unless its port says so.
    "connectionPool.http.h2UpgradePolicy": frozenset({"DEFAULT", "DO_NOT_UPGRADE"}),
    "loadBalancer.simple": frozenset(LOAD_BALANCERS),
    "tls.mode": frozenset({"DISABLE", "SIMPLE", "ISTIO_MUTUAL"}),
}

_CONDITION_KEY = "rules.when.key"

SUPPORTED: Mapping[str, tuple[str, ...]] = {
    "Gateway": (
        "selector.*",
        *_each("servers", "name", "hosts", "port.name", "port.number", "port.protocol"),
        *_each(
            "servers.tls", "mode", "credentialName", "httpsRedirect", "minProtocolVersion", "maxProtocolVersion"
        ),
    ),
    "VirtualService": (
        "hosts",
        "gateways",
        "exportTo",
        "http.name",
        *(
            f"http.match.{field}.{kind}"
            for field in ("uri", "method", "authority", "scheme", "headers.*", "withoutHeaders.*", "queryParams.*")
            for kind in _STRING_MATCH
        ),
        *_each("http.match", "name", "port", "ignoreUriCase", "gateways", "sourceLabels.*", "sourceNamespace"),
        "http.match.statPrefix",
        *_each("http.delegate", "name", "namespace"),
        *_each("http.route", "weight", *_DESTINATION, *_HEADERS),
        *_each("http", *_HEADERS),
        *_each("http.redirect", "uri", "prefixRewrite", "authority", "scheme", "port", "redirectCode"),
        "http.redirect.derivePort",
        *_each("http.directResponse", "status", "body.string", "body.bytes"),
        *_each("http.rewrite", "uri", "authority", "uriRegexRewrite.match", "uriRegexRewrite.rewrite"),
        "http.timeout",
        *_each("http.retries", "attempts", "perTryTimeout", "retryOn", "retryIgnorePreviousHosts", "backoff"),
        *_each("http.fault.delay", "fixedDelay", "percentage.value", "percent"),
        *_each("http.fault.abort", "httpStatus", "grpcStatus", "percentage.value"),
        *_each("http.mirror", "host", "subset", "port.number"),
        *_each("http", "mirrorPercentage.value", "mirrorPercent"),
        *_each("http.mirrors", *_DESTINATION, "percentage.value"),
        *_each("http.corsPolicy", *(f"allowOrigins.{kind}" for kind in _STRING_MATCH), "allowOrigin"),
        *_each("http.corsPolicy", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge", "allowCredentials"),
        "http.corsPolicy.unmatchedPreflights",
        "tls.match.sniHosts",
        *(
            field
            for kind in ("tls", "tcp")
            for field in (
                *_each(
                    f"{kind}.match", "port", "gateways", "destinationSubnets", "sourceLabels.*", "sourceNamespace"
                ),
                *_each(f"{kind}.route", "weight", *_DESTINATION),
            )
        ),
    ),
    "DestinationRule": (
        "host",
        "exportTo",
        *_each("subsets", "name", "labels.*"),
        *(f"{level}.{field}" for level in _POLICY_LEVELS for field in _POLICY),
        *(f"{level}.port.number" for level in _POLICY_LEVELS if level.endswith("portLevelSettings")),
    ),
    "ServiceEntry": (
        *("hosts", "addresses", "location", "resolution", "exportTo"),
        *_each("ports", "number", "name", "protocol", "targetPort"),
        *_each("endpoints", "address", "ports.*", "labels.*", "weight", "locality"),
    ),
    "Sidecar": ("workloadSelector.labels.*", "egress.hosts", "outboundTrafficPolicy.mode"),
    "PeerAuthentication": ("selector.matchLabels.*", "mtls.mode", "portLevelMtls.*.mode"),
    "AuthorizationPolicy": (
        *("selector.matchLabels.*", "action"),
        *_each("rules.from.source", *_with_opposites(*SOURCE_FIELDS)),
        *_each("rules.to.operation", *_with_opposites(*OPERATION_FIELDS)),
        *(_CONDITION_KEY, "rules.when.values", "rules.when.notValues"),
    ),
    "Telemetry": (
        "selector.matchLabels.*",
        *_each("tracing", "providers.name", "match.mode", "randomSamplingPercentage", "disableSpanReporting"),
        *_each("tracing.customTags.*", "literal.value", "header.name", "header.defaultValue"),
        "tracing.enableIstioTags",
        *_each("accessLogging", "providers.name", "disabled"),
    ),
}

VALUES: Mapping[tuple[str, str], frozenset[Any]] = {
    ("Gateway", "servers.port.protocol"): frozenset({*PLAIN_PROTOCOLS, *ENCRYPTED, PLAIN_TCP}),
    ("Gateway", "servers.tls.mode"): frozenset(TLS_MODES),
    ("VirtualService", "http.redirect.redirectCode"): frozenset(REDIRECT_CODES),
    ("ServiceEntry", "ports.protocol"): frozenset(ENTRY_PROTOCOLS),
    ("Sidecar", "outboundTrafficPolicy.mode"): frozenset({ALLOW_ANY, REGISTRY_ONLY}),
    ("AuthorizationPolicy", "action"): frozenset(ACTIONS),
    ("AuthorizationPolicy", _CONDITION_KEY): frozenset(CONDITION_KEYS),
    ("Telemetry", "accessLogging.providers.name"): frozenset({ENVOY}),
    ("ServiceEntry", "resolution"): frozenset({"NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"}),
    **{
        ("DestinationRule", f"{level}.{field}"): values
        for level in _POLICY_LEVELS
        for field, values in _POLICY_VALUES.items()
    },
}


def unsupported(kind: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """What of a rule the sandbox does not do, each with its path."""
    yield from _walk(kind, "", "spec", spec)


@cache
def _prefixes(kind: str) -> frozenset[str]:
    """The supported paths and all that leads to them."""
    found: set[str] = set()
    for path in SUPPORTED[kind]:
        parts = path.split(".")
        found.update(".".join(parts[:size]) for size in range(1, len(parts) + 1))
    return frozenset(found)


def _walk(kind: str, path: str, written: str, value: Any) -> Iterator[str]:
    """`path` is the table's, `written` the one with indices and keys."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            below = f"{path}.{key}" if path else key
            wildcard = f"{path}.*"
            if wildcard in _prefixes(kind):
                yield from _walk(kind, wildcard, f"{written}[{key}]", item)
            elif below in _prefixes(kind):
                yield from _walk(kind, below, f"{written}.{key}", item)
            elif item is not None:
                yield f"{written}.{key}: not supported by the sandbox"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(kind, path, f"{written}[{index}]", item)
    else:
        allowed = VALUES.get((kind, path))
        # As Istio reads them, protocols have no case.
        asked = value.upper() if path.endswith(".protocol") and isinstance(value, str) else value
        if path == _CONDITION_KEY:
            asked = condition_key(str(value))
        if allowed is not None and asked not in allowed:
            known = ", ".join(sorted(str(item) for item in allowed))
            yield f"{written}: {value} is not supported by the sandbox (supported: {known})"

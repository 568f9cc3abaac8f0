"""What istiod's validating webhook refuses of a DestinationRule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isqrt
from typing import Any

from sandbox.core.cluster import Object
from sandbox.core.durations import seconds
from sandbox.mesh import checks, places, rules
from sandbox.mesh.traffic_policies import PARTS

Policy = Mapping[str, Any]

_NOT_NEGATIVE = {
    ("tcp", "maxConnections"): "max connections",
    ("http", "http1MaxPendingRequests"): "http1 max pending requests",
    ("http", "http2MaxRequests"): "http2 max requests",
    ("http", "maxRequestsPerConnection"): "max requests per connection",
    ("http", "maxRetries"): "max retries",
    ("http", "maxConcurrentStreams"): "max concurrent streams",
}

_LARGEST_TABLE = 5_000_011
_LARGEST_RING = 8 * 1024 * 1024
"""More entries Envoy does not take."""


def find_problems(spec: Object, namespace: str) -> Iterator[str]:
    """Of a rule in `namespace`."""
    if not spec.get("host"):
        yield "destination rule: host is required"
    else:
        yield from checks.host(rules.full_host(spec["host"], namespace))
    yield from checks.export_to(spec.get("exportTo") or [], namespace)
    yield from _traffic_policy(spec.get("trafficPolicy"))
    names: set[str] = set()
    for subset in spec.get("subsets") or []:
        name = subset.get("name", "")
        yield from checks.label("subset name", name)
        if name in names:
            yield f"duplicate subset names: {name}"
        names.add(name)
        yield from checks.labels(subset.get("labels") or {})
        yield from _traffic_policy(subset.get("trafficPolicy"))


def _traffic_policy(policy: Policy | None) -> Iterator[str]:
    if policy is None:
        return
    levels = policy.get("portLevelSettings") or []
    if not levels and not any(policy.get(part) is not None for part in PARTS):
        yield "traffic policy must have at least one field"
    yield from _parts(policy)
    ports: set[int] = set()
    for level in levels:
        number = (level.get("port") or {}).get("number", 0)
        yield from checks.port(number)
        if number in ports:
            yield f"duplicate port level settings for port {number}"
        ports.add(number)
        yield from _parts(level)


def _parts(policy: Policy) -> Iterator[str]:
    if (pool := policy.get("connectionPool")) is not None:
        yield from _connection_pool(pool)
    if (outlier := policy.get("outlierDetection")) is not None:
        yield from _outlier_detection(outlier)
    if (balancer := policy.get("loadBalancer")) is not None:
        yield from _load_balancer(balancer)
        yield from _locality(balancer.get("localityLbSetting") or {})


def _connection_pool(pool: Policy) -> Iterator[str]:
    if pool.get("http") is None and pool.get("tcp") is None:
        yield "connection pool must have at least one field"
    for part in ("tcp", "http"):
        if pool.get(part) == {}:
            yield f"{part} connection pool must have at least one field"
    for (part, field), words in _NOT_NEGATIVE.items():
        if ((pool.get(part) or {}).get(field) or 0) < 0:
            yield f"{words} must be non-negative"
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    for owner, field in ((tcp, "connectTimeout"), (tcp, "idleTimeout"), (tcp, "maxConnectionDuration")):
        yield from checks.duration(field, owner.get(field))
    yield from checks.duration("idleTimeout", http.get("idleTimeout"))
    for field in ("time", "interval"):
        yield from _whole_seconds(f"tcpKeepalive.{field}", (tcp.get("tcpKeepalive") or {}).get(field))


def _outlier_detection(outlier: Policy) -> Iterator[str]:
    for field in ("interval", "baseEjectionTime"):
        yield from checks.duration(field, outlier.get(field))
    for field in ("maxEjectionPercent", "minHealthPercent"):
        if not 0 <= outlier.get(field, 0) <= 100:
            yield f"percentage {outlier[field]} is not in range 0..100"
    if outlier.get("consecutiveLocalOriginFailures") and not outlier.get("splitExternalLocalOriginErrors"):
        yield (
            "outlier detection consecutive local origin failures is specified, but split external local origin "
            "errors is set to false"
        )


def _load_balancer(balancer: Policy) -> Iterator[str]:
    hashing = balancer.get("consistentHash") or {}
    cookie = hashing.get("httpCookie")
    if cookie is not None:
        if not cookie.get("name"):
            yield "name required for HttpCookie"
        if cookie.get("ttl") != "0s":
            yield from checks.duration("ttl", cookie.get("ttl"))
    if hashing.get("minimumRingSize") and ("ringHash" in hashing or "maglev" in hashing):
        yield "only one of MinimumRingSize, RingHash and Maglev can be specified"
    size = (hashing.get("ringHash") or hashing).get("minimumRingSize") or 0
    if size > _LARGEST_RING:
        yield f"minimumRingSize must be at most {_LARGEST_RING}"
    if (maglev := hashing.get("maglev")) is not None:
        yield from _maglev(maglev.get("tableSize") or 0)


def _locality(setting: Policy) -> Iterator[str]:
    """istiod tells of the first only, but for what it says of failover."""
    distribute, failover = setting.get("distribute") or [], setting.get("failover") or []
    if distribute and failover:
        yield "can not simultaneously specify 'distribute' and 'failover'"
        return
    for label in setting.get("failoverPriority") or [] if failover else []:
        if label in places.LABELS:
            yield f"can not simultaneously set 'failover' and topology label '{label}' in 'failover_priority'"
            return
    for one in distribute:
        shares: Mapping[str, int] = one.get("to") or {}
        if any(not 0 < share <= 100 for share in shares.values()):
            yield "locality weight must be in range [1, 100]"
            return
        if (total := sum(shares.values())) != 100:
            yield f"total locality weight {total} != 100"
            return
        yield from _apart(shares)
    yield from _apart([one.get("from") or "" for one in distribute])
    for one in failover:
        ends = (one.get("from") or "", one.get("to") or "")
        if ends[0] == ends[1]:
            yield "locality lb failover settings must specify different regions"
        if any("/" in end for end in ends):
            yield "locality lb failover only specify region"
        if any("*" in end for end in ends):
            yield "locality lb failover region should not contain '*' wildcard"


def _apart(localities: Iterable[str]) -> Iterator[str]:
    """Whether no workload can be in two of them. One ends where a star is."""
    seen: list[list[str]] = []
    for locality in localities:
        parts = locality.split("/", 2)
        if "*" in locality[:-1]:
            yield f"locality {locality} wildcard '*' number can not exceed 1 and must be in the end"
        elif not all(parts):
            yield f"locality {locality} must not contain empty region/zone/subzone info"
        else:
            named = parts[:-1] if parts[-1] == "*" else parts
            if not any(all(a == b for a, b in zip(named, other, strict=False)) for other in seen):
                seen.append(named)
                continue
            yield f"locality {locality} overlap with previous specified ones"
        return


def find_warnings(spec: Object) -> Iterator[str]:
    """Of a rule with which nothing is wrong."""
    policies = [spec.get("trafficPolicy"), *(subset.get("trafficPolicy") for subset in spec.get("subsets") or [])]
    for policy in filter(None, policies):
        for part in (policy, *(policy.get("portLevelSettings") or [])):
            setting = (part.get("loadBalancer") or {}).get("localityLbSetting") or {}
            ordered = setting.get("failover") or setting.get("failoverPriority")
            if ordered and part.get("outlierDetection") is None:
                yield "outlier detection policy must be provided for failover"


def _maglev(size: int) -> Iterator[str]:
    """Envoy relies on it: with a table of one entry it divides by zero, and ends."""
    if not size:
        yield "tableSize must be set for maglev"
    elif size > _LARGEST_TABLE:
        yield f"tableSize must be less than {_LARGEST_TABLE} for maglev"
    elif size < 2 or any(size % divisor == 0 for divisor in range(2, isqrt(size) + 1)):
        yield "tableSize must be a prime number for maglev"


def _whole_seconds(what: str, text: str | None) -> Iterator[str]:
    """Envoy counts these in seconds; istiod drops the fraction, which here would be ignoring it."""
    yield from (problems := list(checks.duration(what, text)))
    if text is not None and not problems and seconds(text) % 1:
        yield f"invalid {what}: only whole seconds are supported by the sandbox"

"""What Envoy counts of requests and connections, so that Istio's metrics can be made of it (`istio_metrics`).

A real proxy has a filter of Istio's build for that, `istio.stats`. Here it is Envoy's own access logger that writes
statistics instead of lines: whatever a proxy has passed on is counted once it has ended, by a few things that Envoy
itself knows of it, such as the two ends' addresses and the cluster. Names and labels come from these when somebody
asks, so that a request costs no more than some counters.

Whenever a listener changes, its loggers are new ones. What they have counted is theirs together, by a name that
they share: it lasts as long as the proxy has a listener, and goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

Direction = Literal["OUTBOUND", "INBOUND"]

PREFIX = "istio"
"""Begins the names of all that is counted here."""

PROXY, DIRECTION, CLUSTER, PEER, IDENTITY, FLAGS = "proxy", "direction", "cluster", "peer", "identity", "flags"
CODE, GRPC, ROUTE, AUTHORITY = "code", "grpc", "route", "authority"
"""Tags. The peer is who is at the other end: the pod that was chosen for what goes out, the one that came for what
comes in. `identity` is what its certificate says. The last two are of what goes out of a sidecar only, where Istio
has what was asked for stand in for a service that there is not."""

_PEER: Mapping[Direction, tuple[str, str]] = {
    "OUTBOUND": ("%UPSTREAM_HOST%", "%UPSTREAM_PEER_URI_SAN%"),
    "INBOUND": ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "%DOWNSTREAM_PEER_URI_SAN%"),
}
_LOGGER = f"{TYPE_PREFIX}envoy.extensions.access_loggers.stats.v3.Config"
_BYTES_IN, _BYTES_OUT = "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "%DOWNSTREAM_WIRE_BYTES_SENT%"

REQUESTS, OPENED, CLOSED, RECEIVED, SENT = "requests", "opened", "closed", "received", "sent"
DURATION, REQUEST_BYTES, RESPONSE_BYTES = "duration", "request_bytes", "response_bytes"
HISTOGRAMS = ((DURATION, "%DURATION%"), (REQUEST_BYTES, _BYTES_IN), (RESPONSE_BYTES, _BYTES_OUT))
"""Names and values: milliseconds, and bytes with the headers'."""

Logger = dict[str, Any]

_NAME = "envoy.access_loggers.stats"
TOLD_EARLY = {"flush_access_log_on_connected": True}
"""Options of a TCP proxy, so that a connection is counted when it is there, not only when it ends."""


def _at(moment: str) -> dict[str, Any]:
    return {"log_type_filter": {"types": [moment]}}


AT_END = _at("TcpConnectionEnd")
"""The filter of what is to be logged once for each connection all the same."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What counts in the filters of one direction: HTTP requests, and connections that nobody looks into."""

    requests: Logger
    connections: tuple[Logger, ...]


class MetricLoggers:
    """One proxy's, by what Envoy calls the direction of a listener."""

    def __init__(self, proxy: Proxy) -> None:
        self._made = {direction: _made(proxy, direction) for direction in _PEER}

    def of(self, direction: Direction) -> Metrics:
        return self._made[direction]


def owner(proxy: Proxy) -> str:
    """Tells a pod from one of the same name before it."""
    return f"{proxy.id}@{proxy.address}"


def _made(proxy: Proxy, direction: Direction) -> Metrics:
    peer, identity = _PEER[direction]
    common = {
        PROXY: owner(proxy),
        DIRECTION: direction,
        CLUSTER: "%UPSTREAM_CLUSTER_RAW%",
        PEER: peer,
        IDENTITY: identity,
        FLAGS: "%RESPONSE_FLAGS%",
    }
    of_request = {CODE: "%RESPONSE_CODE%", GRPC: "%GRPC_STATUS_NUMBER%"}
    if direction == "OUTBOUND" and proxy.kind == "sidecar":
        of_request |= {ROUTE: "%ROUTE_NAME%", AUTHORITY: "%REQ(:AUTHORITY)%"}
    tags = _tags({**common, **of_request})
    requests = {
        "counters": [{"stat": {"name": REQUESTS, "tags": tags}, "value_fixed": 1}],
        "histograms": [{"stat": {"name": name, "tags": tags}, "value_format": value} for name, value in HISTOGRAMS],
    }
    tags = _tags(common)
    opened = [{"stat": {"name": OPENED, "tags": tags}, "value_fixed": 1}]
    ended = [
        {"stat": {"name": CLOSED, "tags": tags}, "value_fixed": 1},
        {"stat": {"name": RECEIVED, "tags": tags}, "value_format": _BYTES_IN},
        {"stat": {"name": SENT, "tags": tags}, "value_format": _BYTES_OUT},
    ]
    return Metrics(
        _logger(proxy, requests),
        (
            {**_logger(proxy, {"counters": opened}), "filter": _at("TcpUpstreamConnected")},
            {**_logger(proxy, {"counters": ended}), "filter": AT_END},
        ),
    )


def _tags(formats: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value_format": value} for name, value in formats.items()]


def _logger(proxy: Proxy, config: Mapping[str, Any]) -> Logger:
    scope = {"prefix": PREFIX, "sharing_name": owner(proxy)}
    return {"name": _NAME, "typed_config": {"@type": _LOGGER, "stats_scope": scope, **config}}


def without(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message of Envoy's configuration as it is without metrics: a real proxy has other means."""
    if "access_log" in config:
        others = [one for one in config["access_log"] if one["name"] != _NAME]
        config = {key: value for key, value in config.items() if key != "access_log"}
        config = {**config, "access_log": others} if others else config
    ours = (("access_log_options", TOLD_EARLY), ("filter", AT_END))
    if any(config.get(key) == value for key, value in ours):
        return {key: value for key, value in config.items() if (key, value) not in ours}
    return config

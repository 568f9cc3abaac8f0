"""Annotations of a pod that say what its sidecar is like: each that Istio knows is obeyed, or refused by name.

Refused is what would act in a place that is not there: namespaces of the network, files of Envoy's, other control
planes. So is a log level below `warning`: one Envoy is behind all sidecars, and writes no log for one of them. What
is wrong by itself is told in Istio's words (pkg/kube/inject/validate.go).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping

from sandbox.core import quantities
from sandbox.mesh.istio import STATUS_PORT

TEMPLATES, GATEWAY = "inject.istio.io/templates", "gateway"
OVERRIDES = "proxy.istio.io/overrides"
"""Written by the injector: what a pod itself said of the containers that were added to it."""

_REFUSED = {
    "sidecar.istio.io": (
        *("bootstrapOverride", "controlPlaneAuthPolicy", "discoveryAddress", "extraStatTags", "statsCompression"),
        *("statsEvictionInterval", "statsFlushInterval", "statsHistogramBuckets"),
    ),
    "traffic.sidecar.istio.io": ("excludeInterfaces", "kubevirtInterfaces"),
    "readiness.status.sidecar.istio.io": ("applicationPorts",),
    "istio.io": ("reroute-virtual-interfaces",),
    "proxy.istio.io": ("overrides",),
}
"""From Istio's API (annotation/annotations.yaml), its injection template and its injector."""

REFUSED = frozenset(f"{domain}/{name}" for domain, names in _REFUSED.items() for name in names)

_ONLY: Mapping[str, tuple[str, ...]] = {
    TEMPLATES: ("sidecar", GATEWAY),
    "sidecar.istio.io/capNetBindService": ("false",),
    "sidecar.istio.io/enableCoreDump": ("false",),
    "sidecar.istio.io/interceptionMode": ("REDIRECT",),
    "sidecar.istio.io/nativeSidecar": ("true",),
    "status.sidecar.istio.io/port": (str(STATUS_PORT),),
}
"""Those that may say what is so anyway, or which of two, and nothing else."""

PROXY_CPU, PROXY_MEMORY = "sidecar.istio.io/proxyCPU", "sidecar.istio.io/proxyMemory"
PROXY_CPU_LIMIT, PROXY_MEMORY_LIMIT = f"{PROXY_CPU}Limit", f"{PROXY_MEMORY}Limit"
PROXY_IMAGE, PROXY_IMAGE_TYPE = "sidecar.istio.io/proxyImage", "sidecar.istio.io/proxyImageType"
LOG_LEVEL, COMPONENT_LOG_LEVEL = "sidecar.istio.io/logLevel", "sidecar.istio.io/componentLogLevel"
AGENT_LOG_LEVEL = "sidecar.istio.io/agentLogLevel"
REWRITE_PROBES = "sidecar.istio.io/rewriteAppHTTPProbers"
USER_VOLUME, USER_VOLUME_MOUNT = "sidecar.istio.io/userVolume", "sidecar.istio.io/userVolumeMount"
MERGE_METRICS = "prometheus.istio.io/merge-metrics"
READINESS = "readiness.status.sidecar.istio.io"
TRAFFIC = "traffic.sidecar.istio.io"

_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
"""Go's strconv.ParseBool."""
_QUIET = ("off", "critical", "error", "warning", "warn")
_LOUD = ("info", "debug", "trace")
_AGENT = ("none", "fatal", "error", "warn", "info")


def truth(text: str | None, otherwise: bool) -> bool:
    return _TRUTHS.get(text or "", otherwise)


def problem(annotations: Mapping[str, str]) -> str:
    """Why a sidecar cannot be as these say, empty when it can."""
    for name, value in sorted(annotations.items()):
        if name in REFUSED:
            return f"annotation {name}: not supported by the sandbox"
        if name in _ONLY and value not in _ONLY[name]:
            return f"annotation {name}: {value}: not supported by the sandbox"
        check = _CHECKS.get(name)
        if check is None:
            continue
        try:
            unsupported = check(value)
        except ValueError as error:
            return f"invalid value '{value}' for annotation '{name}': {error}"
        if unsupported:
            return f"annotation {name}: {unsupported}: not supported by the sandbox"
    return ""


def _quantity(value: str) -> str:
    quantities.parse(value)
    return ""


def _whole(value: str) -> str:
    if not value.isdecimal():
        raise ValueError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
    return ""


def _boolean(value: str) -> str:
    if value not in _TRUTHS:
        raise ValueError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
    return ""


def _level(value: str) -> str:
    if value not in (*_QUIET, *_LOUD):
        raise ValueError(f"it is one of {', '.join((*_QUIET, *_LOUD))}")
    return f"{value} (one Envoy is behind all sidecars: it writes no log for one)" if value in _LOUD else ""


def _component_levels(value: str) -> str:
    for part in filter(None, value.split(",")):
        _, colon, level = part.partition(":")
        if not colon:
            raise ValueError("it is COMPONENT:LEVEL,…")
        if said := _level(level):
            return said
    return ""


def _agent_levels(value: str) -> str:
    for part in filter(None, value.split(",")):
        level = part.rpartition(":")[2]
        if level not in (*_AGENT, "debug"):
            raise ValueError(f"it is SCOPE:LEVEL,… with levels {', '.join((*_AGENT, 'debug'))}")
        if level == "debug":
            return "debug"
    return ""


def _ports(value: str) -> str:
    ports(value)
    return ""


def _included_ports(value: str) -> str:
    return "" if value == "*" else _ports(value)


def _ranges(value: str) -> str:
    for found in ranges(value):
        if not found.subnet_of(_LOOPBACK):
            return f"{found} (all addresses of the sandbox are in {_LOOPBACK})"
    return ""


def _included_ranges(value: str) -> str:
    return "" if value == "*" else _ranges(value)


def _mapping(value: str) -> str:
    try:
        found = json.loads(value)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ValueError("it is a JSON object of volumes by name")
    return ""


_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


def ports(text: str) -> list[int]:
    """Of a list separated by commas. Raises ValueError."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        if not part.isdecimal() or int(part) > 65535:
            raise ValueError(f"invalid port {part!r}")
    return [int(part) for part in found]


def ranges(text: str) -> list[ipaddress.IPv4Network]:
    """Of a list separated by commas. Raises ValueError."""
    return [ipaddress.IPv4Network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


_CHECKS: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys((PROXY_CPU, PROXY_MEMORY, PROXY_CPU_LIMIT, PROXY_MEMORY_LIMIT), _quantity),
    **dict.fromkeys((f"{READINESS}/{name}" for name in ("initialDelaySeconds", "periodSeconds")), _whole),
    f"{READINESS}/failureThreshold": _whole,
    LOG_LEVEL: _level,
    COMPONENT_LOG_LEVEL: _component_levels,
    AGENT_LOG_LEVEL: _agent_levels,
    MERGE_METRICS: _boolean,
    USER_VOLUME: _mapping,
    USER_VOLUME_MOUNT: _mapping,
    f"{TRAFFIC}/includeOutboundIPRanges": _included_ranges,
    f"{TRAFFIC}/excludeOutboundIPRanges": _ranges,
    f"{TRAFFIC}/includeInboundPorts": _included_ports,
    f"{TRAFFIC}/excludeInboundPorts": _ports,
    f"{TRAFFIC}/includeOutboundPorts": _included_ports,
    f"{TRAFFIC}/excludeOutboundPorts": _ports,
}

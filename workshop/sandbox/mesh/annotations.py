"""A pod's annotations that change its sidecar: what the real injector takes, and what of it the sandbox does.

Those that only the real one would act on are refused, as nothing may be ignored that changes a proxy. A name that
the real one does not know either is a note of somebody's, and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import proxy_statistics

_DOMAINS = {
    "sidecar.istio.io": (
        *("agentLogLevel", "bootstrapOverride", "capNetBindService", "componentLogLevel", "controlPlaneAuthPolicy"),
        *("discoveryAddress", "enableCoreDump", "extraStatTags", "interceptionMode", "logLevel", "nativeSidecar"),
        *("proxyCPU", "proxyCPULimit", "proxyImage", "proxyImageType", "proxyMemory", "proxyMemoryLimit"),
        *("rewriteAppHTTPProbers", "statsCompression", "statsEvictionInterval", "statsFlushInterval"),
        *("statsHistogramBuckets", "userVolume", "userVolumeMount"),
    ),
    "traffic.sidecar.istio.io": (
        *("excludeInboundPorts", "excludeInterfaces", "excludeOutboundIPRanges", "excludeOutboundPorts"),
        *("includeInboundPorts", "includeOutboundIPRanges", "includeOutboundPorts", "kubevirtInterfaces"),
    ),
    "status.sidecar.istio.io": ("port",),
    "readiness.status.sidecar.istio.io": (
        *("applicationPorts", "failureThreshold", "initialDelaySeconds", "periodSeconds"),
    ),
    "inject.istio.io": ("templates",),
    "istio.io": ("reroute-virtual-interfaces",),
    "prometheus.istio.io": ("merge-metrics",),
    "proxy.istio.io": ("overrides",),
}
_REFUSED = frozenset(f"{domain}/{name}" for domain, names in _DOMAINS.items() for name in names)
"""From Istio's API (annotation/annotations.yaml), its injection template and its injector."""


def unsupported(annotations: Mapping[str, str]) -> str:
    """Why a pod with these cannot have a sidecar, empty when it can."""
    for name in sorted(annotations):
        if name in _REFUSED:
            return f"annotation {name}: not supported by the sandbox"
    try:
        proxy_statistics.inclusion(annotations)
    except ValueError as error:
        return f"invalid value for annotation {error}"
    return ""

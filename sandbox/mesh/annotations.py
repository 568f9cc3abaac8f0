"""Annotations that change what proxies do: which Istio knows, and what of them the sandbox does.

Those that only the real one would act on are refused, as nothing may be ignored that changes a proxy: a pod's when
it is to get a sidecar, others' when they are written. A name that the real one does not know either is a note of
somebody's, and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.core.cluster import Admission, ApiError
from sandbox.mesh import proxy_statistics

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

_EXPORT_TO = "networking.istio.io/exportTo"
_TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_OF_SERVICES = {
    "services": (_EXPORT_TO, _TRAFFIC_DISTRIBUTION),
    "namespaces": (_TRAFFIC_DISTRIBUTION,),
    "serviceentries.networking.istio.io": (_TRAFFIC_DISTRIBUTION,),
}


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


def require_support(admission: Admission) -> None:
    """A validation hook. Raises ApiError Forbidden for what would decide who is sent where.

    A service that is exported to everybody is what every service is. To others it would be an address that nobody
    listens at: here istiod's knowledge of services is also what stands for kube-proxy.
    """
    if admission.operation == "DELETE":
        return
    metadata = admission.object["metadata"]
    annotations = metadata.get("annotations") or {}
    for name in _OF_SERVICES.get(admission.resource.key, ()):
        value = annotations.get(name, "")
        if value and not (name == _EXPORT_TO and "*" in (part.strip() for part in value.split(","))):
            refused = f"metadata.annotations[{name}]: {value}: not supported by the sandbox"
            message = f'{admission.resource.key} "{metadata["name"]}" is forbidden: {refused}'
            raise ApiError(403, "Forbidden", message)

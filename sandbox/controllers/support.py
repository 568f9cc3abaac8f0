"""What of services and of placing pods is not there, refused when it is written.

A service is a TCP address in front of pods, the same for every client; a pod's place follows its node's and
its neighbours' labels. What asks for more would be a lie to accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.core.cluster import Admission, ApiError, Object

_TEMPLATES = ("deployments.apps", "replicasets.apps")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_ONLY: dict[str, Any] = {
    "sessionAffinity": "None",
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "trafficDistribution": None,
    "externalIPs": [],
    "loadBalancerSourceRanges": [],
}
"""Fields of a service that may have this value only."""

_PORT_PROTOCOL = "TCP"
_TERM = ("namespaceSelector", "matchLabelKeys", "mismatchLabelKeys")
_SPREAD = ("minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy", "matchLabelKeys")


def require_support(admission: Admission) -> None:
    """An admission hook. Raises ApiError Forbidden, with the field's path."""
    if admission.operation == "DELETE":
        return
    key, spec = admission.resource.key, admission.object.get("spec") or {}
    if key == "services":
        refused = next(_service(spec), None)
    elif key == "pods":
        refused = next(_placing(spec, "spec"), None)
    elif key in _TEMPLATES:
        refused = next(_placing((spec.get("template") or {}).get("spec") or {}, "spec.template.spec"), None)
    else:
        return
    if refused is not None:
        name = admission.object["metadata"]["name"]
        message = f'{admission.resource.plural} "{name}" is forbidden: {refused}: not supported by the sandbox'
        raise ApiError(403, "Forbidden", message)


def _service(spec: Object) -> Iterator[str]:
    if spec.get("type") == "ExternalName":
        yield "spec.type: ExternalName"
    for field, only in _ONLY.items():
        if (value := spec.get(field)) not in (None, only):
            yield f"spec.{field}" + (f": {value}" if isinstance(value, str) else "")
    for at, port in enumerate(spec.get("ports") or ()):
        if (protocol := port.get("protocol", _PORT_PROTOCOL)) != _PORT_PROTOCOL:
            yield f"spec.ports[{at}].protocol: {protocol}"


def _placing(spec: Object, path: str) -> Iterator[str]:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        for at, term in enumerate((affinity.get(kind) or {}).get(_REQUIRED) or ()):
            yield from (f"{path}.affinity.{kind}.{_REQUIRED}[{at}].{field}" for field in _TERM if field in term)
    for at, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("whenUnsatisfiable") == "DoNotSchedule":
            yield from (
                f"{path}.topologySpreadConstraints[{at}].{field}" for field in _SPREAD if field in constraint
            )

"""What of services, of placing pods and of hand-written endpoints is not there, refused when it is written.

A service is a TCP address in front of pods, the same for every client; a pod's place follows its own nodeSelector
and its node's room. What asks for more would be a lie to accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox.controllers.endpoints import ENDPOINTS_MANAGED_BY, SKIP_MIRROR
from sandbox.core.cluster import Admission, ApiError, Object
from sandbox.core.objects import at

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_ONLY: Mapping[str, Any] = {
    "sessionAffinity": "None",
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "trafficDistribution": None,
    "externalIPs": [],
    "loadBalancerSourceRanges": [],
}
"""Fields of a service that may have this value only."""


def require_support(admission: Admission) -> None:
    """An admission hook. Raises ApiError Forbidden, with the field's path."""
    if admission.operation == "DELETE" or (unsupported := _UNSUPPORTED.get(admission.resource.key)) is None:
        return
    refused = next(unsupported(admission.object), None)
    if refused is not None:
        name = admission.object["metadata"]["name"]
        message = f'{admission.resource.plural} "{name}" is forbidden: {refused}: not supported by the sandbox'
        raise ApiError(403, "Forbidden", message)


def _service(service: Object) -> Iterator[str]:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        yield "spec.type: ExternalName"
    for field, only in _ONLY.items():
        if (value := spec.get(field)) not in (None, only):
            yield f"spec.{field}" + (f": {value}" if isinstance(value, str) else "")
    for index, port in enumerate(spec.get("ports") or ()):
        if (protocol := port.get("protocol", "TCP")) != "TCP":
            yield f"spec.ports[{index}].protocol: {protocol}"


def _pod(pod: Object, path: str = "spec") -> Iterator[str]:
    spec = pod.get("spec") or {}
    for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity"):
        if at(spec, "affinity", kind, _REQUIRED):
            yield f"{path}.affinity.{kind}.{_REQUIRED}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("whenUnsatisfiable") == "DoNotSchedule":
            yield f"{path}.topologySpreadConstraints[{index}].whenUnsatisfiable: DoNotSchedule"


def _template(owner: Object) -> Iterator[str]:
    yield from _pod(at(owner, "spec", "template") or {}, "spec.template.spec")


_JOB_ONLY: Mapping[str, Any] = {
    "backoffLimitPerIndex": None,
    "completionMode": "NonIndexed",
    "managedBy": "kubernetes.io/job-controller",
    "manualSelector": False,
    "maxFailedIndexes": None,
    "podFailurePolicy": None,
    "podReplacementPolicy": "TerminatingOrFailed",
    "successPolicy": None,
}
"""Fields of a Job that may have this value only."""


def _job_spec(spec: Object, path: str) -> Iterator[str]:
    for field, only in _JOB_ONLY.items():
        if (value := spec.get(field)) not in (None, only):
            yield f"{path}.{field}" + (f": {value}" if isinstance(value, str) else "")
    yield from _pod(spec.get("template") or {}, f"{path}.template.spec")


def _job(job: Object) -> Iterator[str]:
    yield from _job_spec(job.get("spec") or {}, "spec")


def _cron_job(cron_job: Object) -> Iterator[str]:
    yield from _job_spec(at(cron_job, "spec", "jobTemplate", "spec") or {}, "spec.jobTemplate.spec")


def _node(node: Object) -> Iterator[str]:
    if at(node, "spec", "taints"):
        yield "spec.taints (cordon does what a taint would)"


def _endpoints(endpoints: Object) -> Iterator[str]:
    if endpoints.get("subsets") and not (endpoints["metadata"].get("labels") or {}).keys() & _WRITTEN_BY_SANDBOX:
        yield "subsets of one's own (an EndpointSlice can say them)"


_WRITTEN_BY_SANDBOX = {ENDPOINTS_MANAGED_BY, SKIP_MIRROR}
_UNSUPPORTED: Mapping[str, Callable[[Object], Iterator[str]]] = {
    "services": _service,
    "pods": _pod,
    "deployments.apps": _template,
    "replicasets.apps": _template,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "nodes": _node,
    "endpoints": _endpoints,
}

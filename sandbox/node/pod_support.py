"""What of a pod's spec is understood here. The rest is refused when a pod, or what makes pods, is written.

Fields that change nothing in a place without machines, users and disks (resources, securityContext, affinity and
the like) are accepted and kept; one that asks for behaviour that is not there would be a lie to accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.core.cluster import Admission, ApiError, Object
from sandbox.core.objects import at

_TEMPLATES = {
    **dict.fromkeys(("deployments.apps", "replicasets.apps", "jobs.batch"), ("template",)),
    "cronjobs.batch": ("jobTemplate", "spec", "template"),
}
"""Where in the spec of what makes pods their template is."""
_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}
_SOURCES = {"configMap", "downwardAPI", "secret", "serviceAccountToken"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


class PodSupport:
    """An admission hook."""

    def __call__(self, admission: Admission) -> None:
        if admission.operation == "DELETE":
            return
        key, spec = admission.resource.key, admission.object.get("spec") or {}
        if key == "pods":
            refused = next(unsupported(spec, "spec"), None)
        elif key in _TEMPLATES:
            path = (*_TEMPLATES[key], "spec")
            refused = next(unsupported(at(spec, *path) or {}, ".".join(("spec", *path))), None)
        else:
            return
        if refused is not None:
            name = admission.object["metadata"].get("name", "")
            message = f'{admission.resource.plural} "{name}" is forbidden: {refused}: not supported by the sandbox'
            raise ApiError(403, "Forbidden", message)


def unsupported(spec: Object, path: str) -> Iterator[str]:
    """Paths of what is not supported."""
    for field in _HOST:
        if spec.get(field):
            yield f"{path}.{field}"
    for field in ("activeDeadlineSeconds", "ephemeralContainers"):
        if spec.get(field):
            yield f"{path}.{field}"
    for index, volume in enumerate(spec.get("volumes") or ()):
        here = f"{path}.volumes[{index}]"
        for kind in sorted(set(volume) - _VOLUMES - {"name"}):
            yield f"{here}.{kind}"
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            for kind in sorted(set(source) - _SOURCES):
                yield f"{here}.projected.sources[{number}].{kind}"
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            here, policy = f"{path}.{field}[{index}]", container.get("restartPolicy")
            # A sidecar's is what is done of it; the others are for the API's validation to know.
            if policy in ("Never", "OnFailure") or (policy == "Always" and field == "containers"):
                yield f"{here}.restartPolicy"
            yield from _container(container, here)


def _container(container: Object, path: str) -> Iterator[str]:
    for name in ("restartPolicyRules", "volumeDevices"):
        if container.get(name):
            yield f"{path}.{name}"
    lifecycle = container.get("lifecycle") or {}
    for name in sorted(set(lifecycle) - {"preStop"}):
        yield f"{path}.lifecycle.{name}"
    for kind in sorted(set(lifecycle.get("preStop") or ()) - {"exec", "sleep"}):
        yield f"{path}.lifecycle.preStop.{kind}"
    for name in _PROBES:
        probe: dict[str, Any] = container.get(name) or {}
        if "grpc" in probe:
            yield f"{path}.{name}.grpc"
        if (probe.get("httpGet") or {}).get("scheme", "HTTP") != "HTTP":
            yield f"{path}.{name}.httpGet.scheme"
    for index, port in enumerate(container.get("ports") or ()):
        for name in ("hostPort", "hostIP"):
            if port.get(name):
                yield f"{path}.ports[{index}].{name}"
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("subPathExpr"):
            yield f"{path}.volumeMounts[{index}].subPathExpr"

"""What a pod is of, as proxies and metrics say it: the Deployment, say, and not its ReplicaSet."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.core.cluster import Object
from sandbox.core.objects import controller_of

_WORKLOAD_LABEL = "service.istio.io/workload-name"
_JOB_OF_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


@dataclass(frozen=True, slots=True)
class WorkloadName:
    """What a pod is of: a Deployment, not its ReplicaSet; a CronJob, not its Job; or itself."""

    api_version: str
    kind: str
    name: str

    def owner(self, namespace: str) -> str:
        return f"kubernetes://apis/{self.api_version}/namespaces/{namespace}/{self.kind.lower()}s/{self.name}"


def workload_of(pod: Object) -> WorkloadName:
    """By the reference to its controller, as pkg/kube/util.go guesses it."""
    metadata = pod["metadata"]
    owner = controller_of(pod)
    if owner is None or not metadata.get("generateName"):
        return WorkloadName("v1", "Pod", str(metadata.get("name", "")))
    api_version, kind, name = str(owner["apiVersion"]), str(owner["kind"]), str(owner["name"])
    template = (metadata.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        return WorkloadName(api_version, "Deployment", name.removesuffix(f"-{template}"))
    if kind == "Job" and (found := _JOB_OF_CRON_JOB.fullmatch(name)):
        return WorkloadName("batch/v1", "CronJob", found[1])
    return WorkloadName(api_version, kind, name)


def workload_name(pod: Object) -> str:
    """What a pod is of, as proxies say it."""
    return str((pod["metadata"].get("labels") or {}).get(_WORKLOAD_LABEL) or workload_of(pod).name)

"""Who is asked: of each job the targets that its file has, and those that Kubernetes knows of, relabelled.

A job of role `pod` finds each port that a container says, with what is known of the pod in labels whose names begin
with `__meta_kubernetes_` (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod); its rules
keep some of them, and say where and how those are asked. Labels that begin with two underscores end there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from sandbox.prometheus.configuration import Job
from sandbox.prometheus.relabeling import relabelled
from sandbox.prometheus.scraping import Target

_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)
_META = "__meta_kubernetes_"
_PARAMETER = "__param_"


class Targets:
    """Of the jobs and the Pods that there are whenever it is called; of a pod that has not changed it makes none
    anew."""

    def __init__(self, jobs: Iterable[Job], pods: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Pods are as the API has them, and never changed in place."""
        self._pods, self._of_pods = pods, [job for job in jobs if job.of_pods]
        self._known: dict[str, tuple[Mapping[str, Any], list[Target]]] = {}
        self._written = [target for job in jobs for target in _targets(job, job.written)]

    def __call__(self) -> list[Target]:
        found = list(self._written)
        if not self._of_pods:
            return found
        known, self._known = self._known, {}
        for pod in self._pods():
            uid = pod["metadata"]["uid"]
            before = known.get(uid)
            made = before if before is not None and before[0] is pod else (pod, self._made(pod))
            self._known[uid] = made
            found += made[1]
        return found

    def _made(self, pod: Mapping[str, Any]) -> list[Target]:
        discovered = list(_of_pod(pod))
        return [target for job in self._of_pods for target in _targets(job, discovered)]


def _targets(job: Job, discovered: Iterable[Mapping[str, str]]) -> Iterator[Target]:
    """Several that come to the same are one."""
    made = (_target(job, labels) for labels in discovered)
    yield from {target.key: target for target in made if target is not None}.values()


def _target(job: Job, labels: Mapping[str, str]) -> Target | None:
    """None for what the rules drop, and what has no address."""
    before = {
        "job": job.name,
        "__scheme__": job.scheme,
        "__metrics_path__": job.path,
        **{f"{_PARAMETER}{name}": values[0] for name, values in job.params.items() if values},
        **labels,
    }
    found = relabelled(before, job.rules)
    if found is None or "__address__" not in found:
        return None
    address = found["__address__"]
    asked = {name: list(values) for name, values in job.params.items()}
    for name, value in found.items():
        if name.startswith(_PARAMETER):
            own = name.removeprefix(_PARAMETER)
            asked[own] = [value, *asked.get(own, ())[1:]]
    told = {name: value for name, value in found.items() if not name.startswith("__")}
    query = urlencode(asked, doseq=True)
    path = found.get("__metrics_path__", "/")
    return Target(
        f"{found.get('__scheme__', 'http')}://{address}{path}{'?' * bool(query)}{query}",
        {"instance": address, **told},
        {**before, "job": job.name},
        job.honor_labels,
        job.interval,
        job.timeout,
    )


def _of_pod(pod: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Its ports as Prometheus discovers them; of a container that says none, the pod's address alone."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    address = status.get("podIP")
    if not address:
        return
    ready = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or ()
    owner = next((one for one in owners if one.get("controller")), {})
    known = {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_uid": metadata["uid"],
        "pod_ip": address,
        "pod_host_ip": status.get("hostIP", ""),
        "pod_node_name": spec.get("nodeName", ""),
        "pod_phase": status.get("phase", ""),
        "pod_ready": ready[0].lower() if ready else "unknown",
        "pod_controller_kind": owner.get("kind", ""),
        "pod_controller_name": owner.get("name", ""),
    }
    for what in ("label", "annotation"):
        for name, value in (metadata.get(f"{what}s") or {}).items():
            known[f"pod_{what}_{_NO_LABEL.sub('_', name)}"] = value
            known[f"pod_{what}present_{_NO_LABEL.sub('_', name)}"] = "true"
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            of_container = {
                "pod_container_name": container.get("name", ""),
                "pod_container_image": container.get("image", ""),
                "pod_container_init": "true" if kind == "initContainers" else "false",
            }
            ports: Iterable[Mapping[str, Any]] = container.get("ports") or ({},)
            for port in ports:
                number = str(port.get("containerPort", ""))
                of_port = {
                    "pod_container_port_number": number,
                    "pod_container_port_name": port.get("name", ""),
                    "pod_container_port_protocol": port.get("protocol", "TCP") if number else "",
                }
                every = {**known, **of_container, **of_port}
                labels = {f"{_META}{name}": value for name, value in every.items() if value}
                yield {**labels, "__address__": f"{address}:{number}" if number else address}

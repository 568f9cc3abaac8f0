"""Which pods are targets: those annotated for it, labelled as the configuration of Istio's add-on labels them.

That is its job `kubernetes-pods` (https://github.com/istio/istio/blob/master/samples/addons/prometheus.yaml):
`prometheus.io/scrape: "true"`, with `scheme`, `path`, `port` and `param_...` where they are not http, /metrics, the
containers' and none; the pod's labels, its namespace, its name and its node. What a pod says itself is right.
A pod that is to be asked slowly (`scrape_slow`) is asked by another job there, and by none here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from sandbox.prometheus.scraping import Target

JOB = "kubernetes-pods"
_ANNOTATION = "prometheus_io_"
_PARAMETER = f"{_ANNOTATION}param_"
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)
_OVER = ("Pending", "Succeeded", "Failed", "Completed")


class PodTargets:
    """Of the Pods that there are whenever it is called; of one that has not changed it makes none anew."""

    def __init__(self, pods: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Pods are as the API has them, and never changed in place."""
        self._pods = pods
        self._known: dict[str, tuple[Mapping[str, Any], list[Target]]] = {}

    def __call__(self) -> list[Target]:
        known, self._known = self._known, {}
        found: list[Target] = []
        for pod in self._pods():
            uid = pod["metadata"]["uid"]
            before = known.get(uid)
            made = before if before is not None and before[0] is pod else (pod, list(_of_pod(pod)))
            self._known[uid] = made
            found += made[1]
        return found


def _of_pod(pod: Mapping[str, Any]) -> Iterator[Target]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    said = {_label(name): value for name, value in (metadata.get("annotations") or {}).items()}
    address, phase = status.get("podIP"), status.get("phase", "")
    if said.get(f"{_ANNOTATION}scrape") != "true" or said.get(f"{_ANNOTATION}scrape_slow") == "true":
        return
    if not address or phase in _OVER:
        return
    scheme = said.get(f"{_ANNOTATION}scheme", "")
    if scheme not in ("http", "https"):
        scheme = "http"
    path = said.get(f"{_ANNOTATION}path") or "/metrics"
    parameters = urlencode(
        [(name.removeprefix(_PARAMETER), value) for name, value in said.items() if name.startswith(_PARAMETER)]
    )
    port = said.get(f"{_ANNOTATION}port", "")
    instances = [f"{address}:{port}"] if port.isascii() and port.isdecimal() else _addresses(pod, address)
    # Of all containers' ports there may be some that come to the same address.
    for instance in dict.fromkeys(instances):
        discovered = {
            "__address__": instance,
            "__metrics_path__": path,
            "__scheme__": scheme,
            "__meta_kubernetes_namespace": metadata["namespace"],
            "__meta_kubernetes_pod_name": metadata["name"],
            "__meta_kubernetes_pod_ip": address,
            "__meta_kubernetes_pod_phase": phase,
            **{f"__meta_kubernetes_pod_annotation_{name}": value for name, value in said.items()},
            "job": JOB,
        }
        labels = {_label(name): value for name, value in (metadata.get("labels") or {}).items()}
        labels |= {
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "node": (pod.get("spec") or {}).get("nodeName", ""),
            "job": labels.get("job", JOB),
            "instance": labels.get("instance", instance),
        }
        yield Target(
            f"{scheme}://{instance}{path}{'?' * bool(parameters)}{parameters}",
            {name: value for name, value in labels.items() if value},
            discovered,
            honor_labels=True,
        )


def _addresses(pod: Mapping[str, Any], address: str) -> list[str]:
    """Without an annotation every port that a container says; where one says none, the scheme's own."""
    spec = pod.get("spec") or {}
    found: list[str] = []
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        ports = container.get("ports") or ()
        found += [f"{address}:{port['containerPort']}" for port in ports] if ports else [address]
    return found


def _label(name: str) -> str:
    return _NO_LABEL.sub("_", name)

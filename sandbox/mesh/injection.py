"""Sidecar injection: what istiod makes of a pod that the injection webhook hands to it.

A sidecar is native, as real ones are since Istio 1.29 on Kubernetes 1.33: `istio-proxy` is an init container with
`restartPolicy: Always`, which has started before the pod's own containers do and ends after them. A pod that exists
is never touched, so a namespace that is labelled later keeps its pods as they are until they are made anew.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib import resources

import yaml

from sandbox.api import admission_webhooks as webhooks
from sandbox.core.cluster import Admission, Cluster, Object
from sandbox.mesh.istio import (
    CONTAINER,
    HUB,
    INJECTOR,
    ISTIO_NAMESPACE,
    KUBERNETES_NAMESPACES,
    POD_LABEL,
    VERSION,
)
from sandbox.mesh.istio_annotations import unsupported


def service(cluster: Cluster) -> webhooks.Service:
    """What istiod answers at `/inject`. It may still leave a pod alone that the webhook's selectors let through."""

    def inject_sidecar(admission: Admission, webhook: str) -> None:
        pod = admission.object
        if not wanted(pod):
            return
        if reason := unsupported(pod["metadata"].get("annotations") or {}):
            raise webhooks.denied(webhook, f"injection failed: {reason}")
        inject(pod, _settings(cluster))

    return inject_sidecar


def wanted(pod: Object) -> bool:
    """Whether a pod that was handed over gets a sidecar. Which are, the webhooks' selectors have decided."""
    metadata, spec = pod["metadata"], pod["spec"]
    if metadata["namespace"] in KUBERNETES_NAMESPACES or spec.get("hostNetwork"):
        return False
    if any(
        container["name"] == CONTAINER for container in (*spec["containers"], *(spec.get("initContainers") or ()))
    ):
        return False
    says = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    return says.get(POD_LABEL) != "false"


def inject(pod: Object, settings: Object | None = None) -> None:
    """Add the proxy to a pod, in place. `settings` are the `global` values istiod was installed with."""
    values = settings or {}
    added = copy.deepcopy(_template())
    for container in added["initContainers"]:
        container["image"] = f"{values.get('hub', HUB)}/proxyv2:{values.get('tag', VERSION)}"
    spec, metadata = pod["spec"], pod["metadata"]
    first = spec["containers"][0]["name"]
    labels = metadata.setdefault("labels", {})
    labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", _canonical_name(pod))
    labels.setdefault("service.istio.io/canonical-revision", labels.get("version", "latest"))
    status = {
        "initContainers": [container["name"] for container in added["initContainers"]],
        "containers": None,
        "volumes": [volume["name"] for volume in added["volumes"]],
        "imagePullSecrets": None,
        "revision": "default",
    }
    annotations = metadata.setdefault("annotations", {})
    annotations.setdefault("istio.io/rev", "default")
    annotations.setdefault("kubectl.kubernetes.io/default-container", first)
    annotations.setdefault("kubectl.kubernetes.io/default-logs-container", first)
    if annotations.get("prometheus.io/scrape", "true") == "true":  # the agent gives both its figures and the pod's
        for field, value in (("path", "/stats/prometheus"), ("port", "15020"), ("scrape", "true")):
            annotations[f"prometheus.io/{field}"] = value
    annotations["sidecar.istio.io/status"] = json.dumps(status, separators=(",", ":"))
    # Before the pod's own, so that these are in the mesh, too.
    others = spec.get("initContainers") or []
    spec["initContainers"] = [*added["initContainers"], *others]
    spec["volumes"] = [*added["volumes"], *(spec.get("volumes") or ())]


def _canonical_name(pod: Object) -> str:
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    if name := labels.get("app.kubernetes.io/name") or labels.get("app"):
        return str(name)
    generated = (
        str(metadata.get("generateName", "")).rstrip("-").removesuffix(f"-{labels.get('pod-template-hash')}")
    )
    return generated or str(metadata.get("name", ""))


@cache
def _template() -> Object:
    text = (resources.files(__package__) / "data" / "sidecar.yaml").read_text(encoding="utf-8")
    template: Object = yaml.safe_load(text)
    return template


def _settings(cluster: Cluster) -> Object:
    """The `global` values of the installation: where images come from and which tag they have."""
    found = cluster.find("configmaps", ISTIO_NAMESPACE, INJECTOR)
    if found is None:
        return {}
    values: Object = json.loads((found.get("data") or {}).get("values") or "{}")
    return values.get("global") or {}

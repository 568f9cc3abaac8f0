"""Sidecar injection: what istiod makes of a pod that the injection webhook hands to it.

A sidecar is native, as real ones are since Istio 1.29 on Kubernetes 1.33: `istio-proxy` is an init container with
`restartPolicy: Always`, which has started before the pod's own containers do and ends after them. A pod that exists
is never touched, so a namespace that is labelled later keeps its pods as they are until they are made anew.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.api import webhooks
from sandbox.core.cluster import Admission, Cluster, Object
from sandbox.mesh.istio import (
    CONTAINER,
    HEALTH_PATH,
    HEALTH_PORT,
    HUB,
    INJECTOR,
    ISTIO_NAMESPACE,
    METRICS_PORT,
    POD_LABEL,
    REVOCATIONS,
    ROOT_CERTIFICATE,
    VERSION,
)
from sandbox.mesh.istio_annotations import unsupported

_INIT = "istio-init"
_NEVER = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


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
    if metadata["namespace"] in _NEVER or spec.get("hostNetwork"):
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
    image = f"{values.get('hub', HUB)}/proxyv2:{values.get('tag', VERSION)}"
    spec, metadata = pod["spec"], pod["metadata"]
    first = spec["containers"][0]["name"]
    labels = metadata.setdefault("labels", {})
    labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", _canonical_name(pod))
    labels.setdefault("service.istio.io/canonical-revision", labels.get("version", "latest"))
    status = {
        "initContainers": [_INIT, CONTAINER],
        "containers": None,
        "volumes": [volume["name"] for volume in _volumes()],
        "imagePullSecrets": None,
        "revision": "default",
    }
    annotations = metadata.setdefault("annotations", {})
    annotations.setdefault("istio.io/rev", "default")
    annotations.setdefault("kubectl.kubernetes.io/default-container", first)
    annotations.setdefault("kubectl.kubernetes.io/default-logs-container", first)
    annotations["sidecar.istio.io/status"] = json.dumps(status, separators=(",", ":"))
    # Before the pod's own, so that these are in the mesh, too.
    others = spec.get("initContainers") or []
    spec["initContainers"] = [_init_container(image), _proxy_container(image), *others]
    spec["volumes"] = [*_volumes(), *(spec.get("volumes") or ())]


def _canonical_name(pod: Object) -> str:
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    if name := labels.get("app.kubernetes.io/name") or labels.get("app"):
        return str(name)
    generated = (
        str(metadata.get("generateName", "")).rstrip("-").removesuffix(f"-{labels.get('pod-template-hash')}")
    )
    return generated or str(metadata.get("name", ""))


def _resources() -> Object:
    return {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}


def _init_container(image: str) -> Object:
    return {
        "name": _INIT,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            *("istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT"),
            *("-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020", "--log_output_level=default:info"),
        ],
        "resources": _resources(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": False,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _proxy_container(image: str) -> Object:
    def from_pod(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}

    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            *("proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local"),
            *("--proxyLogLevel=warning", "--proxyComponentLogLevel=misc:error", "--log_output_level=default:info"),
        ],
        "env": [
            from_pod("POD_NAME", "metadata.name"),
            from_pod("POD_NAMESPACE", "metadata.namespace"),
            from_pod("INSTANCE_IP", "status.podIP"),
            from_pod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
            from_pod("HOST_IP", "status.hostIP"),
            {"name": "ISTIO_META_CLUSTER_ID", "value": "Kubernetes"},
        ],
        "ports": [{"containerPort": METRICS_PORT, "name": "http-envoy-prom", "protocol": "TCP"}],
        "readinessProbe": {**_probe(), "periodSeconds": 15, "failureThreshold": 4},
        "resources": _resources(),
        "restartPolicy": "Always",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 1337,
            "runAsNonRoot": True,
            "runAsUser": 1337,
        },
        "startupProbe": {**_probe(), "periodSeconds": 1, "failureThreshold": 600},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _MOUNTS.items()],
    }


def _probe() -> Object:
    return {"httpGet": {"path": HEALTH_PATH, "port": HEALTH_PORT, "scheme": "HTTP"}, "timeoutSeconds": 3}


_MOUNTS = {
    "workload-socket": "/var/run/secrets/workload-spiffe-uds",
    "credential-socket": "/var/run/secrets/credential-uds",
    "workload-certs": "/var/run/secrets/workload-spiffe-credentials",
    "istiod-ca-cert": "/var/run/secrets/istio",
    "istio-ca-crl": "/var/run/secrets/istio/crl",
    "istio-data": "/var/lib/istio/data",
    "istio-envoy": "/etc/istio/proxy",
    "istio-token": "/var/run/secrets/tokens",
    "istio-podinfo": "/etc/istio/pod",
}


def _volumes() -> list[Object]:
    fields = [
        {"path": name, "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.{name}"}}
        for name in ("labels", "annotations")
    ]
    token = {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}
    return [
        *({"name": name, "emptyDir": {}} for name in ("workload-socket", "credential-socket", "workload-certs")),
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-data", "emptyDir": {}},
        {"name": "istio-podinfo", "downwardAPI": {"items": fields}},
        {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "istiod-ca-cert", "configMap": {"name": ROOT_CERTIFICATE}},
        {"name": "istio-ca-crl", "configMap": {"name": REVOCATIONS, "optional": True}},
    ]


def _settings(cluster: Cluster) -> Object:
    """The `global` values of the installation: where images come from and which tag they have."""
    found = cluster.find("configmaps", ISTIO_NAMESPACE, INJECTOR)
    if found is None:
        return {}
    values: Object = json.loads((found.get("data") or {}).get("values") or "{}")
    return values.get("global") or {}

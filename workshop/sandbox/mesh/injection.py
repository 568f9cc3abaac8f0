"""Sidecar injection: what istiod's mutating webhook does to pods as they are created.

In force while Istio's MutatingWebhookConfiguration is there. A pod that exists is never touched, so a namespace
that is labelled later keeps its pods as they are until they are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workshop.sandbox.cluster import Admission, ApiError, Cluster, Object

from .annotations import unsupported
from .version import HUB, ISTIO_NAMESPACE, VERSION

CONFIGURATION = "istio-sidecar-injector"
NAMESPACE_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
POD_LABEL = "sidecar.istio.io/inject"
PROXY = "istio-proxy"
INIT = "istio-init"
METRICS_PORT = 15090
_WEBHOOK = "namespace.sidecar-injector.istio.io"

_NEVER = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


def hook(cluster: Cluster, istiod_runs: Callable[[], bool]) -> Callable[[Admission], None]:
    """An admission hook for `cluster`."""

    def inject_sidecar(admission: Admission) -> None:
        if admission.resource.key != "pods" or admission.operation != "CREATE":
            return
        found = cluster.find("mutatingwebhookconfigurations.admissionregistration.k8s.io", None, CONFIGURATION)
        if found is None:
            return
        pod = admission.object
        namespace = cluster.find("namespaces", None, pod["metadata"]["namespace"])
        if namespace is None or not wanted(pod, namespace):
            return
        if not istiod_runs():
            raise _unreachable()
        if reason := unsupported(pod["metadata"].get("annotations") or {}):
            raise _refused(reason)
        inject(pod, _settings(cluster))

    return inject_sidecar


def enabled(namespace: Object) -> bool | None:
    """What a namespace's labels say of injection; None when they say nothing."""
    labels = namespace["metadata"].get("labels") or {}
    if NAMESPACE_LABEL in labels:
        return bool(labels[NAMESPACE_LABEL] == "enabled")
    return True if labels.get(REVISION_LABEL) == "default" else None


def wanted(pod: Object, namespace: Object) -> bool:
    """Whether a new pod gets a sidecar: the pod's label decides within what the namespace allows."""
    if namespace["metadata"]["name"] in _NEVER or pod["spec"].get("hostNetwork"):
        return False
    if any(container["name"] == PROXY for container in pod["spec"]["containers"]):
        return False
    labels = pod["metadata"].get("labels") or {}
    annotations = pod["metadata"].get("annotations") or {}
    says = labels.get(POD_LABEL, annotations.get(POD_LABEL))
    allowed = enabled(namespace)
    if says == "false" or allowed is False:
        return False
    return bool(allowed) or labels.get(POD_LABEL) == "true"


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
        "initContainers": [INIT],
        "containers": [PROXY],
        "volumes": None,
        "imagePullSecrets": None,
        "revision": "default",
    }
    annotations = metadata.setdefault("annotations", {})
    annotations.setdefault("istio.io/rev", "default")
    annotations.setdefault("kubectl.kubernetes.io/default-container", first)
    annotations.setdefault("kubectl.kubernetes.io/default-logs-container", first)
    annotations["sidecar.istio.io/status"] = json.dumps(status, separators=(",", ":"))
    spec.setdefault("initContainers", []).append(_init_container(image))
    spec["containers"].append(_proxy_container(image))


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
    return {"requests": {"cpu": "10m", "memory": "40Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}


def _init_container(image: str) -> Object:
    return {
        "name": INIT,
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
        "name": PROXY,
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
        "resources": {**_resources(), "requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 1337,
            "runAsNonRoot": True,
            "runAsUser": 1337,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _settings(cluster: Cluster) -> Object:
    """The `global` values of the installation: where images come from and which tag they have."""
    found = cluster.find("configmaps", ISTIO_NAMESPACE, CONFIGURATION)
    if found is None:
        return {}
    values: Object = json.loads((found.get("data") or {}).get("values") or "{}")
    return values.get("global") or {}


def _refused(reason: str) -> ApiError:
    message = f'admission webhook "{_WEBHOOK}" denied the request: injection failed: {reason}'
    return ApiError(400, "BadRequest", message)


def _unreachable() -> ApiError:
    return ApiError(
        500,
        "InternalError",
        f'Internal error occurred: failed calling webhook "{_WEBHOOK}": failed to call webhook: '
        f'Post "https://istiod.{ISTIO_NAMESPACE}.svc:443/inject?timeout=10s": '
        'no endpoints available for service "istiod"',
    )

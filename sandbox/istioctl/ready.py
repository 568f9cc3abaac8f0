"""What of Istio runs in a cluster: pods of istiod and proxies, with the version their images say."""

from __future__ import annotations

from typing import Any

from sandbox.istioctl.client import Client

Object = dict[str, Any]


def istiods(client: Client, namespace: str) -> list[Object]:
    """Ready pods of the control plane."""
    return [pod for pod in client.list("v1", "Pod", namespace, "app=istiod") if is_ready(pod)]


def proxies(client: Client) -> list[Object]:
    """Ready pods with a proxy, sidecars and gateways."""
    return [pod for pod in client.list("v1", "Pod") if has_proxy(pod) and is_ready(pod)]


def has_proxy(pod: Object) -> bool:
    """As a container, or as an init container that keeps running."""
    return any(container["name"] == "istio-proxy" for container in _containers(pod))


def _containers(pod: Object) -> list[Object]:
    spec = pod["spec"]
    return [*spec["containers"], *(spec.get("initContainers") or ())]


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def version_of(pod: Object, container: str) -> str:
    """The tag of a container's image."""
    for found in _containers(pod):
        if found["name"] == container:
            return str(found["image"]).rpartition("/")[2].partition("@")[0].partition(":")[2] or "unknown"
    return "unknown"


def proxy_id(pod: Object) -> str:
    return f"{pod['metadata']['name']}.{pod['metadata']['namespace']}"

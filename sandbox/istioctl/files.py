"""Objects out of files for `analyze`: those that are looked at, and what would become of them in a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox.istioctl.errors import FileError
from sandbox.istioctl.resources import Object, labels_of

STDIN = "-"


def read(name: str) -> Iterator[Object]:
    """The objects of a YAML file, or of what comes in for `-`. Raises FileError."""
    import yaml

    try:
        text = sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except OSError as error:
        raise FileError(f"{name}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise FileError(f"{name} is not YAML: {error}") from error
    for obj in documents:
        if obj and not _is_object(obj):
            raise FileError(f"{name}: not a Kubernetes object: it needs an apiVersion, a kind and a name")
        if obj:
            yield obj


def _is_object(obj: object) -> bool:
    return (
        isinstance(obj, dict)
        and isinstance(obj.get("metadata"), dict)
        and all(
            isinstance(text, str) for text in (obj.get("apiVersion"), obj.get("kind"), obj["metadata"].get("name"))
        )
    )


def pod_of(deployment: Object) -> Object:
    """One of the pods it would have, with the sidecar that it would get: a subset may select it."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    return _pod(metadata["name"], metadata["namespace"], labels_of({"metadata": {}, **template}))


def default_gateway(namespace: str) -> Object:
    """The pod that the real one, too, takes for granted when it knows no cluster: the ingress gateway's."""
    return _pod("istio-ingressgateway-dummypod", namespace, {"istio": "ingressgateway"})


def _pod(name: str, namespace: str, labels: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "istio-proxy"}]},
    }

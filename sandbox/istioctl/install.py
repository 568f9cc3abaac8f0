"""`istioctl install`: apply the objects of a profile, component by component, and wait until each is ready."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from sandbox.istioctl.client import Client
from sandbox.istioctl.errors import IstioctlError, UsageError
from sandbox.istioctl.manifests import KINDS, components
from sandbox.istioctl.manifests.common import COMPONENT_LABEL, Component
from sandbox.istioctl.options import Options, options
from sandbox.istioctl.pruning import installed, remove
from sandbox.mesh.durations import seconds
from sandbox.mesh.version import ISTIO_NAMESPACE, VERSION

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

Object = dict[str, Any]

_TITLES = {
    Component.BASE: "Istio core",
    Component.PILOT: "Istiod",
    Component.EGRESS: "Egress gateways",
    Component.INGRESS: "Ingress gateways",
}
_POLL_SECONDS = 0.05


def run(invocation: Invocation) -> int:
    arguments = invocation.arguments
    chosen = options(arguments.all("filename"), arguments.all("set"))
    if invocation.istio_namespace != ISTIO_NAMESPACE:
        raise UsageError(f"the sandbox's istioctl installs into namespace {ISTIO_NAMESPACE} only")
    try:
        timeout = seconds(arguments.text("readiness-timeout"))
    except ValueError as error:
        raise UsageError(f"--readiness-timeout: {error}") from error
    client = invocation.client
    question = f'This will install the Istio {VERSION} profile "{chosen.profile}" into the sandbox. Proceed?'
    if not invocation.confirmed(question):
        return 1
    _install(client, chosen, timeout)
    return 0


def _install(client: Client, chosen: Options, timeout: float) -> None:
    if client.find("v1", "Namespace", None, ISTIO_NAMESPACE) is None:
        metadata = {"name": ISTIO_NAMESPACE}
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    wanted = list(components(chosen))
    for component, objects in wanted:
        try:
            for obj in objects:
                client.apply(obj)
            _wait(client, objects, timeout)
        except IstioctlError as error:
            print(f"✘ {_TITLES[component]} encountered an error: {error}")
            raise IstioctlError(f"failed to install manifests: {error}") from error
        print(f"✔ {_TITLES[component]} installed")
        sys.stdout.flush()
    _prune(client, [obj for _, objects in wanted for obj in objects])
    print("✔ Installation complete")


def _prune(client: Client, wanted: list[Object]) -> None:
    """Remove what an earlier installation had and this one has not, such as a gateway."""
    keep = {(obj["kind"], obj["metadata"]["name"]) for obj in wanted}
    for obj in installed(client, KINDS, COMPONENT_LABEL):
        if (obj["kind"], obj["metadata"]["name"]) not in keep:
            remove(client, obj)


def _wait(client: Client, objects: list[Object], timeout: float) -> None:
    """Until the CRDs among `objects` are served and the Deployments are complete."""
    deadline = time.monotonic() + timeout
    waiting = [obj for obj in objects if obj["kind"] in ("CustomResourceDefinition", "Deployment")]
    while waiting:
        waiting = [obj for obj in waiting if not _ready(client, obj)]
        if not waiting:
            return
        if time.monotonic() > deadline:
            names = ", ".join(f"{obj['kind']}/{ISTIO_NAMESPACE}/{obj['metadata']['name']}" for obj in waiting)
            raise IstioctlError(
                f"failed to wait for resource: resources not ready after {timeout:g}s: context deadline exceeded\n"
                f"  {names} ({_reason(client, waiting[0])})"
            )
        time.sleep(_POLL_SECONDS)


def _ready(client: Client, obj: Object) -> bool:
    metadata = obj["metadata"]
    live = client.find(obj["apiVersion"], obj["kind"], metadata.get("namespace"), metadata["name"])
    if live is None:
        return False
    status = live.get("status") or {}
    if obj["kind"] == "CustomResourceDefinition":
        return any(c["type"] == "Established" and c["status"] == "True" for c in status.get("conditions") or [])
    replicas = live["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= live["metadata"].get("generation", 1)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) == status.get("availableReplicas", 0) >= replicas
    )


def _reason(client: Client, deployment: Object) -> str:
    """Why a Deployment is not ready, as far as its pods say."""
    labels = ",".join(f"{k}={v}" for k, v in deployment["spec"].get("selector", {}).get("matchLabels", {}).items())
    for pod in client.list("v1", "Pod", ISTIO_NAMESPACE, labels):
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            waiting = (status.get("state") or {}).get("waiting")
            if waiting:
                return f"container {status['name']}: {waiting.get('reason')}: {waiting.get('message', '')}".rstrip(
                    ": "
                )
    return "not all pods are available"

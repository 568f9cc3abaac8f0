"""`istioctl install` and `istioctl uninstall`.

Installing applies the objects of a profile, component by component, and waits until each is ready; uninstalling
removes everything that it has created, but not the namespace, as the real one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

from sandbox.core.cluster import Object
from sandbox.core.durations import seconds
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.command_line import IstioctlError, UsageError
from sandbox.istioctl.install_options import Options, options
from sandbox.istioctl.manifests import COMPONENT_LABEL, KINDS, Component, components, where_real_ports_lead
from sandbox.mesh.istio import ISTIO_NAMESPACE, VERSION

_TITLES = {
    Component.BASE: "Istio core",
    Component.PILOT: "Istiod",
    Component.EGRESS: "Egress gateways",
    Component.INGRESS: "Ingress gateways",
}
_POLL_SECONDS = 0.05
_GONE_SECONDS = 60.0


def install(invocation: Invocation) -> int:
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
    if chosen.ingress:
        lead = where_real_ports_lead("here")
        print(f"The ingress gateway's ports are 8080 and 8443: 80 and 443, which a real one has, {lead}.")


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
                f"  {names}"
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


def uninstall(invocation: Invocation) -> int:
    """All of it goes, whatever profile it is said to have been; that has to be one, all the same."""
    options([], invocation.arguments.all("set"))
    if not invocation.arguments.on("purge"):
        raise UsageError("the sandbox has one revision of Istio only: --purge must be set")
    client = invocation.client
    if not invocation.confirmed("All Istio resources will be pruned from the cluster. Proceed?"):
        return 1
    for obj in list(installed(client, KINDS, COMPONENT_LABEL)):
        remove(client, obj)
    _wait_for_the_end(client)
    print("✔ Uninstall complete")
    return 0


def _wait_for_the_end(client: Client) -> None:
    """Until nothing is left: custom objects go before their kind does, in the background."""
    deadline = time.monotonic() + _GONE_SECONDS
    while left := next(installed(client, KINDS, COMPONENT_LABEL), None):
        if time.monotonic() > deadline:
            raise IstioctlError(
                f"{left['kind']} {left['metadata']['name']} is still there after {_GONE_SECONDS:g}s"
            )
        time.sleep(_POLL_SECONDS)


def installed(client: Client, kinds: Iterable[tuple[str, str]], labels: str) -> Iterator[Object]:
    """Objects of these kinds with these labels, in the order of the kinds."""
    for api_version, kind in kinds:
        yield from client.list(api_version, kind, labels=labels)


def remove(client: Client, obj: Object) -> None:
    """Delete it, and say so."""
    if client.delete(obj):
        metadata, (group, _, version) = obj["metadata"], obj["apiVersion"].rpartition("/")
        kind = f"{group}/{version}" if group else version
        print(
            f"  Removed {kind}, Kind={obj['kind']}/{metadata['name']}.{metadata.get('namespace', '')}".rstrip(".")
        )

"""What of Istio runs in a cluster, or could: `istioctl version`, `istioctl x precheck`, `istioctl proxy-status`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.core.cluster import Object
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.command_line import IstioctlError, UsageError, print_as
from sandbox.mesh.istio import CONTAINER, SYNC_STATUS, VERSION

CLIENT_VERSION = f"{VERSION}-sandbox"


def version(invocation: Invocation) -> int:
    arguments = invocation.arguments
    output = arguments.text("output")
    if output not in ("", "json", "yaml"):
        raise UsageError('--output must be "yaml" or "json"')
    told: dict[str, Any] = {"clientVersion": _build(CLIENT_VERSION)}
    if arguments.on("remote"):
        told.update(_remote(invocation))
    if output:
        print_as(output, told)
    else:
        print("\n".join(_lines(told, arguments.on("remote"), invocation.istio_namespace)))
    return 0


def _build(version: str) -> dict[str, str]:
    return {"version": version, "revision": "sandbox", "golang_version": "none", "status": "Clean", "tag": version}


def _remote(invocation: Invocation) -> dict[str, Any]:
    """What runs in the cluster; nothing of a plane that is not there."""
    planes = [
        {"Component": "pilot", "Revision": "default", "Info": _build(version_of(pod, "discovery"))}
        for pod in istiods(invocation.client, invocation.istio_namespace)
    ]
    if not planes:
        return {}
    found = [
        {"ID": proxy_id(pod), "IstioVersion": version_of(pod, CONTAINER)} for pod in proxies(invocation.client)
    ]
    return {"meshVersion": planes, **({"dataPlaneVersion": found} if found else {})}


def _lines(told: dict[str, Any], remote: bool, namespace: str) -> list[str]:
    planes = told.get("meshVersion", [])
    lines = [f"client version: {told['clientVersion']['version']}"]
    if remote and not planes:
        lines.insert(0, f'Istio is not present in the cluster: no running Istio pods in namespace "{namespace}"')
    if planes:
        lines.append("control plane version: " + ", ".join(sorted({plane["Info"]["version"] for plane in planes})))
        counted = Counter(proxy["IstioVersion"] for proxy in told.get("dataPlaneVersion", []))
        found = [f"{version} ({count} prox{'y' if count == 1 else 'ies'})" for version, count in counted.items()]
        lines.append("data plane version: " + (", ".join(found) or "none"))
    return lines


def precheck(invocation: Invocation) -> int:
    """Whether Istio can be installed: in a sandbox it can, whose release is known and whose one user may do all."""
    invocation.client.check_sandbox()
    print("✔ No issues found when checking the cluster. Istio is safe to install or upgrade!")
    return 0


_SERVICES = {"Cluster": "CDS", "Listener": "LDS", "ClusterLoadAssignment": "EDS", "RouteConfiguration": "RDS"}
_SUBSCRIBED = f"{len(_SERVICES)} ({','.join(_SERVICES.values())})"


def proxy_status(invocation: Invocation) -> int:
    verbosity = invocation.arguments.text("verbosity")
    if verbosity not in ("0", "1"):
        raise UsageError(f'invalid argument "{verbosity}" for "-v, --verbosity" flag: it is 0 or 1')
    planes = istiods(invocation.client, invocation.istio_namespace)
    if not planes:
        raise IstioctlError(f'no running Istio pods in namespace "{invocation.istio_namespace}"')
    plane = planes[0]["metadata"]["name"]
    statuses = _statuses(invocation, plane)
    shown = sorted(_SERVICES.values()) if verbosity == "1" else []
    rows: list[tuple[str, ...]] = [("NAME", "CLUSTER", *shown, "ISTIOD", "VERSION")]
    for pod in sorted(proxies(invocation.client), key=proxy_id):
        name = proxy_id(pod)
        of_services = [statuses.get(name, {}).get(service, "NOT SENT") for service in shown]
        rows.append((name, "Kubernetes", *of_services, plane, version_of(pod, CONTAINER)))
    if not shown:
        rows = [(*row, _SUBSCRIBED if number else "SUBSCRIBED TYPES") for number, row in enumerate(rows)]
    print("\n".join(table(rows)))
    if refused := [name for name, status in statuses.items() if "ERROR" in status.values()]:
        # The real one has columns for it with -v 1 only; nobody looks there without a reason to.
        more = "" if shown else "istioctl proxy-status -v 1 shows of what; "
        print(
            f"Refused by Envoy: configuration of {', '.join(refused)}; {more}istiod's log says why", file=sys.stderr
        )
    return 0


def _statuses(invocation: Invocation, plane: str) -> Mapping[str, Mapping[str, str]]:
    """What istiod knows: by proxy and discovery service."""
    try:
        answer = invocation.client.execute(invocation.istio_namespace, plane, "discovery", *SYNC_STATUS)
    except IstioctlError as error:
        raise IstioctlError(f"failed to ask {plane} for its proxies: {error}") from error
    return {
        known["node"]["id"]: {
            _SERVICES[status["typeUrl"].rpartition(".")[2]]: status["configStatus"].replace("_", " ")
            for status in known["genericXdsConfigs"]
        }
        for known in json.loads(answer)
    }


def table(rows: Sequence[Sequence[str]], gap: int = 5) -> list[str]:
    """Columns as wide as their widest cell, `gap` spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ((" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def istiods(client: Client, namespace: str) -> list[Object]:
    """Ready pods of the control plane."""
    return [pod for pod in client.list("v1", "Pod", namespace, "app=istiod") if is_ready(pod)]


def proxies(client: Client) -> list[Object]:
    """Ready pods with a proxy, sidecars and gateways."""
    return [pod for pod in client.list("v1", "Pod") if has_proxy(pod) and is_ready(pod)]


def has_proxy(pod: Object) -> bool:
    """As a container, or as an init container that keeps running."""
    return any(container["name"] == CONTAINER for container in _containers(pod))


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

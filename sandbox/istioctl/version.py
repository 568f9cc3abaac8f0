"""`istioctl version`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from sandbox.istioctl import ready
from sandbox.istioctl.errors import UsageError
from sandbox.mesh.version import VERSION

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

CLIENT_VERSION = f"{VERSION}-sandbox"


def run(invocation: Invocation) -> int:
    arguments = invocation.arguments
    output = arguments.text("output")
    if output not in ("", "json", "yaml"):
        raise UsageError('--output must be "yaml" or "json"')
    told: dict[str, Any] = {"clientVersion": _build(CLIENT_VERSION)}
    if arguments.on("remote"):
        told.update(_remote(invocation))
    if output == "json":
        print(json.dumps(told, indent=2))
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(told, sort_keys=False), end="")
    else:
        print("\n".join(_lines(told, arguments.on("remote"), arguments.on("short"), invocation.istio_namespace)))
    return 0


def _build(version: str) -> dict[str, str]:
    return {
        "version": version,
        "revision": "sandbox",
        "golang_version": "none",
        "status": "Clean",
        "tag": version,
    }


def _remote(invocation: Invocation) -> dict[str, Any]:
    """What runs in the cluster; nothing of a plane that is not there."""
    planes = [
        {"Component": "pilot", "Revision": "default", "Info": _build(ready.version_of(pod, "discovery"))}
        for pod in ready.istiods(invocation.client, invocation.istio_namespace)
    ]
    if not planes:
        return {}
    proxies = [
        {"ID": ready.proxy_id(pod), "IstioVersion": ready.version_of(pod, "istio-proxy")}
        for pod in ready.proxies(invocation.client)
    ]
    return {"meshVersion": planes, **({"dataPlaneVersion": proxies} if proxies else {})}


def _lines(told: dict[str, Any], remote: bool, short: bool, namespace: str) -> list[str]:
    def word(build: dict[str, str]) -> str:
        return build["version"] if short else str(build)

    planes = told.get("meshVersion", [])
    lines = [f"client version: {word(told['clientVersion'])}"]
    if remote and not planes:
        lines.insert(0, f'Istio is not present in the cluster: no running Istio pods in namespace "{namespace}"')
    if planes:
        lines.append("control plane version: " + ", ".join(sorted({word(plane["Info"]) for plane in planes})))
        counted = Counter(proxy["IstioVersion"] for proxy in told.get("dataPlaneVersion", []))
        found = [f"{version} ({count} prox{'y' if count == 1 else 'ies'})" for version, count in counted.items()]
        lines.append("data plane version: " + (", ".join(found) or "none"))
    return lines

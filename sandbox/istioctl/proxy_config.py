"""`istioctl proxy-config`: what a pod's Envoy has been told, asked of Envoy itself by exec in its container."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.istioctl import (
    proxy_config_clusters,
    proxy_config_endpoints,
    proxy_config_listeners,
    proxy_config_routes,
)
from sandbox.istioctl.client import Client
from sandbox.istioctl.config_dump import Object, Rows
from sandbox.istioctl.errors import IstioctlError, UsageError
from sandbox.istioctl.flags import Arguments
from sandbox.istioctl.proxy_status import table
from sandbox.istioctl.ready import has_proxy, is_ready

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

CONTAINER = "istio-proxy"
_SHOWN: dict[
    str, tuple[str, Callable[[Object, Arguments], list[Object]], Callable[[list[Object], Arguments], Rows]]
] = {
    "clusters": ("config_dump", proxy_config_clusters.found, proxy_config_clusters.rows),
    "listeners": ("config_dump", proxy_config_listeners.found, proxy_config_listeners.rows),
    "routes": ("config_dump", proxy_config_routes.found, proxy_config_routes.rows),
    "endpoints": ("clusters?format=json", proxy_config_endpoints.found, proxy_config_endpoints.rows),
}
"""What to ask Envoy for, which of it was asked for, and how that looks."""
_GAPS = {"listeners": 1}
_SELECTING = {
    **dict.fromkeys(("deploy", "deployment", "deployments"), ("apps/v1", "Deployment")),
    **dict.fromkeys(("rs", "replicaset", "replicasets"), ("apps/v1", "ReplicaSet")),
    **dict.fromkeys(("svc", "service", "services"), ("v1", "Service")),
}
_PODS = ("po", "pod", "pods")


def run(invocation: Invocation) -> int:
    arguments = invocation.arguments
    kind = arguments.command[-1]
    output = arguments.text("output")
    if output not in ("short", "json", "yaml"):
        raise UsageError(f'output format "{output}" not supported')
    if len(arguments.words) != 1:
        raise UsageError(f"{kind[:-1]} requires pod name or --file parameter; the sandbox's istioctl has no --file")
    for flag in ("port",):
        if flag in arguments.flags and arguments.text(flag) and not arguments.text(flag).isdigit():
            raise UsageError(f'invalid argument "{arguments.text(flag)}" for "--{flag}" flag: it is a number')
    pod, namespace = _pod(invocation.client, arguments.words[0], invocation.namespace)
    path, found, rows = _SHOWN[kind]
    shown = found(_ask(invocation.client, pod, namespace, path), arguments)
    if output == "short":
        print("\n".join(table(rows(shown, arguments), _GAPS.get(kind, 5))))
    elif output == "json":
        print(json.dumps(_camel(shown), indent=4))
    else:
        import yaml

        print(yaml.safe_dump(_camel(shown), sort_keys=False))
    return 0


def _ask(client: Client, pod: str, namespace: str, path: str) -> Object:
    done = client.execute(namespace, pod, CONTAINER, ("pilot-agent", "request", "GET", path))
    if done.problem:
        why = done.err.strip() or done.problem
        raise IstioctlError(f"failed to execute command on {pod}.{namespace} sidecar: {why}")
    answer: Object = json.loads(done.out)
    return answer


def _pod(client: Client, given: str, namespace: str) -> tuple[str, str]:
    """A pod's name and namespace, of `POD`, `POD.NAMESPACE`, `deploy/NAME`, `deploy/NAME.NAMESPACE`."""
    kind, slash, name = given.rpartition("/")
    name, dot, after = name.rpartition(".") if "." in name else (name, "", "")
    namespace = after if dot else namespace
    if not slash or kind.lower() in _PODS:
        if client.find("v1", "Pod", namespace, name) is None:
            raise IstioctlError(f'failed to execute command on {name}.{namespace} sidecar: pods "{name}" not found')
        return name, namespace
    if kind.lower() not in _SELECTING:
        known = ", ".join(("pod", *(found.lower() for _, found in dict.fromkeys(_SELECTING.values()))))
        raise UsageError(f'the sandbox\'s istioctl finds pods by {known}, not by "{kind}"')
    selecting = client.find(*_SELECTING[kind.lower()], namespace, name)
    if selecting is None:
        raise IstioctlError(f'failed retrieving: {kind} "{name}" not found in the "{namespace}" namespace')
    selector = selecting["spec"].get("selector") or {}
    labels = selector.get("matchLabels", selector)
    pods = client.list("v1", "Pod", namespace, ",".join(f"{key}={value}" for key, value in labels.items()))
    ready = [pod for pod in pods if has_proxy(pod) and is_ready(pod)] or pods
    if not ready or not labels:
        raise IstioctlError(f'no pods match "{given}"')
    newest = max(ready, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return str(newest["metadata"]["name"]), namespace


def _camel(value: Any, key: str = "") -> Any:
    """Messages with their fields in protobuf's JSON names, as istioctl prints them; maps keep their keys."""
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if isinstance(value, dict):
        if key in _MAPS:
            return {name: value[name] if key == "filter_metadata" else _camel(value[name]) for name in value}
        return {re.sub("_([a-z0-9])", lambda m: m[1].upper(), name): _camel(value[name], name) for name in value}
    return value


_MAPS = ("filter_metadata", "typed_extension_protocol_options", "typed_per_filter_config")

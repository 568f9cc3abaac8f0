"""`istioctl analyze`: what is suspicious in a cluster, in files, or in both together."""

from __future__ import annotations

import sys

from sandbox.core.cluster import Object
from sandbox.istioctl.analyzers import Level, Message, Resources, find_messages
from sandbox.istioctl.api_client import Invocation
from sandbox.istioctl.command_line import IssuesFound, UsageError, print_as
from sandbox.mesh.istio import VERSION

_KINDS = (
    ("v1", "Namespace"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("networking.istio.io/v1", "ServiceEntry"),
    ("networking.istio.io/v1", "Sidecar"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
)
_DOCUMENTATION = f"https://istio.io/v{'.'.join(VERSION.split('.')[:2])}/docs/reference/config/analysis"


def analyze(invocation: Invocation) -> int:
    arguments = invocation.arguments
    output = arguments.text("output")
    if output not in ("", "log", "json", "yaml"):
        raise UsageError(f"{output} is not a format: log, json or yaml")
    with_cluster = arguments.on("use-kube")
    if not with_cluster and not arguments.words:
        raise UsageError("--use-kube=false needs files to analyze")
    namespace = "" if arguments.on("all-namespaces") else _namespace(invocation, with_cluster)
    if with_cluster and namespace and invocation.client.find("v1", "Namespace", None, namespace) is None:
        print(f'namespace "{namespace}" not found', file=sys.stderr)
        return 0
    objects: dict[tuple[str, str, str], Object] = {}
    if with_cluster:
        objects = {_key(obj): obj for of_kind in _KINDS for obj in invocation.client.list(*of_kind)}
    invalid: list[Message] = []
    if arguments.words:
        # Brings all of the mesh with it: a third of a second that `analyze` of a cluster need not wait for.
        from sandbox.istioctl import analyzed_files

        resolve = analyzed_files.resolver(invocation.client if with_cluster else None)
        if not with_cluster:
            pod = analyzed_files.default_gateway(invocation.istio_namespace)
            objects[_key(pod)] = pod
        for obj in analyzed_files.read_objects(arguments.words):
            problems, added = analyzed_files.as_in_cluster(obj, namespace or "default", _KINDS, resolve)
            invalid += problems
            objects.update((_key(one), one) for one in added)
    found = [*invalid, *find_messages(Resources(list(objects.values())))]
    messages = [message for message in found if not namespace or message.namespace == namespace]
    messages.sort(key=lambda message: (-message.level.value, message.code, message.comparator))
    _print(messages, output)
    where = _where(namespace)
    if not messages:
        print(f"✔ No validation issues found when analyzing{_what(arguments.words, where)}", file=sys.stderr)
    if any(message.level is Level.Error for message in messages) and output in ("", "log"):
        raise IssuesFound(
            f"Analyzers found issues when analyzing {where}.\nSee {_DOCUMENTATION} "
            "for more information about causes and resolutions."
        )
    return 0


def _namespace(invocation: Invocation, with_cluster: bool) -> str:
    return invocation.namespace if with_cluster else invocation.arguments.text("namespace") or "default"


def _where(namespace: str) -> str:
    return f"namespace: {namespace}" if namespace else "all namespaces"


def _what(files: list[str], where: str) -> str:
    if len(files) > 1:
        return ":" + "".join(f"\n  - {file}" for file in files)
    return f" {files[0] if files else where}."


def _key(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _print(messages: list[Message], output: str) -> None:
    """To stdout, as istioctl does; that there are none is said on stderr."""
    if output in ("json", "yaml"):
        listed = [
            {
                "code": m.code,
                "documentationUrl": f"{_DOCUMENTATION}/{m.code.lower()}/?ref=istioctl-analyze",
                "level": m.level.name,
                "message": m.text,
                "origin": m.origin,
            }
            for m in messages
        ]
        print_as(output, listed, indent="\t")
        return
    for message in messages:
        print(f"{message.level.name} [{message.code}] ({message.origin}) {message.text}")

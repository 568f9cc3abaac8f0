"""`istioctl analyze`: what is suspicious in a cluster, in files, or in both together."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sandbox.istioctl import files
from sandbox.istioctl.analyzers import Level, Message, analyze
from sandbox.istioctl.errors import IssuesFound, UsageError
from sandbox.istioctl.resources import Object, Resources
from sandbox.mesh.version import VERSION

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

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
)
_DEPLOYMENT = ("apps", "Deployment")
_DOCUMENTATION = f"https://istio.io/v{'.'.join(VERSION.split('.')[:2])}/docs/reference/config/analysis"


def run(invocation: Invocation) -> int:
    arguments = invocation.arguments
    output, threshold = arguments.text("output"), arguments.text("failure-threshold").capitalize()
    if output not in ("", "log", "json", "yaml"):
        raise UsageError(f"{output} is not a format: log, json or yaml")
    if threshold not in Level.__members__:
        raise UsageError(f"invalid argument {threshold!r} for --failure-threshold: Info, Warning or Error")
    with_cluster = arguments.on("use-kube")
    if not with_cluster and not arguments.words:
        raise UsageError("--use-kube=false needs files to analyze")
    objects: dict[tuple[str, str, str], Object] = {}
    if with_cluster:
        for api_version, kind in _KINDS:
            for obj in invocation.client.list(api_version, kind):
                objects[_key(obj)] = obj
    else:
        pod = files.default_gateway(invocation.istio_namespace)
        objects[_key(pod)] = pod
    namespace = "" if arguments.on("all-namespaces") else _namespace(invocation, with_cluster)
    if with_cluster and namespace and invocation.client.find("v1", "Namespace", None, namespace) is None:
        print(f'namespace "{namespace}" not found', file=sys.stderr)
        return 0
    invalid: list[Message] = []
    for file in arguments.words:
        for obj in files.read(file):
            problems, added = _from_file(obj, namespace or "default")
            invalid += problems
            objects.update((_key(one), one) for one in added)
    found = [*invalid, *analyze(Resources(list(objects.values())))]
    messages = [message for message in found if not namespace or message.namespace == namespace]
    messages.sort(key=lambda message: (-message.level.value, message.code, message.comparator))
    _print(messages, output)
    where = _where(namespace)
    if not messages:
        print(f"✔ No validation issues found when analyzing{_what(arguments.words, where)}", file=sys.stderr)
    bad = any(message.level.value >= Level[threshold].value for message in messages)
    if bad and output in ("", "log"):
        raise IssuesFound(
            f"Analyzers found issues when analyzing {where}.\nSee {_DOCUMENTATION} "
            "for more information about causes and resolutions."
        )
    return 0


def _from_file(obj: Object, namespace: str) -> tuple[list[Message], list[Object]]:
    """What a cluster would say of it, and what would be there then to be looked at."""
    from sandbox.istioctl.analyzers import schema

    if obj["kind"] != "Namespace":
        obj["metadata"].setdefault("namespace", namespace)
    problems, sound = schema.check(obj)
    kind = obj["apiVersion"].rpartition("/")[0], obj["kind"]
    if sound and kind == _DEPLOYMENT:
        return problems, [obj, files.pod_of(obj)]
    looked_at = any(kind == (api_version.rpartition("/")[0], name) for api_version, name in _KINDS)
    return problems, [obj] if sound and looked_at else []


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
        if output == "json":
            print(json.dumps(listed, indent="\t"))
        else:
            import yaml

            print(yaml.safe_dump(listed, sort_keys=False), end="")
        return
    for message in messages:
        print(f"{message.level.name} [{message.code}] ({message.origin}) {message.text}")

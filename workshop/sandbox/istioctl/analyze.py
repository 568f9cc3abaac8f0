"""`istioctl analyze`: what is suspicious in a cluster, in files, or in both together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .analyzers import Level, Message, analyze
from .errors import FileError, IssuesFound, UsageError
from .resources import Resources

if TYPE_CHECKING:
    from .cli import Invocation

Object = dict[str, Any]

_KINDS = (
    ("v1", "Namespace"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
)


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
    namespace = "" if arguments.on("all-namespaces") else _namespace(invocation, with_cluster)
    for file in arguments.words:
        for obj in _read(Path(file)):
            if obj["kind"] != "Namespace":
                obj["metadata"].setdefault("namespace", namespace or "default")
            objects[_key(obj)] = obj
    messages = [m for m in analyze(Resources(list(objects.values()))) if not namespace or m.namespace == namespace]
    messages.sort(key=lambda message: (-message.level.value, message.code, message.origin))
    where = _where(namespace, arguments.words if not with_cluster else [])
    _print(messages, output, where)
    if any(message.level.value >= Level[threshold].value for message in messages):
        raise IssuesFound(f"Analyzers found issues when analyzing {where}.")
    return 0


def _namespace(invocation: Invocation, with_cluster: bool) -> str:
    return invocation.namespace if with_cluster else invocation.arguments.text("namespace") or "default"


def _where(namespace: str, files: list[str]) -> str:
    if files:
        return "files: " + ", ".join(files)
    return f"namespace: {namespace}" if namespace else "all namespaces"


def _key(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _read(file: Path) -> list[Object]:
    import yaml

    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise FileError(f"{file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise FileError(f"{file} is not YAML: {error}") from error
    found = [obj for obj in documents if obj]
    for obj in found:
        if not isinstance(obj, dict) or "kind" not in obj or not (obj.get("metadata") or {}).get("name"):
            raise FileError(f"{file}: not a Kubernetes object: it needs a kind and a name")
    return found


def _print(messages: list[Message], output: str, where: str) -> None:
    if output in ("json", "yaml"):
        listed = [{"code": m.code, "level": m.level.name, "message": m.text, "origin": m.origin} for m in messages]
        if output == "json":
            print(json.dumps(listed, indent="\t"))
        else:
            import yaml

            print(yaml.safe_dump(listed, sort_keys=False), end="")
        return
    for message in messages:
        print(f"{message.level.name} [{message.code}] ({message.origin}) {message.text}")
    if not messages:
        print(f"✔ No validation issues found when analyzing {where}.")

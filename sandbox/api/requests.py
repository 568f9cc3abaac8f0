"""What a request asks for: its path as a target, its query as options, its Accept header as a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.api import errors
from sandbox.api.kinds import Registry
from sandbox.core.cluster import ApiError, Resource

_TABLE = re.compile(r"as=Table;v=(v1|v1beta1);g=meta\.k8s\.io|as=Table;g=meta\.k8s\.io;v=(v1|v1beta1)")
_PARTIAL = re.compile(r"as=PartialObjectMetadata(List)?;")

Form = Literal["object", "table", "metadata"]


@dataclass(frozen=True, slots=True)
class Target:
    """An object (`name`), one of its subresources, or all objects of a kind."""

    resource: Resource
    namespace: str | None
    name: str | None = None
    subresource: str | None = None


def parse_path(path: str, registry: Registry) -> Target:
    """Raises ApiError NotFound for what is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise not_served()
    namespace = None
    # `namespaces/x` and its subresources are objects; anything else behind a namespace lies in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None:
        raise not_served(_what_is_missing(group, version, rest[0], registry))
    if len(rest) > 3 or (namespace is not None and not resource.namespaced):
        raise not_served()
    name, subresource = [*rest, None, None][1:3]
    if subresource is not None and subresource not in resource.subresources:
        raise not_served(f"{resource.plural}/{subresource}")
    if name is not None and resource.namespaced and namespace is None:
        raise not_served()
    return Target(resource, namespace, name, subresource)


def not_served(what: str = "") -> ApiError:
    """Kubernetes' words, which clients know, and then `what` it is that the sandbox does not have."""
    told = f" (the sandbox has no {what})" if what else ""
    return ApiError(404, "NotFound", f"the server could not find the requested resource{told}")


def _what_is_missing(group: str, version: str, plural: str, registry: Registry) -> str:
    others = [one.api_version for one in registry.all() if (one.group, one.plural) == (group, plural)]
    instead = f", only in {', '.join(others)}" if others else ""
    return f"{plural} in {group}/{version}{instead}" if group else f"{plural} in {version}{instead}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The form a client wants objects in."""

    form: Form
    version: str = "v1"


def parse_accept(accept: str) -> Answer:
    """The first form of an Accept header that is served. Raises ApiError when none is."""
    for part in accept.split(","):
        media = part.split(";")[0].strip()
        if media not in ("application/json", "application/*", "*/*", ""):
            continue
        parameters = part.partition(";")[2].replace(" ", "")
        if table := _TABLE.search(parameters):
            return Answer("table", table[1] or table[2])
        if _PARTIAL.search(parameters + ";"):
            return Answer("metadata")
        if "as=" not in parameters:
            return Answer("object")
    raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json")


def dry_run(query: Mapping[str, str]) -> bool:
    wanted = query.get("dryRun", "")
    if wanted not in ("", "All"):
        raise errors.bad_request(f'dryRun: Unsupported value: "{wanted}": supported values: "All"')
    return wanted == "All"


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise errors.bad_request(f"{name}: {text!r} is not a number")
    return int(text)


def manager(query: Mapping[str, str], user_agent: str) -> str:
    """Who writes: the fieldManager asked for, else the client's name."""
    return query.get("fieldManager") or user_agent.split("/")[0][:128] or "unknown"

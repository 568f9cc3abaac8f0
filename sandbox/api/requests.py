"""What a request says: what it is about (its path), how (query, DeleteOptions) and in which form (Accept)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.api.api_errors import bad_request, not_served
from sandbox.api.kinds import Registry
from sandbox.api.writer import DeleteOptions
from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.core.objects import at

Form = Literal["object", "table"]
"""How a client wants objects."""

_DELETE_OPTIONS = {"apiVersion", "kind", "dryRun", "gracePeriodSeconds", "preconditions", "propagationPolicy"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a path leads to: an object (`name`), one of its subresources, or all objects of a kind."""

    resource: Resource
    namespace: str | None
    name: str | None = None
    subresource: str | None = None
    proxied: str | None = None
    """Of a request that is passed on: its path there, without the leading slash."""
    watched: bool = False
    """Whether the path says it (`/api/v1/watch/…`), as it did before the query could."""


def parse_path(path: str, registry: Registry) -> RequestInfo:
    """Raises ApiError NotFound for what is not served."""
    path, proxied = _proxied(path)
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise not_served()
    watched = rest[0] == "watch" and len(rest) > 1
    if watched:
        rest = rest[1:]
    namespace = None
    # `namespaces/x` and its subresources are objects; anything else behind a namespace lies in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = registry.served_as(group, version, rest[0])
    if resource is None:
        raise not_served(_what_is_missing(group, version, rest[0], registry))
    if len(rest) > 3 or (watched and len(rest) > 2) or (namespace is not None and not resource.namespaced):
        raise not_served()
    name, subresource = [*rest, None, None][1:3]
    if subresource is not None and subresource not in resource.subresources:
        raise not_served(f"{resource.plural}/{subresource}")
    if name is not None and resource.namespaced and namespace is None:
        raise not_served()
    return RequestInfo(resource, namespace, name, subresource, proxied, watched)


def _proxied(path: str) -> tuple[str, str | None]:
    """A path up to where it is passed on, and what is asked for there."""
    found = re.match(r"(/api/v1/namespaces/[^/]+/(?:pods|services)/[^/]+/proxy)(?:/(.*))?$", path, re.DOTALL)
    return (found[1], found[2]) if found else (path, None)


def _what_is_missing(group: str, version: str, plural: str, registry: Registry) -> str:
    others = [one.api_version for one in registry.all() if (one.group, one.plural) == (group, plural)]
    instead = f", only in {', '.join(others)}" if others else ""
    return f"{plural} in {group}/{version}{instead}" if group else f"{plural} in {version}{instead}"


def parse_accept(accept: str) -> Form:
    """The first form of an Accept header that is served. Raises ApiError when none is."""
    for part in accept.split(","):
        media, *parameters = (text.strip() for text in part.split(";"))
        if media not in ("application/json", "application/*", "*/*", ""):
            continue
        if {"as=Table", "v=v1", "g=meta.k8s.io"} <= set(parameters):
            return "table"
        if not any(parameter.startswith("as=") for parameter in parameters):
            return "object"
    known = "application/json, application/json;as=Table;v=v1;g=meta.k8s.io"
    raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {known}")


def delete_options(options: Object, query: Mapping[str, str]) -> DeleteOptions:
    """From metav1.DeleteOptions and, for what they leave out, the query. Raises ApiError for what is not sound."""
    if unknown := sorted(options.keys() - _DELETE_OPTIONS):
        raise bad_request(f"DeleteOptions: {unknown[0]} is not supported by the sandbox")
    policy = options.get("propagationPolicy") or query.get("propagationPolicy") or None
    if policy not in (None, "Background", "Foreground", "Orphan"):
        raise bad_request(f'propagationPolicy: Unsupported value: "{policy}"')
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = number(query, "gracePeriodSeconds")
    elif type(grace) is not int:
        raise bad_request(f"gracePeriodSeconds: {grace!r} is not a number")
    asked = options.get("dryRun") or []
    if not isinstance(asked, list):
        raise bad_request("dryRun: it is not a list")
    return DeleteOptions(
        propagation=policy,
        grace_seconds=grace,
        uid=at(options, "preconditions", "uid"),
        resource_version=at(options, "preconditions", "resourceVersion"),
        dry_run=any(dry_run({"dryRun": str(one)}) for one in [*asked, query.get("dryRun", "")]),
    )


def dry_run(query: Mapping[str, str]) -> bool:
    wanted = query.get("dryRun", "")
    if wanted not in ("", "All"):
        raise bad_request(f'dryRun: Unsupported value: "{wanted}": supported values: "All"')
    return wanted == "All"


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise bad_request(f"{name}: {text!r} is not a number")
    return int(text)


def manager(query: Mapping[str, str], user_agent: str) -> str:
    """Who writes: the fieldManager asked for, else the client's name."""
    return query.get("fieldManager") or user_agent.split("/")[0][:128] or "unknown"

"""A VirtualService's HTTP rules as Envoy's routes.

Pure translation: what does not translate was refused before it was stored (see `support` and `validation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import clusters, hosts
from .proxies import Proxy
from .registry import Registry
from .rules import qualified
from .xds.protobuf import TYPE_PREFIX

Route = dict[str, Any]

_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_DEFAULT_ATTEMPTS = 2
REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


@dataclass(frozen=True, slots=True)
class Context:
    """Who routes: the proxy, the port requests come in on, and through which gateway (`mesh` for a sidecar)."""

    proxy: Proxy
    port: int
    gateway: str
    registry: Registry


def translate(virtual_service: Mapping[str, Any], context: Context) -> list[Route]:
    """Routes in the rule's order; those behind one that takes everything are left out."""
    namespace = virtual_service["metadata"]["namespace"]
    found: list[Route] = []
    for http in virtual_service["spec"].get("http") or []:
        for match in _matches(http.get("match") or [{}], context, namespace):
            found.append(_route(http, match, context, namespace))
            if found[-1]["match"] == {"prefix": "/"}:
                return found
    return found


def to_cluster(cluster: str) -> list[Route]:
    """One route that sends everything to one cluster, with Istio's defaults."""
    return [{"match": {"prefix": "/"}, "route": {"cluster": cluster, **_DEFAULT_ACTION}}]


def _matches(matches: Iterable[Mapping[str, Any]], context: Context, namespace: str) -> Iterator[dict[str, Any]]:
    """Envoy's matches for those of the rule that can apply to this proxy, port and gateway at all."""
    for match in matches:
        gateways = [qualified(name, namespace) for name in match.get("gateways") or []]
        labels = match.get("sourceLabels") or {}
        if (
            match.get("port", context.port) == context.port
            and (not gateways or context.gateway in gateways)
            and labels.items() <= context.proxy.labels.items()
            and match.get("sourceNamespace", context.proxy.namespace) == context.proxy.namespace
        ):
            yield _match(match)


def _match(match: Mapping[str, Any]) -> dict[str, Any]:
    uri = match.get("uri") or {}
    if "exact" in uri:
        made: dict[str, Any] = {"path": uri["exact"]}
    elif "regex" in uri:
        made = {"safe_regex": {"regex": uri["regex"]}}
    else:
        made = {"prefix": uri.get("prefix", "/")}
    if match.get("ignoreUriCase") and "regex" not in uri:
        made["case_sensitive"] = False
    headers = [_header(name, value) for name, value in (match.get("headers") or {}).items()]
    headers += [
        {**_header(name, value), "invert_match": True}
        for name, value in (match.get("withoutHeaders") or {}).items()
    ]
    for field, header in (("method", ":method"), ("authority", ":authority"), ("scheme", ":scheme")):
        if field in match:
            headers.append(_header(header, match[field]))
    if headers:
        made["headers"] = headers
    parameters = match.get("queryParams") or {}
    if parameters:
        made["query_parameters"] = [_parameter(name, value) for name, value in parameters.items()]
    return made


def _header(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "string_match": _string(value)} if value else {"name": name, "present_match": True}


def _parameter(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "string_match": _string(value)} if value else {"name": name, "present_match": True}


def _string(value: Mapping[str, str]) -> dict[str, Any]:
    if "regex" in value:
        return {"safe_regex": {"regex": value["regex"]}}
    return {kind: text for kind, text in value.items() if kind in ("exact", "prefix")}


def _route(http: Mapping[str, Any], match: dict[str, Any], context: Context, namespace: str) -> Route:
    route: Route = {"match": match, **_headers(http.get("headers") or {})}
    if "name" in http:
        route["name"] = http["name"]
    if "redirect" in http:
        route["redirect"] = _redirect(http["redirect"])
    elif "directResponse" in http:
        route["direct_response"] = _direct_response(http["directResponse"])
    else:
        route["route"] = {**_destinations(http.get("route") or [], context, namespace), **_action(http)}
        route["route"].update(_rewrite(http.get("rewrite") or {}, match))
    return route


def _destinations(routes: list[Mapping[str, Any]], context: Context, namespace: str) -> dict[str, Any]:
    if len(routes) == 1 and not routes[0].get("headers"):
        return {"cluster": _cluster(routes[0]["destination"], context, namespace)}
    weighted = [
        {
            "name": _cluster(route["destination"], context, namespace),
            "weight": route.get("weight", 0 if len(routes) > 1 else 1),
            **_headers(route.get("headers") or {}),
        }
        for route in routes
        if route.get("weight") or len(routes) == 1
    ]
    return {"weighted_clusters": {"clusters": weighted}}


def _cluster(destination: Mapping[str, Any], context: Context, namespace: str) -> str:
    """The destination's cluster. It need not exist: requests to one that does not are answered with 503."""
    host = hosts.resolve(destination["host"], namespace)
    service = context.registry.by_host.get(host)
    port = (destination.get("port") or {}).get("number")
    if port is None:
        only_one = service is not None and len(service.ports) == 1
        port = service.ports[0].number if service is not None and only_one else context.port
    return clusters.name(context.proxy.id, host, port, destination.get("subset", ""))


def _action(http: Mapping[str, Any]) -> dict[str, Any]:
    """How to forward: no time limit and two more attempts, unless the rule says otherwise."""
    action: dict[str, Any] = {
        "timeout": duration(http.get("timeout", "0s")),
        "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
    }
    retries = http.get("retries") or {}
    attempts = retries.get("attempts", _DEFAULT_ATTEMPTS)
    if attempts:
        predicate = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        action["retry_policy"] = {
            "retry_on": retries.get("retryOn") or _RETRY_ON,
            "num_retries": attempts,
            "retriable_status_codes": [503],
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {"@type": TYPE_PREFIX + predicate},
                }
            ],
        }
        if "perTryTimeout" in retries:
            action["retry_policy"]["per_try_timeout"] = duration(retries["perTryTimeout"])
    return action


def _rewrite(rewrite: Mapping[str, Any], match: Mapping[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = {}
    if "uri" in rewrite:
        if "prefix" in match:
            action["prefix_rewrite"] = rewrite["uri"]
        else:
            whole = {"regex": "[^?]*"}
            action["regex_rewrite"] = {"pattern": whole, "substitution": rewrite["uri"].replace("\\", "\\\\")}
    if "uriRegexRewrite" in rewrite:
        by_regex = rewrite["uriRegexRewrite"]
        action["regex_rewrite"] = {"pattern": {"regex": by_regex["match"]}, "substitution": by_regex["rewrite"]}
    if "authority" in rewrite:
        action["host_rewrite_literal"] = rewrite["authority"]
    return action


def _redirect(redirect: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "uri": "path_redirect",
        "authority": "host_redirect",
        "port": "port_redirect",
        "scheme": "scheme_redirect",
    }
    action = {there: redirect[here] for here, there in names.items() if here in redirect}
    action["response_code"] = REDIRECT_CODES[redirect.get("redirectCode", 301)]
    return action


def _direct_response(response: Mapping[str, Any]) -> dict[str, Any]:
    body = (response.get("body") or {}).get("string")
    action: dict[str, Any] = {"status": response["status"]}
    return action if body is None else {**action, "body": {"inline_string": body}}


def _headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers to set, add and remove, of requests and responses."""
    made: dict[str, Any] = {}
    for direction, change in headers.items():
        options = [
            {"header": {"key": key, "value": value}, "append_action": action}
            for field, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))
            for key, value in (change.get(field) or {}).items()
        ]
        if options:
            made[f"{direction}_headers_to_add"] = options
        if change.get("remove"):
            made[f"{direction}_headers_to_remove"] = list(change["remove"])
    return made


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|ns|h|m|s))+")
_DURATION_PART = re.compile(r"([\d.]+)([a-z]+)")


def seconds(text: str) -> float:
    """A duration as Istio's rules write it ("1.5s", "1m30s", "100ms"). Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def duration(text: str) -> str:
    """The same in Envoy's JSON: seconds with a fraction."""
    return f"{seconds(text):.9f}".rstrip("0").rstrip(".") + "s"


_DEFAULT_ACTION = _action({})

"""A VirtualService's HTTP rules as Envoy's routes: whom a match means, where requests go, what becomes of them.

Pure translation: what does not translate was refused before it was stored (`supported_fields`, `validation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sandbox.core.durations import duration, seconds
from sandbox.mesh import envoy_clusters, rules, traffic_policies
from sandbox.mesh.registry import Proxy, Registry
from sandbox.mesh.rules import Rules, gateway_key
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

Route = dict[str, Any]


def translate(virtual_service: Mapping[str, Any], context: Context) -> list[Route]:
    """Routes in the rule's order; those behind one that takes everything are left out."""
    name, namespace = virtual_service["metadata"]["name"], virtual_service["metadata"]["namespace"]
    origin = rules.origin("virtual-service", virtual_service)
    found: list[Route] = []
    for http in virtual_service["spec"].get("http") or []:
        for match in http.get("match") or [{}]:
            if applies(match, context, namespace):
                route = _route(http, match, context, namespace)
                operation = {"operation": _operation(route, name, context.port)}
                found.append({**route, "metadata": origin, "decorator": operation})
                if takes_everything(found[-1]):
                    return found
    return found


def stands_on(virtual_service: Mapping[str, Any], context: Context) -> object:
    """What of services and DestinationRules a translation depends on, to be held against a later one."""
    metadata, registry = virtual_service["metadata"], context.registry
    services = registry.stood_on.get(
        (metadata["namespace"], metadata["name"]), virtual_service, lambda: _services_of(virtual_service, registry)
    )
    return services, context.rules.policies if context.rules.policies.hash else None


def _services_of(virtual_service: Mapping[str, Any], registry: Registry) -> object:
    namespace = virtual_service["metadata"]["namespace"]
    services = [
        registry.by_host.get(rules.full_host(destination["host"], namespace))
        for http in virtual_service["spec"].get("http") or []
        for destination in (
            *(one["destination"] for one in http.get("route") or []),
            *(destination for destination, _ in _mirrors(http)),
        )
    ]
    return [service and (service.namespace, service.ports) for service in services]


def to(destination: Mapping[str, Any], context: Context) -> list[Route]:
    """One route that sends everything to one destination (its host in full), with Istio's defaults."""
    cluster = destination_cluster(destination, context, "")
    route: Route = {"name": "default", "match": _EVERYTHING, "route": {"cluster": cluster, **_DEFAULT_ACTION}}
    route["decorator"] = {"operation": _operation(route, "", context.port)}
    if hashed := _hash_policy(destination, context, ""):
        route["route"]["hash_policy"] = hashed
    return [route]


def passing(cluster: str) -> list[Route]:
    """One route that lets everything go on, and tries nothing again."""
    return [{"name": "allow_any", "match": _EVERYTHING, "route": {"cluster": cluster, **_NO_LIMIT}}]


def refusing(status: int) -> list[Route]:
    """One route on which nothing goes on."""
    return [{"name": "block_all", "match": _EVERYTHING, "direct_response": {"status": status}}]


def to_https(port: int) -> list[Route]:
    """One route that asks the client to come back encrypted; `port` is where."""
    redirect = {"https_redirect": True} if port == 443 else {"https_redirect": True, "port_redirect": port}
    return [{"match": _EVERYTHING, "redirect": redirect}]


def takes_everything(route: Route) -> bool:
    """Whether it leaves no request for the routes behind it."""
    match = route["match"]
    everything = match.get("prefix") == "/" or match.get("safe_regex") == {"regex": ".*"}
    return everything and "headers" not in match and "query_parameters" not in match


def _route(http: Mapping[str, Any], match: Mapping[str, Any], context: Context, namespace: str) -> Route:
    route: Route = {"match": _match(match), **_header_changes(http.get("headers") or {})}
    if name := ".".join(filter(None, (http.get("name"), match.get("name")))):
        route["name"] = name
    if match.get("statPrefix"):
        route["stat_prefix"] = match["statPrefix"]
    if filters := _filters(http):
        route["typed_per_filter_config"] = filters
    if "redirect" in http:
        route["redirect"] = _redirect(http["redirect"], context)
    elif "directResponse" in http:
        route["direct_response"] = _direct_response(http["directResponse"])
    else:
        _forward(route, http, context, namespace)
    return route


def _operation(route: Route, rule: str, port: int) -> str:
    """What spans call it: the destination, or the rule where there is not one (istiod's GetRouteOperation)."""
    match, cluster = route["match"], route.get("route", {}).get("cluster")
    path = match.get("path") or (match["safe_regex"]["regex"] if "safe_regex" in match else f"{match['prefix']}*")
    if cluster:
        _, port, _, rule = cluster.partition("/")[2].split("|")
    return f"{rule}:{port}{path}"


def _filters(http: Mapping[str, Any]) -> dict[str, Any]:
    """What the filters before the router do for this route."""
    found = {}
    if fault := fault_config(http.get("fault") or {}):
        found[FAULT_FILTER] = fault
    if "corsPolicy" in http:
        found[CORS_FILTER] = _cors_config(http["corsPolicy"])
    return found


def _forward(route: Route, http: Mapping[str, Any], context: Context, namespace: str) -> None:
    chosen = http["route"] if len(http["route"]) == 1 else [one for one in http["route"] if one.get("weight")]
    hashed = [policy for one in chosen for policy in _hash_policy(one["destination"], context, namespace)]
    only = chosen[0] if len(http["route"]) == 1 else None
    action = route["route"] = _forwarding(http, hashed=bool(hashed and only))
    if hashed:
        action["hash_policy"] = hashed
    rewrite = http.get("rewrite") or {}
    action.update(_rewrite(rewrite))
    if mirrored := _mirror_policies(http, context, namespace):
        action["request_mirror_policies"] = mirrored
    authority = rewrite.get("authority") or _authority(http.get("headers") or {})
    if only:
        action["cluster"] = destination_cluster(only["destination"], context, namespace)
        for field, more in _header_changes(only.get("headers") or {}).items():
            route[field] = [*route.get(field, ()), *more]
        authority = authority or _authority(only.get("headers") or {})
    else:
        action["weighted_clusters"] = {"clusters": [_weighted(one, context, namespace) for one in chosen]}
    if authority:
        action["host_rewrite_literal"] = authority


def _weighted(route: Mapping[str, Any], context: Context, namespace: str) -> dict[str, Any]:
    headers = route.get("headers") or {}
    made = {
        "name": destination_cluster(route["destination"], context, namespace),
        "weight": route["weight"],
        **_header_changes(headers),
    }
    authority = _authority(headers)
    return {**made, "host_rewrite_literal": authority} if authority else made


# Where to

NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Context:
    """Who routes: the proxy, the port requests come in on, and through which gateway (`mesh` for a sidecar).

    `tls` is whether they come in encrypted.
    """

    proxy: Proxy
    port: int
    gateway: str
    registry: Registry
    rules: Rules = NO_RULES
    tls: bool = False


def destination_cluster(destination: Mapping[str, Any], context: Context, namespace: str) -> str:
    """The destination's cluster. It need not exist: requests to one that does not are answered with 503."""
    host, port = host_and_port(destination, context, namespace)
    return envoy_clusters.name(context.proxy.id, host, port, destination.get("subset", ""))


def _hash_policy(destination: Mapping[str, Any], context: Context, namespace: str) -> list[dict[str, Any]]:
    """Envoy's, where a DestinationRule has the endpoint depend on the request."""
    if not context.rules.policies.hash:
        return []
    host, port = host_and_port(destination, context, namespace)
    service = context.registry.by_host.get(host)
    if service is None:
        return []
    policy = context.rules.policy(host, service.namespace, context.proxy.namespace)
    traffic = traffic_policies.of_port(policy.traffic, port)
    if subset := policy.subsets.get(destination.get("subset", "")):
        traffic = traffic_policies.of_port(subset.get("trafficPolicy") or {}, port, traffic)
    return traffic_policies.hash_policy(traffic)


def host_and_port(destination: Mapping[str, Any], context: Context, namespace: str) -> tuple[str, int]:
    """Without a port a service's only one is meant, else the one the request came to."""
    host = rules.full_host(destination["host"], namespace)
    if "port" in destination:
        return host, destination["port"]["number"]
    service = context.registry.by_host.get(host)
    only_one = service is not None and len(service.ports) == 1
    return host, service.ports[0].number if service is not None and only_one else context.port


# Whom a match means: what is about the request is Envoy's to decide, what is about the proxy is decided here.

_EVERYTHING = {"prefix": "/"}
_PSEUDO_HEADERS = (("method", ":method"), ("authority", ":authority"), ("scheme", ":scheme"))


def applies(match: Mapping[str, Any], context: Context, namespace: str) -> bool:
    """Whether a rule's match in `namespace` can be about requests of this proxy, port and gateway at all.

    Istio asks for the proxy's labels and namespace only where a match names no gateways.
    """
    if (match.get("port") or context.port) != context.port:
        return False
    if match.get("gateways"):
        return context.gateway in (gateway_key(name, namespace) for name in match["gateways"])
    labels = match.get("sourceLabels") or {}
    source = match.get("sourceNamespace") or context.proxy.namespace
    return labels.items() <= context.proxy.labels.items() and source == context.proxy.namespace


def _match(match: Mapping[str, Any]) -> dict[str, Any]:
    """What a request must look like, in Envoy's words."""
    uri = match.get("uri") or {}
    if "exact" in uri:
        made: dict[str, Any] = {"path": uri["exact"]}
    elif "regex" in uri:
        made = {"safe_regex": {"regex": uri["regex"]}}
    else:
        made = {"prefix": uri.get("prefix", "/")}
    if match.get("ignoreUriCase") and "regex" not in uri:
        made["case_sensitive"] = False
    headers = [_named(name, value) for name, value in (match.get("headers") or {}).items()]
    headers += [_without(name, value) for name, value in (match.get("withoutHeaders") or {}).items()]
    headers += [_named(header, match[field]) for field, header in _PSEUDO_HEADERS if match.get(field)]
    if headers:
        made["headers"] = headers
    if match.get("queryParams"):
        made["query_parameters"] = [_named(name, value) for name, value in match["queryParams"].items()]
    return made


def _named(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    """A header or a parameter; `*` for a regular expression means, as no value does, that it is there."""
    if not value or value.get("regex") == "*":
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": _string_match(value)}


def _without(name: str, value: Mapping[str, str] | None) -> dict[str, Any]:
    made = {**_named(name, value or {}), "invert_match": True}
    if "string_match" in made:
        made["treat_missing_header_as_empty"] = True
    return made


def _string_match(value: Mapping[str, str]) -> dict[str, Any]:
    """Istio's StringMatch as Envoy's StringMatcher."""
    if "regex" in value:
        return {"safe_regex": {"regex": value["regex"]}}
    return {kind: text for kind, text in value.items() if kind in ("exact", "prefix")}


# Time limits, retries, rewrites, redirects and direct answers

REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}

_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""Istio's since 1.24, which tries a 503 of an application no more: the application may have acted on it."""
_DEFAULT_ATTEMPTS = 2
_OTHER_HOSTS = [
    {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": f"{TYPE_PREFIX}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    }
]
STATUS_CODES = frozenset(str(status.value) for status in HTTPStatus)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _forwarding(http: Mapping[str, Any], *, hashed: bool = False) -> dict[str, Any]:
    """How to forward: no time limit and two more attempts, unless the rule says otherwise.

    `hashed` is whether the destination is chosen by a property of the request: the same one is tried again then.
    """
    limit = duration(http.get("timeout") or "0s")
    action: dict[str, Any] = {"timeout": limit, "max_grpc_timeout": limit}
    policy = _retry_policy(http.get("retries"), hashed=hashed)
    return {**action, "retry_policy": policy} if policy else action


def _retry_policy(retries: Mapping[str, Any] | None, *, hashed: bool = False) -> dict[str, Any]:
    """Envoy's retries; empty for none. A policy that says no number has none."""
    if retries is None:
        retries = {"attempts": _DEFAULT_ATTEMPTS}
    if not retries.get("attempts"):
        return {}
    policy: dict[str, Any] = {
        "num_retries": retries["attempts"],
        "host_selection_retry_max_attempts": 5,
        **_retry_on(retries.get("retryOn") or _RETRY_ON),
    }
    if "perTryTimeout" in retries:
        policy["per_try_timeout"] = duration(retries["perTryTimeout"])
    if "backoff" in retries:
        policy["retry_back_off"] = {"base_interval": duration(retries["backoff"])}
    ignore_previous = retries.get("retryIgnorePreviousHosts")
    if not hashed if ignore_previous is None else ignore_previous:
        policy["retry_host_predicate"] = _OTHER_HOSTS
    return policy


def _retry_on(conditions: str) -> dict[str, Any]:
    """Numbers among the conditions are status codes, which Envoy has apart."""
    parts = [part.strip() for part in conditions.split(",") if part.strip()]
    codes = [int(part) for part in parts if part in STATUS_CODES]
    if not codes:
        return {"retry_on": ",".join(parts)}
    named = [part for part in parts if part not in STATUS_CODES]
    if "retriable-status-codes" not in named:
        named.append("retriable-status-codes")
    return {"retry_on": ",".join(named), "retriable_status_codes": codes}


_DEFAULT_ACTION = _forwarding({})
_NO_LIMIT = {"timeout": "0s", "max_grpc_timeout": "0s"}


def _rewrite(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Of the path: as much of it as the rule's match was about."""
    if "uriRegexRewrite" in wanted:
        by_regex = wanted["uriRegexRewrite"]
        substitution = by_regex.get("rewrite", "")
        return {"regex_rewrite": {"pattern": {"regex": by_regex["match"]}, "substitution": substitution}}
    return {"prefix_rewrite": wanted["uri"]} if wanted.get("uri") else {}


def _redirect(wanted: Mapping[str, Any], context: Context) -> dict[str, Any]:
    names = {
        "uri": "path_redirect",
        "prefixRewrite": "prefix_rewrite",
        "authority": "host_redirect",
        "scheme": "scheme_redirect",
    }
    action = {there: wanted[here] for here, there in names.items() if wanted.get(here)}
    port = context.port if wanted.get("derivePort") == "FROM_REQUEST_PORT" else wanted.get("port", 0)
    scheme = wanted.get("scheme") or ("https" if context.tls else "http")
    if port and port != _DEFAULT_PORTS[scheme]:
        action["port_redirect"] = port
    action["response_code"] = REDIRECT_CODES[wanted.get("redirectCode") or 301]
    return action


def _direct_response(response: Mapping[str, Any]) -> dict[str, Any]:
    body = response.get("body") or {}
    action: dict[str, Any] = {"status": response["status"]}
    if "string" in body:
        action["body"] = {"inline_string": body["string"]}
    elif "bytes" in body:
        action["body"] = {"inline_bytes": body["bytes"]}
    return action


# Faults and CORS. The filters are in every proxy's chain, before the router, and do nothing where a route says
# nothing. A delay goes before the route's time limit, which begins with the forwarding, and an aborted request is
# neither forwarded nor mirrored.

FAULT_FILTER = "envoy.filters.http.fault"
FAULT_TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.fault.v3.HTTPFault"

GRPC_STATUS = {
    name: number
    for number, name in enumerate(
        (
            *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
            *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
            *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
        )
    )
}
"""gRPC's status codes (https://grpc.io/docs/guides/status-codes/)."""


def fault_config(fault: Mapping[str, Any]) -> dict[str, Any] | None:
    """The filter's settings for one route; None where the rule names no fault that does something.

    As with Istio a fault without a percentage is for no request at all.
    """
    made: dict[str, Any] = {"@type": FAULT_TYPE}
    delay, abort = fault.get("delay") or {}, fault.get("abort") or {}
    if "fixedDelay" in delay:
        made["delay"] = {
            "fixed_delay": duration(delay["fixedDelay"]),
            "percentage": _percentage(delay),
        }
    if "httpStatus" in abort:
        made["abort"] = {"http_status": abort["httpStatus"], "percentage": _percentage(abort)}
    elif "grpcStatus" in abort:
        made["abort"] = {"grpc_status": GRPC_STATUS[abort["grpcStatus"]], "percentage": _percentage(abort)}
    return made if len(made) > 1 else None


def _percentage(fault: Mapping[str, Any]) -> dict[str, Any]:
    return _share(fault.get("percentage"), fault.get("percent", 0))


CORS_FILTER = "envoy.filters.http.cors"
CORS_TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.cors.v3.Cors"
_CORS_POLICY_TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.cors.v3.CorsPolicy"

_CORS_LISTS = (
    ("allowHeaders", "allow_headers"),
    ("allowMethods", "allow_methods"),
    ("exposeHeaders", "expose_headers"),
)


def _cors_config(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The filter's settings for one route. Preflights from other origins are forwarded unless told otherwise."""
    origins = [_string_match(origin) for origin in policy.get("allowOrigins") or []]
    made: dict[str, Any] = {
        "@type": _CORS_POLICY_TYPE,
        "filter_enabled": {"default_value": _share(None, 100)},
        "forward_not_matching_preflights": policy.get("unmatchedPreflights") != "IGNORE",
        "allow_origin_string_match": origins or [{"exact": origin} for origin in policy.get("allowOrigin") or []],
        **{there: ",".join(policy[here]) for here, there in _CORS_LISTS if policy.get(here)},
    }
    if policy.get("allowCredentials") is not None:
        made["allow_credentials"] = policy["allowCredentials"]
    if "maxAge" in policy:
        made["max_age"] = str(int(seconds(policy["maxAge"])))
    return made


# Headers. A request's host is one like any other to Istio, but a setting of its own to Envoy.

_HEADER_ACTIONS = (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))


def _header_changes(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Envoy's fields for a route or a weighted cluster."""
    made: dict[str, Any] = {}
    if not headers:
        return made
    for direction in ("request", "response"):
        change = headers.get(direction) or {}
        options = [
            {"header": {"key": key, "value": value}, "append_action": action}
            for field, action in _HEADER_ACTIONS
            for key, value in sorted((change.get(field) or {}).items())
            if not _internal(key)
        ]
        removed = [key for key in change.get("remove") or [] if not _internal(key)]
        if options:
            made[f"{direction}_headers_to_add"] = options
        if removed:
            made[f"{direction}_headers_to_remove"] = removed
    return made


def _authority(headers: Mapping[str, Any]) -> str:
    """The host that requests are to have, "" to leave them theirs."""
    request = headers.get("request")
    if not request:
        return ""
    for field, _ in _HEADER_ACTIONS:
        for key, value in (request.get(field) or {}).items():
            if is_authority(key):
                return str(value)
    return ""


def is_authority(header: str) -> bool:
    return header.lower() in ("host", ":authority")


def _internal(header: str) -> bool:
    return header.startswith(":") or is_authority(header)


def _mirror_policies(http: Mapping[str, Any], context: Context, namespace: str) -> list[dict[str, Any]]:
    """Copies of requests, whose answers nobody sees. No percentage means every request; 0 % leaves a mirror out.

    Envoy would put `-shadow` behind the host's name, which Istio has it leave out since 1.28. A mirror that leads
    nowhere does no harm.
    """
    return [
        {
            "cluster": destination_cluster(destination, context, namespace),
            "runtime_fraction": {"default_value": share},
            "trace_sampled": False,
            "disable_shadow_host_suffix_append": True,
        }
        for destination, share in _mirrors(http)
        if share["numerator"]
    ]


def _mirrors(http: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    if http.get("mirror"):
        older = http.get("mirrorPercent")
        yield http["mirror"], _share(http.get("mirrorPercentage"), 100 if older is None else older)
    for mirror in http.get("mirrors") or []:
        yield mirror["destination"], _share(mirror.get("percentage"), 100)


def _share(percentage: Mapping[str, Any] | None, whole: int) -> dict[str, Any]:
    """Istio's `percentage`, exact to a ten-thousandth of a percent; where there is none, `whole` percent."""
    if percentage is None:
        return {"numerator": whole, "denominator": "HUNDRED"}
    return {"numerator": int(percentage.get("value", 0) * 10_000), "denominator": "MILLION"}

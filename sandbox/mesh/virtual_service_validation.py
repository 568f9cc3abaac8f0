"""What istiod's validating webhook refuses of a VirtualService, and values that the sandbox does not take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.core.durations import seconds
from sandbox.mesh import checks, rules
from sandbox.mesh.http_routes import GRPC_STATUS, STATUS_CODES, is_authority
from sandbox.mesh.rules import MESH

Part = Mapping[str, Any]

_RETRY_ON = frozenset(
    (
        *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"),
        *("retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers"),
        *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
        *STATUS_CODES,
    )
)
_CORS_METHODS = frozenset(("*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"))
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~A-Za-z0-9]+")
"""A token of RFC 9110."""
_PSEUDO_HEADERS = (":method", ":scheme", ":authority")
_OWN_FIELDS = ("uri", "scheme", "method", "authority")
_COMMAND = re.compile(r"(?<!%)%(?:%%)*(?!%)")
"""A percent sign that is not doubled: Envoy would take it for the beginning of a value to fill in."""
_MAXIMUM_BODY = 1024 * 1024


def find_problems(spec: Part, namespace: str) -> Iterator[str]:
    names = spec.get("hosts") or []
    if not names:
        yield from _delegate(spec)
    gateways = spec.get("gateways") or [MESH]
    yield from _gateways(gateways)
    only_mesh = all(gateway == MESH for gateway in gateways)
    for name in names:
        if name == "*" and only_mesh:
            yield "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        yield from checks.host(name)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if rules.covers(name, other) or rules.covers(other, name):
                yield f"duplicate hosts in virtual service: {name} & {other}"
    if not any(spec.get(kind) for kind in ("http", "tcp", "tls")):
        yield "http, tcp or tls must be provided in virtual service"
    for index, http in enumerate(spec.get("http") or []):
        if not names and "delegate" in http:
            yield "delegate HTTP route cannot contain delegate"
        yield from _http_route(http, f"spec.http[{index}]")
    for kind in ("tls", "tcp"):
        for route in spec.get(kind) or []:
            yield from _connection_route(kind, route, names)
    yield from checks.export_to(spec.get("exportTo") or [], namespace)


def _connection_route(kind: str, route: Part, hosts: list[str]) -> Iterator[str]:
    matches = route.get("match") or []
    if kind == "tls" and not matches:
        yield "TLS route must have at least one match condition"
    for match in matches:
        if kind == "tls" and not match.get("sniHosts"):
            yield "TLS match must have at least one SNI host"
        for name in match.get("sniHosts") or []:
            yield from (problems := list(checks.host(name)))
            if not problems and not any(rules.covers(host, name) for host in hosts):
                yield (
                    f'SNI host "{name}" is not a compatible subset of any of the virtual service hosts: '
                    f"[{', '.join(hosts)}]"
                )
        for subnet in match.get("destinationSubnets") or []:
            yield from checks.subnet(subnet)
        yield from _of_whom(match)
    if not route.get("route"):
        yield f"{kind.upper()} route is required"
    yield from _shares(route.get("route") or [])


def find_warnings(spec: Part) -> Iterator[str]:
    """What istiod warns of, in a rule with which nothing is wrong."""
    names = [*(spec.get("gateways") or ())]
    for http in spec.get("http") or ():
        names += [name for match in http.get("match") or () for name in match.get("gateways") or ()]
        abort = (http.get("fault") or {}).get("abort")
        if abort is not None and not {"httpStatus", "grpcStatus"} & set(abort):
            yield "abort configured, but error type not set"
        if http.get("mirrorPercent") is not None:
            yield 'using deprecated setting "mirrorPercent", use "mirrorPercentage" instead'
    for name in names:
        if "/" not in name and "." in name:
            own, namespace = name.split(".")[:2]
            instead = f'prefer the <namespace>/<name> format: "{namespace}/{own}"'
            yield f'using legacy gatewayName format "{name}"; {instead}'


def _delegate(spec: Part) -> Iterator[str]:
    """Without hosts it speaks for those of the VirtualServices that hand on to it."""
    for field, words in (("gateways", "gateways"), ("tls", "tls route"), ("tcp", "tcp route")):
        if spec.get(field):
            yield f"delegate virtual service must have no {words} specified"


def _gateways(names: list[str]) -> Iterator[str]:
    for name in names:
        namespace, slash, own = name.rpartition("/")
        if slash and not (namespace and own):
            yield "config namespace and gateway name cannot be empty"
        elif slash and namespace != "." and not checks.is_label(namespace):
            yield f'invalid value for namespace: "{namespace}"'
        elif not checks.is_label(own if slash else own.split(".")[0]):
            yield f'invalid value for gateway name: "{own}"'


def _http_route(http: Part, path: str) -> Iterator[str]:
    yield from _conflicts(http)
    routes = http.get("route") or []
    for route in routes:
        yield from _headers(route.get("headers") or {})
    yield from _shares(routes)
    yield from checks.duration("timeout", http.get("timeout"))
    yield from _headers(http.get("headers") or {})
    yield from _authority(http)
    for field, check in _CHECKS.items():
        if field in http:
            yield from check(http[field])
    yield from _mirrors(http)
    for index, match in enumerate(http.get("match") or []):
        yield from _http_match(match, f"{path}.match[{index}]")
        if (http.get("redirect") or {}).get("prefixRewrite") and {"exact", "regex"} & set(match.get("uri") or {}):
            yield "redirect prefix_rewrite requires all URI matches to use prefix match type"


def _conflicts(http: Part) -> Iterator[str]:
    if "delegate" in http:
        for field in ("redirect", "route"):
            if http.get(field) is not None:
                yield f"root HTTP route {http.get('name', '')} must not specify {field}"
        return
    words = {"route": "route", "redirect": "redirect", "directResponse": "direct_response"}
    answers = [word for field, word in words.items() if http.get(field)]
    if not answers:
        yield "HTTP route, redirect or direct_response is required"
    elif len(answers) > 1:
        both = f"{answers[0]} and {answers[1]}" if answers[0] == "route" else "direct_response and redirect"
        yield f"HTTP route{'' if answers[0] == 'route' else ' rule'} cannot contain both {both}"
    for answer in answers:
        if answer != "route" and "fault" in http:
            yield f"HTTP route cannot contain both fault and {answer}"
        if answer != "route" and "rewrite" in http:
            yield f"HTTP route rule cannot contain both rewrite and {answer}"


def _shares(routes: list[Part]) -> Iterator[str]:
    """Of destinations, each with its weight."""
    for route in routes:
        yield from _destination(route.get("destination") or {})
        if route.get("weight", 0) < 0:
            yield f"weight {route['weight']} < 0"
    if len(routes) > 1 and not any(route.get("weight", 0) > 0 for route in routes):
        yield "total destination weight = 0"


def _destination(destination: Part) -> Iterator[str]:
    host = destination.get("host", "")
    if not host:
        yield "destination host is required"
    elif host.startswith("*"):
        yield f"invalid destination host {host}: wildcards are not allowed"
    else:
        yield from checks.host(host)
    if destination.get("subset"):
        yield from checks.label("subset name", destination["subset"])
    if "port" in destination:
        yield from checks.port(destination["port"].get("number", 0))


def _headers(headers: Part) -> Iterator[str]:
    for direction, change in headers.items():
        written = {**(change.get("set") or {}), **(change.get("add") or {})}
        for name in (*written, *(change.get("remove") or [])):
            if direction == "request" and is_authority(name) and name in written:
                continue
            if name.lower() == "host":
                yield f'invalid header "{name}": cannot set Host header'
            elif name.startswith(":"):
                yield f'invalid header "{name}": header cannot have ":" prefix'
            elif not _HEADER_NAME.fullmatch(name):
                yield f"header name {name} is not a valid header name"
        for value in written.values():
            if _COMMAND.search(value):
                yield f"header value {value}: values that Envoy fills in (%…%) are not supported by the sandbox"
            if any(character in value for character in "\r\n\0"):
                yield f"header value configuration {value!r} is invalid"


def _authority(http: Part) -> Iterator[str]:
    request = (http.get("headers") or {}).get("request") or {}
    written = [(http.get("rewrite") or {}).get("authority")]
    written += [v for f in ("set", "add") for k, v in (request.get(f) or {}).items() if is_authority(k)]
    have, *more = [value for value in written if value] or [""]
    if more:
        yield f'authority header cannot be set multiple times: have "{have}", attempting to set "{more[0]}"'


def _retries(retries: Part) -> Iterator[str]:
    attempts = retries.get("attempts", 0)
    if attempts < 0:
        yield "attempts cannot be negative"
    if attempts == 0 and ("perTryTimeout" in retries or retries.get("retryOn")):
        yield "http retry policy configured when attempts are set to 0 (disabled)"
    for condition in (retries.get("retryOn") or "").split(",") if retries.get("retryOn") else ():
        if condition not in _RETRY_ON:
            yield f'"{condition}" is not a valid retryOn policy'
    yield from checks.duration("perTryTimeout", retries.get("perTryTimeout"))
    yield from checks.duration("backoff", retries.get("backoff"))


def _rewrite(rewrite: Part) -> Iterator[str]:
    by_regex = rewrite.get("uriRegexRewrite")
    if rewrite.get("uri") and by_regex is not None:
        yield "rewrite may only contain one of URI or UriRegexRewrite"
    if not rewrite.get("uri") and not rewrite.get("authority") and by_regex is None:
        yield "rewrite must specify at least one of URI, UriRegexRewrite, or authority"
    if by_regex is not None:
        if not by_regex.get("match") or not by_regex.get("rewrite"):
            yield "UriRegexRewrite requires both Rewrite and Match fields to be specified"
        else:
            yield from (problems := list(checks.regex("HTTPRewrite.UriRegexRewrite.Match", by_regex["match"])))
            groups = 0 if problems else checks.groups(by_regex["match"])
            if any(int(number) > groups for number in re.findall(r"\\(\d)", by_regex["rewrite"])):
                yield f"UriRegexRewrite {by_regex['rewrite']} names a group that {by_regex['match']} does not have"


def _redirect(redirect: Part) -> Iterator[str]:
    if redirect.get("uri") and redirect.get("prefixRewrite"):
        yield "redirect may only specify one of uri or prefix_rewrite"
    if not any(
        redirect.get(field) for field in ("uri", "prefixRewrite", "authority", "scheme", "port", "derivePort")
    ):
        yield "redirect must specify URI, authority, scheme, or port"
    if redirect.get("scheme", "http") not in ("", "http", "https"):
        yield 'invalid redirect scheme, must be "http" or "https"'
    if redirect.get("port"):
        yield from checks.port(redirect["port"])


def _direct_response(response: Part) -> Iterator[str]:
    status = response.get("status", 0)
    if not 200 <= status <= 599:
        yield f"HTTP status {status} is not in range 200-599"
    body = response.get("body") or {}
    size = len((body.get("string") or "").encode()) + len(body.get("bytes") or "") * 3 // 4
    if size > _MAXIMUM_BODY:
        yield "large direct_responses may impact control plane performance, must be less than 1MB"


def _fault(fault: Part) -> Iterator[str]:
    delay, abort = fault.get("delay"), fault.get("abort")
    if delay is None and abort is None:
        yield "HTTP fault injection must have an abort and/or a delay"
    if delay is not None:
        yield from checks.percentage(delay.get("percentage"))
        if "fixedDelay" not in delay:
            yield "delay configured, but no fixedDelay"
        yield from checks.duration("fixedDelay", delay.get("fixedDelay"))
        if not 0 <= delay.get("percent", 0) <= 100:
            yield f"percent {delay['percent']} is not in range 0..100"
    if abort is not None:
        yield from checks.percentage(abort.get("percentage"))
        if not 200 <= abort.get("httpStatus", 200) <= 599:
            yield f"HTTP status {abort['httpStatus']} is not in range 200-599"
        if abort.get("grpcStatus", "OK") not in GRPC_STATUS:
            yield f'gRPC status "{abort["grpcStatus"]}" is not supported'


def _mirrors(http: Part) -> Iterator[str]:
    if http.get("mirror") and http.get("mirrors"):
        yield "HTTP route cannot contain both mirror and mirrors"
    if (percent := http.get("mirrorPercent") or 0) > 100:
        yield f"mirror_percent must have a max value of 100 (it has {percent})"
    yield from checks.percentage(http.get("mirrorPercentage"))
    if "mirror" in http:
        yield from _destination(http["mirror"])
    for mirror in http.get("mirrors") or []:
        if "destination" not in mirror:
            yield "destination is required for mirrors"
        else:
            yield from _destination(mirror["destination"])
        yield from checks.percentage(mirror.get("percentage"))


def _cors(policy: Part) -> Iterator[str]:
    for origin in policy.get("allowOrigins") or []:
        if not any(origin.values()):
            yield "'' is not a valid match type for CORS allow origins"
        elif "regex" in origin:
            yield from checks.regex("corsPolicy.allowOrigins", origin["regex"])
    for method in policy.get("allowMethods") or []:
        if method not in _CORS_METHODS:
            yield f'"{method}" is not a supported HTTP method'
    for name in (*(policy.get("allowHeaders") or []), *(policy.get("exposeHeaders") or [])):
        if name != "*" and not _HEADER_NAME.fullmatch(name):
            yield f"header name {name} is not a valid header name"
    yield from (problems := list(checks.duration("maxAge", policy.get("maxAge"))))
    if not problems and seconds(policy.get("maxAge", "0s")) % 1:
        yield "max_age duration is accurate only to seconds precision"


def _http_match(match: Part, path: str) -> Iterator[str]:
    for field in ("uri", "method", "authority", "scheme"):
        yield from _string(match.get(field) or {}, field)
    for field in ("headers", "withoutHeaders", "queryParams"):
        for name, value in (match.get(field) or {}).items():
            if name.startswith("@request.auth.claims"):
                yield f"{path}.{field}[{name}]: claims of tokens are not supported by the sandbox"
            elif field != "queryParams":
                if name in _OWN_FIELDS:
                    yield f"header match: {name} is matched by a field of its own"
                elif not _HEADER_NAME.fullmatch(name) and name not in _PSEUDO_HEADERS:
                    yield f"header name {name} is not a valid header name"
            if (value or {}).get("regex") != "*":
                yield from _string(value or {}, field)
    yield from _of_whom(match)


def _of_whom(match: Part) -> Iterator[str]:
    """What is asked of the proxy, and the port."""
    if match.get("port"):
        yield from checks.port(match["port"])
    yield from _gateways(match.get("gateways") or [])
    yield from checks.labels(match.get("sourceLabels") or {})
    if match.get("sourceNamespace") and not checks.is_label(match["sourceNamespace"]):
        yield f"sourceNamespace match {match['sourceNamespace']} is invalid"


def _string(pattern: Part, where: str) -> Iterator[str]:
    if pattern.get("prefix") == "" and where != "uri":
        yield f'"{where}": prefix string match should not be empty'
    if "regex" in pattern:
        if not pattern["regex"]:
            yield f'"{where}": regex string match should not be empty'
        yield from checks.regex(where, pattern["regex"])


_CHECKS = {
    "fault": _fault,
    "retries": _retries,
    "rewrite": _rewrite,
    "redirect": _redirect,
    "directResponse": _direct_response,
    "corsPolicy": _cors,
}

"""What istiod's validating webhook refuses: rules that make no sense, and what the sandbox does not support.

In force while a ValidatingWebhookConfiguration of Istio's is there, as with the real one; also when no istiod
runs, for a rule that was not looked at must never get in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from workshop.sandbox.cluster import Admission, ApiError, Cluster, Object

from . import hosts, traffic_policy_validation
from .durations import seconds
from .support import SUPPORTED, unsupported
from .virtual_services import MESH

GROUP = "networking.istio.io"
WEBHOOK = "validation.istio.io"

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE)
_RETRY_ON = frozenset(
    (
        *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"),
        *("retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers"),
        *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
    )
)
_NOT_RE2 = re.compile(r"\(\?(?:[=!>(]|<[=!])|\\[1-9]")
"""Look-around, atomic groups, conditions, back-references: Python has them, Envoy's expressions do not."""


def hook(cluster: Cluster) -> Callable[[Admission], None]:
    """An admission hook for `cluster`."""

    def validate(admission: Admission) -> None:
        kind = admission.resource.kind
        if admission.resource.group != GROUP or kind not in SUPPORTED or admission.operation == "DELETE":
            return
        if not any(_is_istio(found) for found in cluster.list(_CONFIGURATIONS)):
            return
        problems = list(find_problems(kind, admission.object))
        if problems:
            raise refusal(problems)

    return validate


_CONFIGURATIONS = "validatingwebhookconfigurations.admissionregistration.k8s.io"


def _is_istio(configuration: Object) -> bool:
    return any(webhook["name"].endswith(WEBHOOK) for webhook in configuration.get("webhooks") or [])


def refusal(problems: list[str]) -> ApiError:
    """In istiod's words: one problem on the line, several as a list."""
    listed = problems[0]
    if len(problems) > 1:
        listed = f"{len(problems)} errors occurred:\n" + "".join(f"\t* {problem}\n" for problem in problems)
    message = f'admission webhook "{WEBHOOK}" denied the request: configuration is invalid: {listed}'
    return ApiError(400, "BadRequest", message)


def find_problems(kind: str, obj: Object) -> Iterator[str]:
    """Everything that is wrong with a rule (an object with a `spec`)."""
    spec = obj.get("spec") or {}
    yield from unsupported(kind, spec)
    namespace = obj["metadata"].get("namespace") or "default"
    checks = {"Gateway": _gateway, "VirtualService": _virtual_service, "DestinationRule": _destination_rule}
    yield from checks[kind](spec, namespace)


def _gateway(spec: Object, namespace: str) -> Iterator[str]:
    servers = spec.get("servers") or []
    if not servers:
        yield "gateway must have at least one server"
    names: set[str] = set()
    for server in servers:
        port = server.get("port") or {}
        if not server.get("hosts"):
            yield "server config must contain at least one host"
        for host in server.get("hosts") or []:
            yield from _host(host.rpartition("/")[2])
        if not 1 <= port.get("number", 0) <= 65535:
            yield f"port number {port.get('number', 0)} must be in the range 1..65535"
        if not port.get("protocol"):
            yield "port protocol must be set"
        name = port.get("name") or ""
        if not name:
            yield f"port name must be set: {port}"
        elif name in names:
            yield f"port names in servers must be unique: duplicate name {name}"
        names.add(name)


def _virtual_service(spec: Object, namespace: str) -> Iterator[str]:
    names = spec.get("hosts") or []
    if not names:
        yield "virtual service must have at least one host"
    in_mesh = MESH in (spec.get("gateways") or [MESH])
    for host in names:
        if host == "*" and in_mesh:
            yield "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        yield from _host(host)
    for host in sorted({host for host in names if names.count(host) > 1}):
        yield f"duplicate hosts in virtual service: {host}"
    if not spec.get("http"):
        yield "http, tcp or tls must be provided in virtual service"
    for http in spec.get("http") or []:
        yield from _http_route(http)


def _http_route(http: Object) -> Iterator[str]:
    answers = [name for name in ("route", "redirect", "directResponse") if http.get(name)]
    if not answers:
        yield "HTTP route, redirect or direct_response is required"
    elif len(answers) > 1:
        yield f"HTTP route cannot contain both {answers[0]} and {answers[1]}"
    routes = http.get("route") or []
    for route in routes:
        yield from _destination(route.get("destination") or {})
        if route.get("weight", 0) < 0:
            yield f"weight {route['weight']} < 0"
    if len(routes) > 1 and not any(route.get("weight", 0) > 0 for route in routes):
        yield "total destination weight = 0"
    retries = http.get("retries") or {}
    if retries.get("attempts", 0) < 0:
        yield "retry attempts cannot be negative"
    for condition in filter(None, (retries.get("retryOn") or "").split(",")):
        if condition not in _RETRY_ON and not condition.isdigit():
            yield f'"{condition}" is not a valid retryOn policy'
    for name, text in (("timeout", http.get("timeout")), ("perTryTimeout", retries.get("perTryTimeout"))):
        if text is not None:
            yield from _duration(name, text)
    for match in http.get("match") or []:
        yield from _http_match(match)
    yield from _fault(http)
    yield from _mirrors(http)


def _fault(http: Object) -> Iterator[str]:
    if "fault" not in http:
        return
    delay, abort = http["fault"].get("delay"), http["fault"].get("abort")
    if not delay and not abort:
        yield "HTTP fault injection must have an abort and/or a delay"
    for fault in filter(None, (delay, abort)):
        yield from _percentage(fault.get("percentage"))
    if delay and "fixedDelay" not in delay:
        yield "delay configured, but no fixedDelay"
    elif delay:
        yield from _duration("fixedDelay", delay["fixedDelay"])
    if abort and not {"httpStatus", "grpcStatus"} & set(abort):
        yield "abort configured, but error type not set"
    elif abort and not 200 <= abort.get("httpStatus", 200) <= 599:
        yield f"HTTP status {abort['httpStatus']} is not in range 200-599"
    for other in ("redirect", "directResponse"):
        if http.get(other):
            yield f"HTTP route cannot contain both fault and {other}"


def _mirrors(http: Object) -> Iterator[str]:
    if http.get("mirror") and http.get("mirrors"):
        yield "HTTP route cannot contain both mirror and mirrors"
    if (percent := http.get("mirrorPercent") or 0) > 100:
        yield f"mirror_percent must have a max value of 100 (it has {percent})"
    yield from _percentage(http.get("mirrorPercentage"))
    if "mirror" in http:
        yield from _destination(http["mirror"])
    for mirror in http.get("mirrors") or []:
        yield from _destination(mirror.get("destination") or {})
        yield from _percentage(mirror.get("percentage"))


def _destination(destination: Object) -> Iterator[str]:
    host = destination.get("host", "")
    if not host:
        yield "destination host is required"
    elif host.startswith("*"):
        yield f"invalid destination host {host}: wildcards are not allowed"
    if "subset" in destination:
        yield from _label("subset name", destination["subset"])


def _percentage(percentage: Object | None) -> Iterator[str]:
    value = (percentage or {}).get("value", 0)
    if value and not 0.0001 <= value <= 100:
        yield f"percentage {value} is neither 0.0, nor in range [0.0001, 100.0]"


def _http_match(match: Object) -> Iterator[str]:
    patterns = [match.get(field) for field in ("uri", "method", "authority", "scheme")]
    for field in ("headers", "withoutHeaders", "queryParams"):
        patterns += (match.get(field) or {}).values()
    for pattern in patterns:
        if pattern and "regex" in pattern:
            yield from _regex(pattern["regex"])
    for name in match.get("headers") or {}:
        if name in ("uri", "scheme", "method", "authority"):
            yield f"header match: {name} is matched by a field of its own"


def _destination_rule(spec: Object, namespace: str) -> Iterator[str]:
    if not spec.get("host"):
        yield "destination rule: host is required"
    else:
        yield from _host(hosts.resolve(spec["host"], namespace))
    yield from traffic_policy_validation.find_problems(spec.get("trafficPolicy"))
    names: set[str] = set()
    for subset in spec.get("subsets") or []:
        name = subset.get("name", "")
        yield from _label("subset name", name)
        if name in names:
            yield f"duplicate subset name {name}"
        names.add(name)
        yield from traffic_policy_validation.find_problems(subset.get("trafficPolicy"))


def _host(host: str) -> Iterator[str]:
    """A name or an address, perhaps with a wildcard as its first label."""
    labels = host.split(".")
    if labels[0].startswith("*"):
        labels = [labels[0][1:].lstrip("-") or "x", *labels[1:]]
    if not host or not all(_LABEL.fullmatch(label) for label in labels):
        yield f'domain name "{host}" invalid'


def _label(what: str, text: Any) -> Iterator[str]:
    if not text:
        yield f"{what} cannot be empty"
    elif not _LABEL.fullmatch(text):
        yield f"{what} is invalid: {text}"


def _duration(what: str, text: str) -> Iterator[str]:
    try:
        if seconds(text) < 0.001:
            yield f"invalid {what}: duration must be greater than 1ms"
    except ValueError:
        yield f"invalid {what}: invalid duration {text}"


def _regex(text: str) -> Iterator[str]:
    try:
        re.compile(text)
    except re.error as error:
        yield f"invalid regex {text}: {error}"
    else:
        if _NOT_RE2.search(text):
            yield f"invalid regex {text}: invalid or unsupported Perl syntax"

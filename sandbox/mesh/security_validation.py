"""What istiod's validating webhook refuses, or warns of, of a PeerAuthentication and an AuthorizationPolicy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import checks
from sandbox.mesh.authorization import ANY_SEGMENTS, DRY_RUN, FALSE, ONE_SEGMENT, TRUE, is_template, opposite

_MOST_SERVICE_ACCOUNTS, _LONGEST_SERVICE_ACCOUNT = 16, 320
_UINT32 = 2**32
_SEGMENT = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")

_FOR_HTTP_ONLY = (
    "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP "
    "attributes in a DENY rule; it is recommended to explicitly specify the port"
)


KINDS = ("PeerAuthentication", "AuthorizationPolicy")


def find_problems(kind: str, obj: Object) -> Iterator[str]:
    """Of an object of these kinds. What istiod says of a policy begins with whose it is."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    if kind == "PeerAuthentication":
        yield from _peer_authentication(spec)
        return
    name, namespace = metadata.get("name", ""), metadata.get("namespace") or "default"
    dry_run = (metadata.get("annotations") or {}).get(DRY_RUN)
    if dry_run is not None and dry_run not in (*TRUE, *FALSE):
        why = f'strconv.ParseBool: parsing "{dry_run}": invalid syntax'
        yield f"{namespace}/{name} has annotation {DRY_RUN} with invalid value ({dry_run}): {why}"
        return
    for problem in _authorization_policy(spec):
        yield f"invalid policy {name}.{namespace}: {problem}"


def _peer_authentication(spec: Object) -> Iterator[str]:
    selector, ports = spec.get("selector"), spec.get("portLevelMtls")
    if ports and not (selector or {}).get("matchLabels"):
        yield "mesh/namespace peer authentication cannot have port level mTLS"
    if ports is not None and not ports:
        yield "port level mTLS, if defined, must have at least one element"
    for port in ports or {}:
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            yield "port must be in range 1..65535"
    yield from checks.selector((selector or {}).get("matchLabels"))


def _authorization_policy(spec: Object) -> Iterator[str]:
    yield from checks.selector((spec.get("selector") or {}).get("matchLabels"))
    rules = spec.get("rules") or []
    if spec.get("action") == "DENY" and not rules:
        yield (
            "DENY action without `rules` is meaningless as it will never be triggered, "
            "add an empty rule `{}` if you want it be triggered for every request"
        )
    for index, rule in enumerate(rules):
        found = f"found at rule {index}"
        yield from _parts(rule, "from", "source", found, _source)
        yield from _parts(rule, "to", "operation", found, _operation)
        for condition in rule.get("when") or ():
            yield from _condition(condition)


def _parts(rule: Object, field: str, inner: str, found: str, check: Any) -> Iterator[str]:
    """`from` or `to`, whose items have a `source` or an `operation` each."""
    parts = rule.get(field)
    if parts is not None and not parts:
        yield f"`{field}` must not be empty, {found}"
    for part in parts or ():
        if part.get(inner) is None:
            yield f"`{field}.{inner}` must not be nil, {found}"
        else:
            if not any(part[inner].values()):
                yield f"`{field}.{inner}` must not be empty, {found}"
            yield from check(part[inner], found)


def _source(source: Mapping[str, list[str]], found: str) -> Iterator[str]:
    accounts, *others = (
        any(source.get(each) for each in (name, opposite(name)))
        for name in ("serviceAccounts", "principals", "namespaces")
    )
    if accounts and any(others):
        yield f"cannot set serviceAccounts with namespaces or principals, {found}"
    for name, values in source.items():
        called = name[0].upper() + name[1:]
        if name.lower().endswith("ipblocks"):
            yield from _addresses(values)
        if name.lower().endswith("serviceaccounts"):
            yield from _service_accounts(called, values)
        elif name.lower().endswith("trustdomains"):
            yield from _trust_domains(called, values)
            if slashed := next((value for value in values if "/" in value), ""):
                yield f"trust domain must not contain '/', found in {called}: \"{slashed}\""
        else:
            yield from _empty(called, values)


def _condition(condition: Mapping[str, Any]) -> Iterator[str]:
    key = condition.get("key") or ""
    lists = {"value": condition.get("values") or [], "notValue": condition.get("notValues") or []}
    if not key:
        yield "`key` must not be empty"
    elif not any(lists.values()):
        yield f"at least one of `values` or `notValues` must be set for key {key}"
    for called, values in lists.items():
        if problem := next(_condition_values(key, values), None):
            yield f"invalid `{called}` for `key` {key}: {problem}"


def _condition_values(key: str, values: list[str]) -> Iterator[str]:
    yield from _empty(key, values)
    if key == "destination.port":
        yield from _ports(values)
    elif key.endswith(".ip"):
        yield from _addresses(values)
    elif key == "source.trustDomain":
        yield from _trust_domains(key, values)
    elif key == "source.serviceAccount":
        yield from _service_accounts(key, values)


def _operation(operation: Mapping[str, list[str]], found: str) -> Iterator[str]:
    for name in ("ports", "notPorts"):
        yield from _ports(operation.get(name) or [])
    for name, values in operation.items():
        yield from _empty(name[0].upper() + name[1:], values)
    for name in ("paths", "notPaths"):
        yield from _templates(name[0].upper() + name[1:], operation.get(name) or ())


def _templates(called: str, paths: Iterable[str]) -> Iterator[str]:
    """istiod tells of the first only."""
    for path in paths:
        segments = path.strip("/").split("/")
        said = f"invalid or unsupported path {path.strip('/')}, found in {called}."
        ended = False
        for segment in segments:
            if segment in (ONE_SEGMENT, ANY_SEGMENTS):
                if ended:
                    yield f"{said} {{**}} is not the last operator"
                    return
                ended = segment == ANY_SEGMENTS
            elif "{" in segment or "}" in segment:
                yield f"{said} Contains '{{' or '}}' beyond a supported path template"
                return
            elif is_template(path) and not _SEGMENT.fullmatch(segment):
                yield f"{said} Contains segment {segment} with invalid string literal"
                return


def _empty(called: str, values: list[str]) -> Iterator[str]:
    if "" in values:
        yield f"empty value not allowed, found in {called}"


def _service_accounts(called: str, values: list[str]) -> Iterator[str]:
    """istiod tells of the first only."""
    if len(values) > _MOST_SERVICE_ACCOUNTS:
        yield f"may not have more than {_MOST_SERVICE_ACCOUNTS} values"
        return
    expected = "expected format 'serviceAccount' or 'namespace/serviceAccount', found"
    for value in values:
        namespace, slash, name = value.partition("/")
        if not value:
            yield f"empty value not allowed, found in {called}"
        elif "*" in value:
            yield f"wildcard not allowed, found in {called}"
        elif "/" in name:
            yield f'{expected} "{value}" in {called}'
        elif len(value) > _LONGEST_SERVICE_ACCOUNT:
            yield f'value cannot exceed {_LONGEST_SERVICE_ACCOUNT} characters, found "{value}" in {called}'
        elif slash and not namespace:
            yield f'{expected} empty namespace "{value}" in {called}'
        elif slash and not name:
            yield f'{expected} empty serviceAccount "{value}" in {called}'
        else:
            continue
        return


def _trust_domains(called: str, values: list[str]) -> Iterator[str]:
    """istiod tells of the first only."""
    if "" in values:
        yield from _empty(called, values)
        return
    for value in values:
        if value.count("*") > 1:
            yield f'at most one wildcard is allowed, found in {called}: "{value}"'
        elif "*" in value[1:-1]:
            yield f'wildcard is only allowed at the start or end, found in {called}: "{value}"'
        else:
            continue
        return


def _addresses(values: Iterable[str]) -> Iterator[str]:
    """Addresses and ranges of them. What is wrong with a range is said as by Go's `netip`."""
    for value in values:
        address, slash, length = value.partition("/")
        try:
            size = ipaddress.ip_address(address).max_prefixlen
        except ValueError:
            why = f'netip.ParsePrefix("{value}"): ParseAddr("{address}"): unable to parse IP'
            yield f"bad CIDR range ({value}): {why}" if slash else f"bad IP address ({value})"
            continue
        if slash and not re.fullmatch("0|[1-9][0-9]*", length):
            yield f'bad CIDR range ({value}): netip.ParsePrefix("{value}"): bad bits after slash: "{length}"'
        elif slash and int(length) > size:
            yield f'bad CIDR range ({value}): netip.ParsePrefix("{value}"): prefix length out of range'


def _ports(ports: list[str]) -> Iterator[str]:
    """As Go's `strconv` says what is wrong with a number."""
    for port in ports:
        if not (port.isascii() and port.isdigit()):
            yield f'bad port ({port}): strconv.ParseUint: parsing "{port}": invalid syntax'
        elif int(port) >= _UINT32:
            yield f'bad port ({port}): strconv.ParseUint: parsing "{port}": value out of range'
        elif int(port) > 65535:
            yield f"bad port ({port}): <nil>"


def find_warnings(kind: str, spec: Object) -> Iterator[str]:
    """Of either kind, if nothing is wrong with it."""
    selector = spec.get("selector")
    if selector is not None and not selector.get("matchLabels"):
        yield "workload selector specified without labels"
    if kind == "AuthorizationPolicy" and spec.get("action") == "DENY":
        for rule in spec["rules"]:
            operations = [part["operation"] for part in rule.get("to") or ()]
            sources = [part["source"] for part in rule.get("from") or ()]
            if operations:
                for_tcp = any(one.get("ports") or one.get("notPorts") for one in operations)
            else:
                # What else is supported of a source is of TCP, which istiod does not say of trust domains.
                for_tcp = not sources or any(one.keys() - {"trustDomains", "notTrustDomains"} for one in sources)
            if not for_tcp:
                yield _FOR_HTTP_ONLY

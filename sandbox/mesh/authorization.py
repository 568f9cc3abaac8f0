"""Who may ask a workload for what: AuthorizationPolicies as Envoy's RBAC filters, as istiod makes them.

Policies concern a workload from its own namespace, and from the root namespace in every one. What one denies comes
first; where any allows, what none of these allows is refused. A connection that is not HTTP has no method, path or
host: a rule that allows by one of them allows nothing there, and one that denies does so by what is left of it.

Of a rule every part must match, of a part (`from`, `to`) one item, of an item every field, and of a field one value
(of a `not` field none). A value may be `*` (anything that is there) or begin or end with one. Of conditions
(`when`) all must hold: those of the destination belong to what is asked for, the others to who asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.core.addresses import listen_port
from sandbox.core.cluster import Object
from sandbox.mesh.rules import ROOT_NAMESPACE
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

Filter = dict[str, Any]
_Match = dict[str, Any]

ACTIONS = ("ALLOW", "DENY")
ALLOW, DENY = ACTIONS

OPERATION_FIELDS = ("hosts", "methods", "paths", "ports")
SOURCE_FIELDS = ("principals", "serviceAccounts", "namespaces", "trustDomains", "ipBlocks", "remoteIpBlocks")
_OF_HTTP = ("hosts", "methods", "paths")

_HEADER = re.compile(r"request\.headers\[(.+)\]")
_OF_CALLER = {
    "source.principal": "principals",
    "source.serviceAccount": "serviceAccounts",
    "source.namespace": "namespaces",
    "source.trustDomain": "trustDomains",
    "source.ip": "ipBlocks",
    "remote.ip": "remoteIpBlocks",
}
"""Keys of conditions that say the same as fields of `from`."""
_OF_ASKED = {"destination.port": "ports", "destination.ip": "addresses"}
"""Keys of conditions of what is asked for, of which the first says the same as a field of `to`."""
_ANY_HEADER = "request.headers[NAME]"
CONDITION_KEYS = (_ANY_HEADER, *_OF_CALLER, *_OF_ASKED)
"""Those that there are here."""

DRY_RUN = "istio.io/dry-run"
"""Annotation of a policy that is only counted (Envoy's `shadow_allowed` and `shadow_denied`)."""
TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
"""As Go reads a boolean."""

ONE_SEGMENT, ANY_SEGMENTS = "{*}", "{**}"
"""In a path, which is a template then."""

_HTTP_FILTER = f"{TYPE_PREFIX}envoy.extensions.filters.http.rbac.v3.RBAC"
_TCP_FILTER = f"{TYPE_PREFIX}envoy.extensions.filters.network.rbac.v3.RBAC"
_TEMPLATE = f"{TYPE_PREFIX}envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"

_META = frozenset("\\.+*?()|[]{}^$")


def opposite(field: str) -> str:
    """The field with what must not match."""
    return f"not{field[0].upper()}{field[1:]}"


def condition_key(written: str) -> str:
    """As it is in `CONDITION_KEYS`."""
    return _ANY_HEADER if _HEADER.fullmatch(written) else written


def is_template(path: str) -> bool:
    return ONE_SEGMENT in path or ANY_SEGMENTS in path


@dataclass(frozen=True)
class Authorization:
    """The policies that concern one workload, the oldest first."""

    policies: tuple[Object, ...] = ()

    def http_filters(self) -> list[Filter]:
        """For HTTP, in their order; none if nobody says anything."""
        return [
            {"name": "envoy.filters.http.rbac", "typed_config": {"@type": _HTTP_FILTER, **made}}
            for made in self._made(http=True)
        ]

    def tcp_filters(self, stat_prefix: str = "") -> list[Filter]:
        """The same for connections. `stat_prefix` is put before istiod's."""
        counted = {"stat_prefix": f"{stat_prefix}tcp."}
        return [
            {"name": "envoy.filters.network.rbac", "typed_config": {"@type": _TCP_FILTER, **made, **counted}}
            for made in self._made(http=False)
        ]

    def _made(self, *, http: bool) -> Iterator[Filter]:
        for action in (DENY, ALLOW):
            found = [policy for policy in self.policies if action_of(policy) == action]
            if not found:
                continue
            made: Filter = {"shadow_rules_stat_prefix": "istio_dry_run_allow_"}
            enforced = [policy for policy in found if not _is_dry_run(policy)]
            if enforced:
                made["rules"] = _rules(enforced, action, http=http)
            if len(enforced) < len(found):
                made["shadow_rules"] = _rules(filter(_is_dry_run, found), action, http=http)
                made["shadow_rules_stat_prefix"] = f"istio_dry_run_{action.lower()}_"
            yield made


def concerning(policies: Iterable[Object], namespace: str, labels: Mapping[str, str]) -> Authorization:
    """Of `policies` (the oldest first) those for a workload with `labels` in `namespace`."""
    here = [policy for policy in policies if selects(policy, labels)]
    return Authorization(
        tuple(
            policy
            for place in dict.fromkeys((ROOT_NAMESPACE, namespace))
            for policy in here
            if policy["metadata"]["namespace"] == place
        )
    )


def selects(policy: Object, labels: Mapping[str, str]) -> bool:
    selector = (policy.get("spec") or {}).get("selector") or {}
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def action_of(policy: Object) -> str:
    return str((policy.get("spec") or {}).get("action") or ALLOW)


def rule_name(policy: Object, index: int) -> str:
    """As Envoy and `istioctl` call one of its rules."""
    metadata = policy["metadata"]
    return f"ns[{metadata['namespace']}]-policy[{metadata['name']}]-rule[{index}]"


def _is_dry_run(policy: Object) -> bool:
    return (policy["metadata"].get("annotations") or {}).get(DRY_RUN) in TRUE


def _rules(policies: Iterable[Object], action: str, *, http: bool) -> _Match:
    found: dict[str, _Match] = {}
    for policy in policies:
        rules = (policy.get("spec") or {}).get("rules") or []
        for index, rule in enumerate(rules):
            try:
                made = _policy(rule, policy["metadata"]["namespace"], lenient=action == DENY, http=http)
            except _OfHttpOnly:
                continue
            found[rule_name(policy, index)] = made
        if not rules:
            found[rule_name(policy, 0)] = _NEVER
    return {"policies": found, **({"action": DENY} if action == DENY else {})}


class _OfHttpOnly(Exception):
    """A rule that allows by what a connection does not have."""


class _Words(NamedTuple):
    """What Envoy calls a junction of permissions, and of principals."""

    every: str
    some: str
    none: str
    items: str


_PERMISSION = _Words("and_rules", "or_rules", "not_rule", "rules")
_PRINCIPAL = _Words("and_ids", "or_ids", "not_id", "ids")
_ANY: _Match = {"any": True}
_NEVER: _Match = {"permissions": [{"not_rule": _ANY}], "principals": [{"not_id": _ANY}]}


def _policy(rule: Object, namespace: str, *, lenient: bool, http: bool) -> _Match:
    """One rule. Raises _OfHttpOnly, unless what cannot be asked is left out (`lenient`)."""

    def of_http(made: _Match) -> _Match | None:
        if http:
            return made
        if lenient:
            return None
        raise _OfHttpOnly

    def operation(field: str, value: str) -> _Match | None:
        made = _OPERATIONS[field](value)
        return of_http(made) if field in _OF_HTTP else made

    def source(field: str, value: str) -> _Match | None:
        if header := _HEADER.fullmatch(field):
            return of_http(_header(header[1], value))
        if field in _ADDRESSES:
            return {_ADDRESSES[field]: _range(value)}
        return {"authenticated": {"principal_name": _SOURCES[field](value, namespace)}}

    operations = [part["operation"] for part in rule.get("to") or ()] or [{}]
    sources = [part["source"] for part in rule.get("from") or ()] or [{}]
    asked: list[_Asked] = []
    asking: list[_Asked] = []
    for condition in rule.get("when") or ():
        key, values = condition["key"], (condition.get("values") or [], condition.get("notValues") or [])
        if key in _OF_ASKED:
            asked.append((_OF_ASKED[key], *values))
        else:
            asking.append((_OF_CALLER.get(key, key), *values))
    return {
        "permissions": [
            _every([*_fields(one, OPERATION_FIELDS), *asked], operation, _PERMISSION) for one in operations
        ],
        "principals": [_every([*_fields(one, SOURCE_FIELDS), *asking], source, _PRINCIPAL) for one in sources],
    }


_Asked = tuple[str, list[str], list[str]]
"""A field, values of which one must match, and values of which none may."""


def _fields(item: Mapping[str, list[str]], fields: Iterable[str]) -> list[_Asked]:
    return [(field, item.get(field) or [], item.get(opposite(field)) or []) for field in fields]


def _every(asked: Iterable[_Asked], match: Callable[[str, str], _Match | None], words: _Words) -> _Match:
    found: list[_Match] = []
    for field, wanted, unwanted in asked:
        for values, denied in ((wanted, False), (unwanted, True)):
            matches = [made for value in values if (made := match(field, value)) is not None]
            if matches:
                some = {words.some: {words.items: matches}}
                found.append({words.none: some} if denied else some)
    return {words.every: {words.items: found or [_ANY]}}


def _text(value: str) -> _Match:
    """Of a value that may have a wildcard."""
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        return {"suffix": value[1:]}
    return {"prefix": value[:-1]} if value.endswith("*") else {"exact": value}


def _regex(expression: str) -> _Match:
    return {"safe_regex": {"regex": expression}}


def _header(name: str, value: str, **how: bool) -> _Match:
    if value == "*":
        return {"header": {"name": name, "present_match": True}}
    return {"header": {"name": name, "string_match": {**_text(value), **how}}}


def _path(value: str) -> _Match:
    if not is_template(value):
        return {"url_path": {"path": _text(value)}}
    template = value.replace(ONE_SEGMENT, "*").replace(ANY_SEGMENTS, "**")
    return {
        "uri_template": {"name": "uri-template", "typed_config": {"@type": _TEMPLATE, "path_template": template}}
    }


_OPERATIONS: Mapping[str, Callable[[str], _Match]] = {
    "hosts": lambda value: _header(":authority", value, ignore_case=True),
    "methods": lambda value: _header(":method", value),
    "paths": _path,
    "ports": lambda value: {"destination_port": listen_port(int(value))},
    "addresses": lambda value: {"destination_ip": _range(value)},
}


def _range(value: str) -> _Match:
    """Of addresses, or one."""
    address, slash, length = value.partition("/")
    return {"address_prefix": address, "prefix_len": int(length) if slash else 128 if ":" in address else 32}


_ADDRESSES = {"ipBlocks": "direct_remote_ip", "remoteIpBlocks": "remote_ip"}
"""Of who has connected, and of who has asked first, as X-Forwarded-For says it where that is trusted."""


def _principal(value: str, _: str) -> _Match:
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        return _regex(f"spiffe://.*{_literally(value[1:])}")
    return _text(f"spiffe://{value}")


def _service_account(value: str, namespace: str) -> _Match:
    """NAME is of the policy's namespace, or it is NAMESPACE/NAME."""
    elsewhere, slash, name = value.partition("/")
    if slash:
        namespace = elsewhere
    return _regex(f"spiffe://.+/ns/{_literally(namespace)}/(.+/|)sa/{_literally(name if slash else value)}(/.+)?")


def _namespace(value: str, _: str) -> _Match:
    return _regex(f".*/ns/{'.*'.join(map(_literally, value.split('*')))}/.*")


def _trust_domain(value: str, _: str) -> _Match:
    if "*" not in value:
        return {"prefix": f"spiffe://{value}/"}
    if value == "*":
        return {"prefix": "spiffe://"}
    return _regex(f"spiffe://{'[^/]*'.join(map(_literally, value.split('*')))}/.*")


_SOURCES: Mapping[str, Callable[[str, str], _Match]] = {
    "principals": _principal,
    "serviceAccounts": _service_account,
    "namespaces": _namespace,
    "trustDomains": _trust_domain,
}
"""What the caller's certificate says of it, by value and the policy's namespace."""


def _literally(text: str) -> str:
    return "".join(f"\\{character}" if character in _META else character for character in text)

"""Is what is wanted contained in what is there? Property by property, and what to send when it is not.

Azure fills in defaults and read-only properties, so a live resource says more than was asked for. Its ids mean the
same in any case and come back in other cases than they were sent; members of lists are known by their name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from workshop.runbook.results import ABSENT, Difference

Object = dict[str, Any]

_TOLD: Mapping[str, tuple[str, ...]] = {
    "": ("id", "name", "type", "systemData", "etag", "eTag", "managedBy"),
    "identity": ("principalId", "tenantId"),
    "identity.userAssignedIdentities.*": ("principalId", "clientId"),
    "properties": (
        "provisioningState",
        "powerState",
        "resourceGuid",
        "resourceUID",
        "fqdn",
        "privateFQDN",
        "azurePortalFQDN",
        "currentKubernetesVersion",
        "maxAgentPools",
        "identityProfile",
        "creationDate",
        "loginServer",
        "status",
        "privateEndpointConnections",
        "principalId",
        "clientId",
        "tenantId",
    ),
    "properties.addonProfiles.*": ("identity",),
    "properties.agentPoolProfiles": (
        "provisioningState",
        "powerState",
        "currentOrchestratorVersion",
        "nodeImageVersion",
        "eTag",
        "status",
    ),
    "properties.httpProxyConfig": ("effectiveNoProxyDomains",),
    "properties.networkProfile.loadBalancerProfile": ("effectiveOutboundIPs",),
    "properties.networkProfile.natGatewayProfile": ("effectiveOutboundIPs",),
    "properties.subnets": ("etag",),
    "properties.subnets.properties": ("provisioningState", "ipConfigurations"),
}
"""What Azure only tells, by where it is: elsewhere the same names may be a person's, as in tags, or have to be
sent, as the client id of a cluster's service principal. `*` is any name; members of lists have none."""
_VERSION = re.compile(r"\d+\.\d+")


def differences(subject: str, wanted: Object, live: Object | None) -> tuple[Difference, ...]:
    """What of `wanted` is not in `live`."""
    if live is None:
        return (Difference(subject, "", "present", ABSENT),)
    return tuple(_differences(subject, "", wanted, live))


def _differences(subject: str, path: str, wanted: Any, live: Any) -> Iterable[Difference]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        there = {key.lower(): value for key, value in live.items()}
        for key, value in wanted.items():
            yield from _differences(
                subject, f"{path}.{key}" if path else key, value, there.get(key.lower(), ABSENT)
            )
    elif isinstance(wanted, list) and isinstance(live, list) and _named(wanted) and _named(live):
        by_name = {member["name"]: member for member in live}
        for member in wanted:
            name = member["name"]
            yield from _differences(subject, f"{path}[{name}]", member, by_name.get(name, ABSENT))
    elif not _same(path, wanted, live):
        yield Difference(subject, path, wanted, live)


def _same(path: str, wanted: Any, live: Any) -> bool:
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(_same(path, a, b) for a, b in zip(wanted, live, strict=True))
    if isinstance(wanted, str) and isinstance(live, str):
        if path == "location":
            return wanted.replace(" ", "").lower() == live.replace(" ", "").lower()
        if wanted.startswith("/subscriptions/"):
            return wanted.lower() == live.lower()
        if path.lower().endswith("version") and _VERSION.fullmatch(wanted):
            return live == wanted or live.startswith(f"{wanted}.")
    if live is ABSENT:
        return _is_off(wanted)
    if isinstance(wanted, Mapping) and not wanted:
        return True  # {} stands for "is there": a user-assigned identity
    return bool(wanted == live)


def _is_off(wanted: Any) -> bool:
    """What is switched off need not be there."""
    if isinstance(wanted, Mapping):
        return bool(wanted) and all(map(_is_off, wanted.values()))
    return wanted is False


def _named(members: list[Any]) -> bool:
    return all(isinstance(member, Mapping) and "name" in member for member in members)


def merged(wanted: Object, live: Object) -> Object:
    """The body of a PUT that changes what is different and keeps everything else: a PUT replaces the resource."""
    body = _merge(_writable(live), wanted)
    assert isinstance(body, dict)
    return body


def _merge(live: Any, wanted: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        keys = {key.lower(): key for key in live}
        result = dict(live)
        for key, value in wanted.items():
            there = keys.get(key.lower(), key)
            result[there] = _merge(live[there], value) if there in live else copy.deepcopy(value)
        return result
    if isinstance(live, list) and isinstance(wanted, list) and _named(live) and _named(wanted):
        by_name = {member["name"]: member for member in live}
        for member in wanted:
            by_name[member["name"]] = _merge(by_name.get(member["name"], {}), member)
        return list(by_name.values())
    return copy.deepcopy(wanted)


def _writable(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Without what Azure only tells."""
    if isinstance(value, Mapping):
        told = next((names for where, names in _TOLD.items() if _is_at(path, where)), ())
        return {key: _writable(inner, (*path, key)) for key, inner in value.items() if key not in told}
    if isinstance(value, list):
        return [_writable(inner, path) for inner in value]
    return copy.deepcopy(value)


def _is_at(path: tuple[str, ...], where: str) -> bool:
    parts = tuple(filter(None, where.split(".")))
    return len(parts) == len(path) and all(part in ("*", name) for part, name in zip(parts, path, strict=True))

"""What would make the azure labs fail, found before they run. Only looks, all at the same time.

Whether there is a login and whether Azure is reached is asked first, and then for the subscription: without those,
everything else would fail for the same reason. Each look is one short attempt: somebody waits for the table.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from workshop.azure import cost, foreseen
from workshop.azure.cluster import Cluster
from workshop.azure.compare import Object
from workshop.azure.connection import Azure, NotFound, as_error, together
from workshop.azure.facts import PLACES
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.network import Network
from workshop.azure.providers import NEEDED
from workshop.azure.registry import Registry
from workshop.azure.resource import Resource
from workshop.azure.role import Role
from workshop.azure.rules import validate
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.results import Finding

_PRICES = "https://azure.microsoft.com/pricing/details/virtual-machines/linux/"
_PATIENCE = 10.0
"""Seconds that one answer may take."""


async def examine(azure: Azure) -> list[Finding]:
    """In the order in which a run would meet them."""
    try:
        validate(azure.settings)
    except UsageError as error:
        return [_failed("settings", error)]
    azure = replace(azure, timeout=_PATIENCE, attempts=1)
    account: list[Finding] = await together(_look("login", _login(azure)), _look("network", _network(azure)))
    if not _failing(account):
        account.append(await _look("subscription", foreseen.subscription(azure)))
    if _failing(account):
        return [*account, await _look("cost", _cost(replace(azure, prices="")))]
    found = await together(
        _look("location", foreseen.location(azure)),
        _look("rights", _rights(azure)),
        *(
            _look(f"provider {namespace.partition('.')[2]}", foreseen.provider(azure, namespace))
            for namespace in NEEDED
        ),
        _look("Kubernetes version", foreseen.version(azure)),
        _look("vCPUs", _machines(azure)),
        _look("clusters", _clusters(azure)),
        _look("registry", _registry(azure)),
        _look("cost", _cost(azure)),
    )
    return [*account, *found]


async def _look(name: str, look: Awaitable[Finding]) -> Finding:
    try:
        return await look
    except WorkshopError as error:
        if "MissingSubscriptionRegistration" in error.came_back:
            return Finding(name, "warn", "Azure tells only when its provider is registered")
        return _failed(name, error)
    except NotFound as error:
        return Finding(name, "warn", f"Azure does not tell: {error}")


def _failing(findings: list[Finding]) -> bool:
    return any(finding.state == "fail" for finding in findings)


def _failed(name: str, error: WorkshopError) -> Finding:
    said = error.came_back or error.tried
    return Finding(name, "fail", f"{said} ({error.cause})" if error.cause else said, error.next_command)


async def _login(azure: Azure) -> Finding:
    """Who: from the token itself, which is not shown."""
    claims = _claims(await azure.log_in())
    who = claims.get("upn") or claims.get("unique_name") or claims.get("appid") or claims.get("oid") or "logged in"
    tenant = str(claims.get("tid") or "")
    if tenant and azure.tenant and tenant.lower() != azure.tenant.lower():
        return Finding(
            "login",
            "fail",
            f"{who}, in the tenant {tenant}; azure.tenant is {azure.tenant}",
            f"az login --tenant {azure.tenant}",
        )
    return Finding("login", "ok", f"{who}{f', tenant {tenant}' if tenant else ''}")


async def _network(azure: Azure) -> Finding:
    return Finding("network", "ok", f"{azure.endpoint} answers in {await azure.reach() * 1000:.0f} ms")


async def _rights(azure: Azure) -> Finding:
    """On each group, or on the subscription while the group is yet to be made."""
    for place in PLACES:
        group = Group(azure, place)
        kinds: list[Resource] = [Network(azure, place), Identity(azure, place), Cluster(azure, place)]
        kinds += [Registry(azure), Role(azure, place)] if place == "primary" else [Role(azure, place)]
        there = await group.look() is not None
        scope = group.id if there else f"/subscriptions/{azure.subscription}"
        found = await foreseen.rights(azure, scope, *map(foreseen.writing, kinds if there else [group, *kinds]))
        if found.state == "fail":
            break
    return found


async def _machines(azure: Azure) -> Finding:
    return await foreseen.machines(azure, dict(zip(PLACES, await _live(azure), strict=True)))


async def _clusters(azure: Azure) -> Finding:
    return await foreseen.room_for_clusters(azure, sum(each is None for each in await _live(azure)))


async def _registry(azure: Azure) -> Finding:
    registry = Registry(azure)
    live = await registry.look()
    if live is not None:
        if registry.is_tagged(live):
            return Finding("registry", "ok", f"{registry.name} is there already")
        return Finding(
            "registry",
            "fail",
            f"{registry.name} is in {registry.group}, and not the workshop's: set azure.registry to another name",
        )

    def ask() -> Any:
        wanted = {"name": registry.name, "type": "Microsoft.ContainerRegistry/registries"}
        return azure.registries().registries.check_name_availability(wanted)

    with as_error(azure):
        answer = await azure.call(f"ask whether the name {registry.name} is free", ask)
    if answer.name_available:
        return Finding("registry", "ok", f"the name {registry.name} is free")
    return Finding("registry", "fail", f"{answer.message} (set azure.registry to another name)")


async def _cost(azure: Azure) -> Finding:
    found = await cost.estimate(azure.settings, PLACES, registry=True, url=azure.prices)
    if azure.free:
        return Finding("cost", "ok", f"nothing here; at Azure {found.sum}: an estimate, from the {found.source}")
    what = f"{found.sum}, from when it is made until lab.azure.cleanup: an estimate, from the {found.source}"
    return Finding("cost", "warn" if found.unknown else "ok", what, _PRICES if found.unknown else "")


async def _live(azure: Azure) -> list[Object | None]:
    found: list[Object | None] = await together(*(Cluster(azure, place).look() for place in PLACES))
    return found


def _claims(token: str) -> dict[str, Any]:
    """Of a JWT; none of any other token."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}

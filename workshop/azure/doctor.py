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

from workshop.azure.cluster import Cluster
from workshop.azure.compare import Object
from workshop.azure.connection import Azure, NotFound, as_error, together
from workshop.azure.providers import NEEDED, state_of
from workshop.azure.registry import Registry
from workshop.azure.rules import validate
from workshop.runbook.diagnosis import Finding
from workshop.runbook.errors import UsageError, WorkshopError

_SUBSCRIPTION_API, _COMPUTE_API, _SKUS_API = "2022-12-01", "2024-07-01", "2021-07-01"
_PATIENCE = 10.0
"""Seconds that one answer may take."""

_PLACES: tuple[Any, ...] = ("primary", "secondary")


async def examine(azure: Azure) -> list[Finding]:
    """In the order in which a run would meet them."""
    try:
        validate(azure.settings)
    except UsageError as error:
        return [_failed("settings", error)]
    azure = replace(azure, timeout=_PATIENCE, attempts=1)
    account: list[Finding] = await together(_look("login", _login(azure)), _look("network", _network(azure)))
    if not _failing(account):
        account.append(await _look("subscription", _subscription(azure)))
    if _failing(account):
        return account
    found = await together(
        *(_look(f"provider {namespace.partition('.')[2]}", _provider(azure, namespace)) for namespace in NEEDED),
        _look("Kubernetes version", _version(azure)),
        _look("vCPUs", _cores(azure)),
        _look("clusters", _clusters(azure)),
        _look("registry", _registry(azure)),
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


async def _subscription(azure: Azure) -> Finding:
    found = await azure.get(f"/subscriptions/{azure.subscription}", _SUBSCRIPTION_API)
    if found is None:
        raise UsageError(
            "look at the subscription",
            f"there is none {azure.subscription} for this login",
            cause="azure.subscription names another one, or the login is of another tenant",
            next_command="az account list --output table",
        )
    name, state = found.get("displayName", azure.subscription), str(found.get("state", ""))
    if state != "Enabled":
        return Finding("subscription", "fail", f"{name} is {state}", "az account list --output table")
    return Finding("subscription", "ok", f"{name}, tenant {found.get('tenantId', azure.tenant)}")


async def _provider(azure: Azure, namespace: str) -> Finding:
    state = await state_of(azure, namespace)
    name = f"provider {namespace.partition('.')[2]}"
    if state == "Registered":
        return Finding(name, "ok", state)
    # Not a failure: a run registers it by itself, if the login may.
    return Finding(
        name, "warn", f"{state}; the labs register it by themselves", f"az provider register -n {namespace}"
    )


async def _version(azure: Azure) -> Finding:
    settings, name = azure.settings, "Kubernetes version"
    path = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.ContainerService/locations/{settings.location}"
        "/kubernetesVersions"
    )
    offered = {
        version["version"]: list(version.get("patchVersions") or {})
        for version in (await _tell(azure, path, Cluster.api_version)).get("values", [])
    }
    wanted = settings.kubernetes
    if wanted in offered or any(wanted in patches for patches in offered.values()):
        return Finding(name, "ok", f"{wanted} is offered in {settings.location}")
    return Finding(
        name,
        "fail",
        f"{wanted} is not offered in {settings.location}; there are {', '.join(sorted(offered))}",
        f"az aks get-versions --location {settings.location} --output table",
    )


async def _cores(azure: Azure) -> Finding:
    settings, base = azure.settings, f"/subscriptions/{azure.subscription}/providers/Microsoft.Compute"
    usages, sizes, clusters = await together(
        _tell(azure, f"{base}/locations/{settings.location}/usages", _COMPUTE_API),
        _sizes(azure, f"{base}/skus"),
        _live(azure),
    )
    size = sizes.get(settings.nodes.size.lower())
    if size is None:
        return Finding(
            "vCPUs",
            "fail",
            f"{settings.location} offers no machines of size {settings.nodes.size} to this subscription",
            f"az vm list-skus --location {settings.location} --output table",
        )
    wanted = len(_PLACES) * settings.nodes.count * _vcpus(size)
    missing = wanted - sum(_cores_of(cluster, sizes) for cluster in clusters if cluster)
    quotas = {usage["name"]["value"].lower(): usage for usage in usages.get("value", [])}
    said = []
    for key in ("cores", str(size.get("family", "")).lower()):
        usage = quotas.get(key)
        if usage is None:
            continue
        figures = f"{usage['name']['localizedValue']}: {usage['currentValue']} of {usage['limit']} used"
        if missing > usage["limit"] - usage["currentValue"]:
            return Finding(
                "vCPUs",
                "fail",
                f"{figures}, {missing} more needed (2 x {settings.nodes.count} x {settings.nodes.size})",
                "set azure.nodes to fewer or smaller nodes, or azure.location to another region",
            )
        said.append(figures)
    return Finding("vCPUs", "ok", f"{'; '.join(said)}; {max(missing, 0)} more needed")


async def _clusters(azure: Azure) -> Finding:
    location = azure.settings.location
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.ContainerService/locations/{location}/usages"
    usages, clusters = await together(_tell(azure, path, Cluster.api_version), _live(azure))
    missing = sum(cluster is None for cluster in clusters)
    for usage in usages.get("value", []):
        if usage["name"]["value"].lower() != "managedclusters":
            continue
        figures = f"{usage['currentValue']} of {usage['limit']} used in {location}, {missing} more needed"
        if missing > usage["limit"] - usage["currentValue"]:
            return Finding(
                "clusters", "fail", figures, "set azure.location to another region, or ask for more quota"
            )
        return Finding("clusters", "ok", figures)
    return Finding("clusters", "ok", f"{location} tells no limit; {missing} more needed")


async def _registry(azure: Azure) -> Finding:
    registry = Registry(azure)
    live = await registry.look()
    if live is not None:
        if registry.is_tagged(live):
            return Finding("registry", "ok", f"{registry.name} is there already")
        return Finding(
            "registry",
            "fail",
            f"{registry.name} is in {registry.group}, and not the workshop's",
            "set azure.registry to another name",
        )

    def ask() -> Any:
        wanted = {"name": registry.name, "type": "Microsoft.ContainerRegistry/registries"}
        return azure.registries().registries.check_name_availability(wanted)

    with as_error(azure):
        answer = await azure.call(f"ask whether the name {registry.name} is free", ask)
    if answer.name_available:
        return Finding("registry", "ok", f"the name {registry.name} is free")
    return Finding("registry", "fail", f"{answer.message}", "set azure.registry to another name")


async def _live(azure: Azure) -> list[Object | None]:
    found: list[Object | None] = await together(*(Cluster(azure, place).look() for place in _PLACES))
    return found


async def _sizes(azure: Azure, path: str) -> dict[str, Object]:
    """The sizes of machines that the region offers without a restriction, by name in lower case."""
    location = azure.settings.location
    found = await _tell(azure, path, _SKUS_API, {"$filter": f"location eq '{location}'"})
    return {
        sku["name"].lower(): sku
        for sku in found.get("value", [])
        if sku.get("resourceType") == "virtualMachines"
        and not any(each.get("type") == "Location" for each in sku.get("restrictions") or ())
    }


def _vcpus(size: Object) -> int:
    return next((int(each["value"]) for each in size.get("capabilities", []) if each["name"] == "vCPUs"), 0)


def _cores_of(cluster: Object, sizes: dict[str, Object]) -> int:
    pools = (cluster.get("properties") or {}).get("agentPoolProfiles") or ()
    return sum(pool.get("count", 0) * _vcpus(sizes.get(pool.get("vmSize", "").lower(), {})) for pool in pools)


async def _tell(azure: Azure, path: str, api_version: str, query: dict[str, str] | None = None) -> Object:
    """A list that belongs to no resource. Raises NotFound where Azure has none."""
    found = await azure.get(path, api_version, query)
    return found or {}


def _claims(token: str) -> dict[str, Any]:
    """Of a JWT; none of any other token."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}

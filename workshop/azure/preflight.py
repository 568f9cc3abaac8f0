"""What Azure would refuse, found by looking: a login, a location, rights, versions, sizes, quotas, names.

Doctor shows all of it (`examine`). The check of a step that is to make something refuses with what concerns that
step (`refuse`), so that a plan says what its run would meet once Azure has made half of what it asks for. Only what
is certain is foreseen: where Azure does not tell, for it takes a right to ask as well, the answer is left to the
request itself. And all that a plan asks is read: asking whether a registry's name is free would be a POST.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from workshop.azure import cost
from workshop.azure.cluster import Cluster
from workshop.azure.connection import (
    PLACES,
    Azure,
    NotFound,
    Object,
    Place,
    as_error,
    gather,
    in_thread,
    shown_in,
)
from workshop.azure.faults import RIGHTS, ProviderNotRegistered
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.live_resources import live_resource
from workshop.azure.network import Network
from workshop.azure.operations import NEEDED, registration
from workshop.azure.registry import Registry
from workshop.azure.resource import Resource
from workshop.azure.role import Role
from workshop.azure.rules import validate
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.results import Difference, Finding

if TYPE_CHECKING:
    from workshop.runbook.run import Run

_SUBSCRIPTION_API, COMPUTE_API, _SKUS_API = "2022-12-01", "2024-07-01", "2021-07-01"
_PERMISSIONS_API = "2022-04-01"

_PRICES = "https://azure.microsoft.com/pricing/details/virtual-machines/linux/"
_DOCTOR_TIMEOUT = 10.0
"""Seconds that one answer may take doctor: each look is one short attempt, as somebody waits for the table."""

Judge = Callable[..., Awaitable[Finding]]


@dataclass(frozen=True)
class FindingSource:
    """The source of one finding: it serves all checks until something was applied. None where Azure does not
    tell."""

    judge: Judge
    arguments: tuple[Any, ...] = ()

    async def observe(self, run: Run) -> Finding | None:
        try:
            with shown_in(run):
                return await self.judge(run.use(Azure), *self.arguments)
        except (WorkshopError, NotFound):
            return None


@dataclass(frozen=True)
class MachinesSource:
    """The same of the vCPUs for the clusters that the run is about, as they are."""

    async def observe(self, run: Run) -> Finding | None:
        azure = run.use(Azure)
        there = {place: await live_resource(run, Cluster(azure, place)) for place in azure.clusters_asked}

        async def judge(azure: Azure) -> Finding:
            return await machines(azure, there)

        return await FindingSource(judge).observe(run)


async def refuse(run: Run, resource: Resource, live: Object | None, found: tuple[Difference, ...]) -> str:
    """Raises WorkshopError when Azure would not make or change the resource as it is `found` to need. What else the
    run does for it, in words."""
    looks: list[Any] = [FindingSource(rights, (await _scope(run, resource), writing(resource)))]
    if isinstance(resource, Group) and live is None:
        looks.append(FindingSource(location))
    elif isinstance(resource, Registry) and live is None:
        looks.append(FindingSource(registry_elsewhere))
    elif isinstance(resource, Cluster):
        if live is None:
            looks.append(FindingSource(room_for_clusters, (len(await _missing(run)),)))
        if live is None or any(each.path.endswith(("count", "Version")) for each in found):
            looks += [FindingSource(version), MachinesSource()]
    await _refuse_failing(run, resource, looks)
    if live is not None or resource.namespace not in NEEDED:
        return ""
    registered = await run.observe(FindingSource(provider, (resource.namespace,)))
    return f"registers {resource.namespace} first" if registered and registered.state != "ok" else ""


async def refuse_unknown(run: Run, resource: Resource, found: tuple[Difference, ...]) -> None:
    """Raises WorkshopError for a resource that differs because the profile names a location or a size that there is
    not: to delete the resource would be of no use."""
    looks: list[Any] = []
    if any(each.path == "location" for each in found):
        looks.append(FindingSource(location))
    if any(each.path.endswith("vmSize") for each in found):
        looks.append(FindingSource(size))
    await _refuse_failing(run, resource, looks)


async def _refuse_failing(run: Run, resource: Resource, looks: list[Any]) -> None:
    for finding in await gather(*(run.observe(look) for look in looks)):
        if finding and finding.state == "fail":
            raise WorkshopError(
                f"make the {resource.title}",
                finding.what,
                cause="Azure would refuse it: nothing of it was asked for",
                next_command=finding.next_command,
            )


async def _missing(run: Run) -> list[Place]:
    azure = run.use(Azure)
    return [place for place in azure.clusters_asked if await live_resource(run, Cluster(azure, place)) is None]


async def _scope(run: Run, resource: Resource) -> str:
    """The nearest thing there is, whose rights are those on what is to be made in it."""
    group = Group(resource.azure, resource.place)
    if isinstance(resource, Role):
        if await live_resource(run, resource.scope) is not None:
            return resource.scope.id
        group = Group(resource.azure, resource.scope.place)
    if await live_resource(run, group) is not None:
        return group.id
    return f"/subscriptions/{resource.azure.subscription}"


def writing(resource: Resource) -> str:
    """ "Microsoft.Network/virtualNetworks/write": what making it is called in roles."""
    _, found, after = resource.id.rpartition("/providers/")
    if not found:
        return "Microsoft.Resources/subscriptions/resourceGroups/write"
    namespace, *rest = after.split("/")
    return "/".join((namespace, *rest[::2], "write"))


# What there is to be seen, as findings.


async def subscription(azure: Azure) -> Finding:
    """Raises UsageError where this login has none of that id."""
    found = await azure.get(f"/subscriptions/{azure.subscription}", _SUBSCRIPTION_API) or {}
    name, state = found.get("displayName", azure.subscription), str(found.get("state", "Enabled"))
    if state in ("Disabled", "Deleted"):
        return Finding(
            "subscription", "fail", f"{name} is {state}", "" if azure.free else "az account list --output table"
        )
    what = f"{name}, tenant {found.get('tenantId', azure.tenant)}"
    if state != "Enabled":
        return Finding(
            "subscription", "warn", f"{what}, is {state}", "" if azure.free else "az account list --output table"
        )
    return Finding("subscription", "ok", what)


async def location(azure: Azure) -> Finding:
    found = await listing(azure, f"/subscriptions/{azure.subscription}/locations", _SUBSCRIPTION_API)
    offered, wanted = [each["name"] for each in found.get("value", [])], azure.settings.location
    if wanted in offered or not offered:
        return Finding("location", "ok", wanted)
    near = difflib.get_close_matches(wanted, offered, n=1)
    said = f"there is no location {wanted}" + (f"; did you mean {near[0]}?" if near else "")
    return Finding(
        "location", "fail", f"{said} (azure.location)", azure.advised("az account list-locations --output table")
    )


async def provider(azure: Azure, namespace: str) -> Finding:
    state = await registration(azure, namespace)
    name = f"provider {namespace.partition('.')[2]}"
    if state == "Registered":
        return Finding(name, "ok", state)
    # Not a failure: a run registers it by itself, if the login may.
    return Finding(
        name,
        "warn",
        f"{state}; the labs register it by themselves",
        azure.advised(f"az provider register -n {namespace}"),
    )


async def rights(azure: Azure, scope: str, *actions: str) -> Finding:
    """Whether the login has a role that allows these on `scope`, a subscription, group or resource."""
    path = f"{scope}/providers/Microsoft.Authorization/permissions"
    found = await listing(azure, path, _PERMISSIONS_API)
    roles = found.get("value", [])
    missing = [action for action in actions if not any(_allows(role, action) for role in roles)]
    where = scope.rpartition("/")[2] if "/resourceGroups/" in scope else "the subscription"
    if not roles or found.get("nextLink"):
        return Finding("rights", "warn", f"Azure does not tell what this login may do on {where}")
    if missing:
        said = f"this login may not {missing[0]} on {where} ({RIGHTS})"
        return Finding(
            "rights", "fail", said, azure.advised(f"az role assignment list --scope {scope} --output table")
        )
    return Finding("rights", "ok", f"this login may make all of it (in {where})")


def _allows(role: Mapping[str, Any], action: str) -> bool:
    """A role's `notActions` take away from its own actions only."""

    def matches(patterns: Any) -> bool:
        return any(
            re.fullmatch(re.escape(each).replace(r"\*", ".*"), action, re.IGNORECASE) for each in patterns or ()
        )

    return matches(role.get("actions")) and not matches(role.get("notActions"))


async def version(azure: Azure) -> Finding:
    settings, name = azure.settings, "Kubernetes version"
    path = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.ContainerService/locations/{settings.location}"
        "/kubernetesVersions"
    )
    offered = {
        version["version"]: list(version.get("patchVersions") or {})
        for version in (await listing(azure, path, Cluster.api_version)).get("values", [])
    }
    wanted = settings.kubernetes
    if not offered:
        return Finding(name, "warn", f"Azure does not tell what {settings.location} offers")
    if wanted in offered or any(wanted in patches for patches in offered.values()):
        return Finding(name, "ok", f"{wanted} is offered in {settings.location}")
    return Finding(
        name,
        "fail",
        f"{wanted} is not offered in {settings.location}; there are {', '.join(sorted(offered))}",
        azure.advised(f"az aks get-versions --location {settings.location} --output table"),
    )


async def machines(azure: Azure, clusters: Mapping[Place, Object | None]) -> Finding:
    """Whether the location offers the nodes' size, and has vCPUs left for those of `clusters` that are missing."""
    settings, base = azure.settings, f"/subscriptions/{azure.subscription}/providers/Microsoft.Compute"
    usages, sizes = await gather(
        listing(azure, f"{base}/locations/{settings.location}/usages", COMPUTE_API),
        sizes_offered(azure, f"{base}/skus"),
    )
    found = sizes.get(settings.nodes.size.lower())
    if not sizes or found is None:
        return _judged(azure, sizes)
    wanted = settings.nodes.count * vcpus(found)
    missing = sum(max(wanted - cores_of(cluster or {}, sizes), 0) for cluster in clusters.values())
    quotas = {usage["name"]["value"].lower(): usage for usage in usages.get("value", [])}
    said = []
    for key in ("cores", str(found.get("family", "")).lower()):
        usage = quotas.get(key)
        if usage is None:
            continue
        figures = f"{usage['name']['localizedValue']}: {usage['currentValue']} of {usage['limit']} used"
        if missing > usage["limit"] - usage["currentValue"]:
            times = f"{len(clusters)} x " if len(clusters) > 1 else ""
            return Finding(
                "vCPUs",
                "fail",
                f"{figures}, {missing} more needed ({times}{settings.nodes.count} x {settings.nodes.size}): set "
                "azure.nodes to fewer or smaller ones, or azure.location",
                azure.advised(f"az vm list-usage --location {settings.location} --output table"),
            )
        said.append(figures)
    return Finding("vCPUs", "ok", f"{'; '.join(said)}; {missing} more needed")


async def size(azure: Azure) -> Finding:
    """Whether the location offers the nodes' size."""
    base = f"/subscriptions/{azure.subscription}/providers/Microsoft.Compute"
    return _judged(azure, await sizes_offered(azure, f"{base}/skus"))


def _judged(azure: Azure, sizes: Mapping[str, Object]) -> Finding:
    location, wanted = azure.settings.location, azure.settings.nodes.size
    if not sizes:
        return Finding("vCPUs", "warn", f"Azure does not tell what {location} offers")
    if wanted.lower() in sizes:
        return Finding("vCPUs", "ok", f"{location} offers {wanted}")
    return Finding(
        "vCPUs",
        "fail",
        f"{location} offers no machines of size {wanted} to this subscription",
        azure.advised(f"az vm list-skus --location {location} --output table"),
    )


async def room_for_clusters(azure: Azure, missing: int) -> Finding:
    location = azure.settings.location
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.ContainerService/locations/{location}/usages"
    usages = await listing(azure, path, Cluster.api_version)
    for usage in usages.get("value", []):
        if usage["name"]["value"].lower() != "managedclusters":
            continue
        figures = f"{usage['currentValue']} of {usage['limit']} used in {location}, {missing} more needed"
        if missing > usage["limit"] - usage["currentValue"]:
            return Finding(
                "clusters", "fail", f"{figures}: set azure.location to another region, or ask for more quota"
            )
        return Finding("clusters", "ok", figures)
    return Finding("clusters", "ok", f"{location} tells no limit; {missing} more needed")


async def registry_elsewhere(azure: Azure) -> Finding:
    """Whether somebody has a registry of that name, as far as reading tells: another group of this subscription, or
    a host of its name."""
    registry = Registry(azure)
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.ContainerRegistry/registries"
    found = await listing(azure, path, Registry.api_version)
    for each in found.get("value", []):
        if each["name"].lower() == registry.name.lower() and each["id"].lower() != registry.id.lower():
            group = each["id"].split("/")[4]
            return _taken(f"the name {registry.name} is that of a registry in the group {group}")
    host = f"{registry.name.lower()}.azurecr.io"
    if azure.is_host:
        known = await in_thread(partial(azure.is_host, host))
        if known:
            return _taken(f"the name {registry.name} is taken: there is a host {host}")
    return Finding("registry", "ok", f"no registry {registry.name} is known")


def _taken(said: str) -> Finding:
    return Finding("registry", "fail", f"{said}: set azure.registry to another name")


async def sizes_offered(azure: Azure, path: str) -> dict[str, Object]:
    """The sizes of machines that the region offers without a restriction, by name in lower case."""
    location = azure.settings.location
    found = await listing(azure, path, _SKUS_API, {"$filter": f"location eq '{location}'"})
    return {
        sku["name"].lower(): sku
        for sku in found.get("value", [])
        if sku.get("resourceType") == "virtualMachines"
        and not any(each.get("type") == "Location" for each in sku.get("restrictions") or ())
    }


def vcpus(size: Object) -> int:
    return next((int(each["value"]) for each in size.get("capabilities", []) if each["name"] == "vCPUs"), 0)


def cores_of(cluster: Object, sizes: Mapping[str, Object]) -> int:
    pools = (cluster.get("properties") or {}).get("agentPoolProfiles") or ()
    return sum(pool.get("count", 0) * vcpus(sizes.get(pool.get("vmSize", "").lower(), {})) for pool in pools)


async def listing(azure: Azure, path: str, api_version: str, query: dict[str, str] | None = None) -> Object:
    """A list that belongs to no resource; empty where Azure has none."""
    found = await azure.get(path, api_version, query)
    return found or {}


# What doctor shows of it.


async def examine(azure: Azure) -> list[Finding]:
    """In the order in which a run would meet them, looked at all at the same time. Whether there is a login and
    whether Azure is reached is asked first, and then for the subscription: without those, everything else would
    fail for the same reason."""
    try:
        validate(azure.settings)
    except UsageError as error:
        return [finding_of("settings", error)]
    azure = replace(azure, timeout=_DOCTOR_TIMEOUT, attempts=1)
    account: list[Finding] = await gather(_look("login", _login(azure)), _look("network", _network(azure)))
    if not _failing(account):
        account.append(await _look("subscription", subscription(azure)))
    if _failing(account):
        return [*account, await _look("cost", _cost(replace(azure, prices="")))]
    found = await gather(
        _look("location", location(azure)),
        _look("rights", _rights(azure)),
        *(_look(f"provider {namespace.partition('.')[2]}", provider(azure, namespace)) for namespace in NEEDED),
        _look("Kubernetes version", version(azure)),
        _look("vCPUs", _machines(azure)),
        _look("clusters", _clusters(azure)),
        _look("registry", _registry(azure)),
        _look("cost", _cost(azure)),
    )
    return [*account, *found]


async def _look(name: str, look: Awaitable[Finding]) -> Finding:
    try:
        return await look
    except ProviderNotRegistered:
        return Finding(name, "warn", "Azure tells only when its provider is registered")
    except WorkshopError as error:
        return finding_of(name, error)
    except NotFound as error:
        return Finding(name, "warn", f"Azure does not tell: {error}")


def _failing(findings: list[Finding]) -> bool:
    return any(finding.state == "fail" for finding in findings)


def finding_of(name: str, error: WorkshopError, state: Literal["warn", "fail"] = "fail") -> Finding:
    said = error.came_back or error.tried
    return Finding(name, state, f"{said} ({error.cause})" if error.cause else said, error.next_command)


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
        found = await rights(azure, scope, *map(writing, kinds if there else [group, *kinds]))
        if found.state == "fail":
            break
    return found


async def _machines(azure: Azure) -> Finding:
    return await machines(azure, dict(zip(PLACES, await _live(azure), strict=True)))


async def _clusters(azure: Azure) -> Finding:
    return await room_for_clusters(azure, sum(each is None for each in await _live(azure)))


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
    found: list[Object | None] = await gather(*(Cluster(azure, place).look() for place in PLACES))
    return found


def _claims(token: str) -> dict[str, Any]:
    """Of a JWT; none of any other token."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}

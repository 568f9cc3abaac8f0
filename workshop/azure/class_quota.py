"""Whether what several accounts are to make fits into their quotas together: each alone would.

Those of one subscription and location share its quotas, and are asked for once: vCPUs (of the location, and of each
family of machines), clusters, and public addresses, of which a cluster takes one for its way out and one for an
ingress gateway that is open to the outside. What they have made already counts as used, and is not needed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workshop.azure.cluster import Cluster
from workshop.azure.connection import PLACES, Azure, NotFound, Object, gather
from workshop.azure.faults import ProviderNotRegistered
from workshop.azure.preflight import COMPUTE_API, cores_of, finding_of, listing, sizes_offered, vcpus
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Finding

_TIMEOUT = 20.0
"""Seconds for one answer."""
_NETWORK_API = "2024-05-01"
_ADDRESSES = ("standardskupublicipaddresses", "staticpublicipaddresses")
"""What Azure may call the addresses of AKS's load balancers (Standard ones, which are static): the first it
tells."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose it is, and whether its ingress gateways are open to the outside."""

    name: str
    azure: Azure
    public: bool = True


async def examine(accounts: Iterable[Account]) -> list[Finding]:
    """For each subscription and location, in the order in which they come."""
    groups: dict[tuple[str, str, str], list[Account]] = {}
    for account in accounts:
        azure = account.azure
        key = azure.endpoint, azure.subscription.lower(), azure.settings.location
        groups.setdefault(key, []).append(account)
    found: list[list[Finding]] = await gather(*(_of_one(members) for members in groups.values()))
    if len({subscription for _, subscription, _ in groups}) > 1:
        found = [
            [replace(row, name=f"{row.name} ({members[0].azure.subscription})") for row in rows]
            for members, rows in zip(groups.values(), found, strict=True)
        ]
    return [row for rows in found for row in rows]


async def _of_one(members: Sequence[Account]) -> list[Finding]:
    azure = replace(members[0].azure, timeout=_TIMEOUT, attempts=1)
    location, provider = azure.settings.location, f"/subscriptions/{azure.subscription}/providers"
    try:
        made, usages, clusters, networks, sizes = await gather(
            _listed(azure, f"{provider}/Microsoft.ContainerService/managedClusters", Cluster.api_version),
            _listed(azure, f"{provider}/Microsoft.Compute/locations/{location}/usages", COMPUTE_API),
            _listed(
                azure, f"{provider}/Microsoft.ContainerService/locations/{location}/usages", Cluster.api_version
            ),
            _listed(azure, f"{provider}/Microsoft.Network/locations/{location}/usages", _NETWORK_API),
            _offered(azure, f"{provider}/Microsoft.Compute/skus"),
        )
    except WorkshopError as error:
        return [finding_of(f"quota in {location}", error)]
    if sizes is None or made is None:
        said = "Azure tells only when its providers are registered (the first run registers them)"
        return [Finding(f"quota in {location}", "warn", said)]
    needs = _needs(members, {each["id"].lower(): each for each in made}, sizes)
    who = f"{len(members)} member{'s' if len(members) > 1 else ''}"
    return [
        _vcpu_row(azure, who, needs, sizes, usages),
        _row(f"clusters in {location}", who, needs["clusters"], _first(clusters, ("managedclusters",))),
        _row(f"public addresses in {location}", who, needs["addresses"], _first(networks, _ADDRESSES)),
    ]


async def _listed(azure: Azure, path: str, api_version: str) -> list[Object] | None:
    """None where Azure does not tell."""
    try:
        found = (await listing(azure, path, api_version)).get("value") or []
        return list(found)
    except (ProviderNotRegistered, NotFound):
        return None


async def _offered(azure: Azure, path: str) -> dict[str, Object] | None:
    try:
        return await sizes_offered(azure, path)
    except (ProviderNotRegistered, NotFound):
        return None


def _needs(members: Iterable[Account], made: Mapping[str, Object], sizes: Mapping[str, Object]) -> Counter[str]:
    """What is still to be made: "cores", each family's in lower case, "clusters", "addresses"; "unknown" are nodes
    of sizes that the location does not offer."""
    needs: Counter[str] = Counter()
    for member in members:
        nodes = member.azure.settings.nodes
        size = sizes.get(nodes.size.lower())
        for place in PLACES:
            live: Any = made.get(Cluster(member.azure, place).id.lower())
            if size is None:
                needs["unknown"] += nodes.count
            else:
                cores = max(nodes.count * vcpus(size) - cores_of(live or {}, sizes), 0)
                needs["cores"] += cores
                needs[str(size.get("family", "")).lower()] += cores
            if live is None:
                needs["clusters"] += 1
                needs["addresses"] += 1 + member.public
    return needs


def _vcpu_row(
    azure: Azure, who: str, needs: Counter[str], sizes: Mapping[str, Object], usages: list[Object] | None
) -> Finding:
    """Of all quotas that are too small, the one of which most is missing."""
    location = azure.settings.location
    name = f"vCPUs in {location}"
    command = azure.advised(f"az vm list-usage --location {location} --output table")
    if needs["unknown"]:
        said = f"{location} offers no machines of size {azure.settings.nodes.size} to this subscription"
        return Finding(name, "fail", said, azure.advised(f"az vm list-skus --location {location} --output table"))
    families = {str(size.get("family", "")).lower() for size in sizes.values()}
    quotas = [usage for usage in usages or () if usage["name"]["value"].lower() in {"cores", *families}]
    asked = [usage for usage in quotas if needs[usage["name"]["value"].lower()]]
    short = [usage for usage in asked if _missing(usage, needs) > 0]
    if short:
        worst = max(short, key=lambda usage: _missing(usage, needs))
        wanted = needs[worst["name"]["value"].lower()]
        what = (
            f"{_figures(worst)}, {wanted} more needed by {who}: {_missing(worst, needs)} are missing; ask for more "
            "quota, or set azure.nodes to fewer or smaller ones, or azure.location for some of them"
        )
        return Finding(name, "fail", what, command)
    told = "; ".join(map(_figures, asked))
    return Finding(name, "ok", f"{f'{told}; ' if told else ''}{needs['cores']} more needed by {who}")


def _missing(usage: Object, needs: Counter[str]) -> int:
    return int(needs[usage["name"]["value"].lower()] - (usage["limit"] - usage["currentValue"]))


def _figures(usage: Object) -> str:
    return f"{usage['name']['localizedValue']}: {usage['currentValue']} of {usage['limit']} used"


def _first(usages: list[Object] | None, names: Iterable[str]) -> Object | None:
    by_name = {usage["name"]["value"].lower(): usage for usage in usages or ()}
    return next((by_name[name] for name in names if name in by_name), None)


def _row(name: str, who: str, wanted: int, usage: Object | None) -> Finding:
    needed = f"{wanted} more needed by {who}"
    if usage is None:
        return Finding(name, "ok", f"Azure tells no limit; {needed}")
    missing = wanted - (usage["limit"] - usage["currentValue"])
    figures = f"{usage['currentValue']} of {usage['limit']} used, {needed}"
    if missing > 0:
        more = "ask for more quota, or set azure.location to another region for some of them"
        return Finding(name, "fail", f"{figures}: {missing} are missing; {more}")
    return Finding(name, "ok", figures)

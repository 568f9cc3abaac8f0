"""What things cost at Azure: a profile, as an estimate before it is made, and what is there, since it was made.

The prices are those of config/prices.yaml, and over it what Azure's retail prices say today. Those
(https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices) need no login, but are of
another host than the one that makes things. So they are asked for only where the profile names them, all at the
same time and not for long, and the table has what they do not tell.

Some kinds tell themselves when they were made (`systemData`); of the others, managed clusters among them, the list
of what is in their group does.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import urlopen

from msgspec import Struct, convert

from workshop.azure.connection import Azure, Object, Place, in_thread
from workshop.azure.live_resources import GroupContents
from workshop.azure.resource import Resource
from workshop.settings import CONFIG, read_profile

if TYPE_CHECKING:
    from workshop.runbook.run import Run
    from workshop.settings import AzureSettings

TABLE = CONFIG / "prices.yaml"

PRICES_TIMEOUT = 2.0
"""Seconds for all that is asked: somebody waits for a plan."""

_HOURS_A_DAY, _HOURS_A_MONTH = 24.0, 730.0
_HOURS = {"1 Hour": 1.0, "1/Hour": 1.0, "1/Day": _HOURS_A_DAY, "1/Month": _HOURS_A_MONTH}
"""Of a retail price's unit."""

_OTHER_TERMS = ("Spot", "Low Priority", "Windows", "Cloud Services")
"""Of machines of the same size that are not what AKS takes by default."""

_DISKS = {128: "P10", 256: "P15", 512: "P20", 1024: "P30"}


class _Node(Struct, frozen=True, forbid_unknown_fields=True):
    hour: float
    disk: int


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    date: date
    region: str
    nodes: dict[str, _Node]
    disks: dict[int, float]
    load_balancer: float
    address: float
    registry: float
    control_plane: float
    logs: float


@dataclass(frozen=True)
class Prices:
    """USD an hour, where it does not say otherwise; None is not known. `source` says whose they are and of which
    day, `disk` the GiB of a node's system disk."""

    node: float | None
    disk: float | None
    gib: int
    load_balancer: float
    address: float
    registry: float
    logs_a_gb: float
    source: str


def from_table(size: str, region: str, table: Path | None = None) -> Prices:
    known = _read(table or TABLE)
    node = known.nodes.get(size)
    elsewhere = f"; those of {region} differ" if region != known.region else ""
    return Prices(
        node=node.hour if node else None,
        disk=known.disks[node.disk] / _HOURS_A_MONTH if node else None,
        gib=node.disk if node else 0,
        load_balancer=known.load_balancer,
        address=known.address,
        registry=known.registry / _HOURS_A_DAY,
        logs_a_gb=known.logs,
        source=f"list prices of {known.region} of {known.date}{elsewhere}",
    )


@functools.cache
def _read(table: Path) -> _Table:
    return convert(read_profile(table), _Table, strict=False)


async def of_today(size: str, region: str, url: str) -> Prices:
    """The table's, with what Azure says today at `url` in their place."""
    table = from_table(size, region)
    filters = (
        f"serviceName eq 'Virtual Machines' and armSkuName eq '{size}'",
        f"productName eq 'Premium SSD Managed Disks' and meterName eq '{_DISKS.get(table.gib, 'no')} LRS Disk'",
        "serviceName eq 'Container Registry' and meterName eq 'Standard Registry Unit'",
    )
    here = f"armRegionName eq '{region}' and priceType eq 'Consumption'"
    machines, disks, registries = await asyncio.gather(*(_ask(url, f"{here} and {each}") for each in filters))
    node = _hourly(each for each in machines if not _is_other(each))
    if node is None:
        return table
    return Prices(
        node=node,
        disk=_first(_hourly(disks), table.disk),
        gib=table.gib,
        load_balancer=table.load_balancer,
        address=table.address,
        registry=_first(_hourly(registries), table.registry) or 0.0,
        logs_a_gb=table.logs_a_gb,
        source=f"list prices of {region} of today (where Azure tells none: {table.source})",
    )


def _first(*prices: float | None) -> float | None:
    return next((price for price in prices if price is not None), None)


def _is_other(item: Mapping[str, Any]) -> bool:
    said = " ".join(str(item.get(name, "")) for name in ("productName", "skuName", "meterName"))
    return any(term in said for term in _OTHER_TERMS)


def _hourly(items: Iterable[Mapping[str, Any]]) -> float | None:
    """The one price of these, an hour; of several the dearest, as an estimate should not flatter."""
    found = [
        float(each["retailPrice"]) / _HOURS[each["unitOfMeasure"]]
        for each in items
        if each.get("unitOfMeasure") in _HOURS and not each.get("tierMinimumUnits") and each.get("retailPrice")
    ]
    return max(found, default=None)


async def _ask(url: str, what: str) -> list[Mapping[str, Any]]:
    """The prices of that filter; none when they do not come soon, or are not what was expected."""
    try:
        async with asyncio.timeout(PRICES_TIMEOUT):
            said = await in_thread(partial(_get, url, what))
        items = said["Items"]
        return [each for each in items if isinstance(each, dict)]
    except (OSError, TimeoutError, ValueError, KeyError, TypeError):
        return []


def _get(url: str, what: str) -> Any:
    with urlopen(f"{url}?$filter={quote(what)}", timeout=PRICES_TIMEOUT) as answer:  # noqa: S310 - as the profile has it
        return json.loads(answer.read(1 << 20))


_UNCOUNTED = "traffic, and addresses of gateways that labs add"


@dataclass(frozen=True, slots=True)
class Item:
    """`hour` is in USD, None where nobody knows."""

    what: str
    hour: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    items: tuple[Item, ...]
    uncounted: tuple[str, ...]
    source: str

    @property
    def hour(self) -> float:
        return sum(item.hour or 0.0 for item in self.items)

    @property
    def unknown(self) -> str:
        """What is missing in the sum."""
        return ", ".join(item.what for item in self.items if item.hour is None)

    @property
    def sum(self) -> str:
        """In one line: "about USD 1.14 an hour, 27.40 a day"."""
        least = f", without {self.unknown}, whose price is not known" if self.unknown else ""
        return f"about USD {self.hour:.2f} an hour, {self.hour * 24:.2f} a day{least}"


async def estimate(azure: AzureSettings, clusters: Sequence[Place], *, registry: bool, url: str = "") -> Estimate:
    """Of what is made of a profile: the clusters of these places, and the registry. `url` is where today's prices
    are asked for, if at all."""
    size, region = azure.nodes.size, azure.location
    known = await of_today(size, region, url) if url else from_table(size, region)
    items = _of_clusters(known, size, azure.nodes.count, len(clusters)) if clusters else []
    if registry:
        items.append(Item("registry, Standard", known.registry))
    logs = (f"logs: USD {known.logs_a_gb:.2f} for each GB that comes into azure.workspace",)
    monitored = azure.monitoring and bool(clusters)
    return Estimate(tuple(items), (_UNCOUNTED, *logs) if monitored else (_UNCOUNTED,), known.source)


def _of_clusters(known: Prices, size: str, count: int, clusters: int) -> list[Item]:
    nodes = count * clusters
    disks = f"system disks of {known.gib} GiB" if known.gib else "system disks"
    return [
        Item(f"{nodes} x {size}", None if known.node is None else nodes * known.node),
        Item(f"{nodes} x {disks}", None if known.disk is None else nodes * known.disk),
        Item(f"{clusters} x load balancer and address", clusters * (known.load_balancer + known.address)),
        Item(f"{clusters} x control plane, Free", 0.0),
    ]


async def summary(azure: Azure, *, registry: bool) -> tuple[str, ...]:
    """What is to be said of a run that makes these; nothing when none of it costs."""
    clusters = azure.clusters_asked
    if not (clusters or registry):
        return ()
    found = await estimate(azure.settings, clusters, registry=registry, url=azure.prices)
    if azure.free:
        return "", f"Here it costs nothing. At Azure: {found.sum},", f"an estimate from the {found.source}"
    return "", *lines(found)


def lines(found: Estimate) -> tuple[str, ...]:
    """For a person: each item with its hour and its day, and the sum."""
    rows = [(item.what, _usd(item.hour), _usd(item.hour, 24.0)) for item in found.items]
    more = " (and what is not known)" if found.unknown else ""
    rows.append((f"together{more}", _usd(found.hour), _usd(found.hour, 24.0)))
    width = max(len(what) for what, _, _ in rows)
    return (
        "What it costs at Azure, from when it is made until lab.azure.cleanup: an estimate,",
        f"from the {found.source}",
        f"      {'USD':{width}}  {'an hour':>9}  {'a day':>9}",
        *(f"      {what:{width}}  {hour:>9}  {day:>9}" for what, hour, day in rows),
        *(f"      not counted: {what}" for what in found.uncounted),
    )


def _usd(hour: float | None, hours: float = 1.0) -> str:
    return "not known" if hour is None else f"{hour * hours:.2f}"


async def paid_since(run: Run, resource: Resource, live: Object) -> str:
    """In words, of something that costs; empty where Azure does not tell."""
    azure = run.use(Azure)
    made = _told(live) or await _listed(run, resource)
    cost = None if made is None or azure.free else _so_far(azure.settings, live, made)
    return there_since(azure, made, cost)


def there_since(azure: Azure, made: datetime | None, cost: float | None = None) -> str:
    if made is None:
        return ""
    there = "there" if azure.free else "paid for"
    said = f"{there} since {made.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({_age(made)})"
    return said if cost is None else f"{said}, about USD {cost:.2f} so far"


def _told(live: Object) -> datetime | None:
    try:
        return datetime.fromisoformat(str((live.get("systemData") or {})["createdAt"]))
    except (KeyError, ValueError):
        return None


async def _listed(run: Run, resource: Resource) -> datetime | None:
    members = await run.observe(GroupContents(resource.group_id))
    return next((member.created for member in members if member.id.lower() == resource.id.lower()), None)


def _age(made: datetime) -> str:
    minutes = max((datetime.now(UTC) - made).total_seconds() / 60, 0.0)
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


def _so_far(azure: AzureSettings, live: Object, made: datetime) -> float | None:
    """USD by the table, as it is now: nobody knows how many nodes it had before. None where the table has not its
    nodes' size."""
    hours = (datetime.now(UTC) - made).total_seconds() / 3600
    known = from_table("", azure.location)
    properties = live.get("properties") or {}
    if "agentPoolProfiles" not in properties:
        return known.registry * hours
    total = known.load_balancer + known.address
    for pool in properties["agentPoolProfiles"] or ():
        node = from_table(str(pool.get("vmSize")), azure.location)
        if node.node is None or node.disk is None:
            return None
        total += pool.get("count", 0) * (node.node + node.disk)
    return total * hours

"""What things cost at Azure: the table of config/prices.yaml, and over it what Azure's retail prices say today.

The retail prices (https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices) need no
login, but are of another host than the one that makes things. So they are asked for only where the profile names
them, all at the same time and not for long, and the table has what they do not tell.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from workshop.azure import waits
from workshop.settings import ROOT, read_profile

TABLE = ROOT / "config" / "prices.yaml"

PATIENCE = 2.0
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
    date: datetime.date
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
        async with asyncio.timeout(PATIENCE):
            said = await waits.in_thread(partial(_get, url, what))
        items = said["Items"]
        return [each for each in items if isinstance(each, dict)]
    except (OSError, TimeoutError, ValueError, KeyError, TypeError):
        return []


def _get(url: str, what: str) -> Any:
    from urllib.parse import quote
    from urllib.request import urlopen

    with urlopen(f"{url}?$filter={quote(what)}", timeout=PATIENCE) as answer:  # noqa: S310 - as the profile has it
        return json.loads(answer.read(1 << 20))

"""What a profile costs at Azure, as an estimate: by the hour and by the day, before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.azure import prices
from workshop.azure.prices import Prices
from workshop.azure.resource import Place

if TYPE_CHECKING:
    from workshop import settings
    from workshop.azure.connection import Azure

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


async def estimate(azure: settings.Azure, clusters: Sequence[Place], *, registry: bool, url: str = "") -> Estimate:
    """Of what is made of a profile: the clusters of these places, and the registry. `url` is where today's prices
    are asked for, if at all."""
    size, region = azure.nodes.size, azure.location
    known = await prices.of_today(size, region, url) if url else prices.from_table(size, region)
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


async def told(azure: Azure, *, registry: bool) -> tuple[str, ...]:
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

"""Since when something has been there, and what it has cost since: for whoever is to say whether it may go.

Some kinds tell themselves when they were made (`systemData`); of the others, managed clusters among them, the list
of what is in their group does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workshop.azure import prices
from workshop.azure.compare import Object
from workshop.azure.connection import Azure
from workshop.azure.group import Contents
from workshop.azure.resource import Resource

if TYPE_CHECKING:
    from workshop import settings
    from workshop.runbook.run import Run


async def paid(run: Run, resource: Resource, live: Object) -> str:
    """In words, of something that costs; empty where Azure does not tell."""
    azure = run.use(Azure)
    made = _told(live) or await _listed(run, resource)
    cost = None if made is None or azure.free else _so_far(azure.settings, live, made)
    return worded(azure, made, cost)


def worded(azure: Azure, made: datetime | None, cost: float | None = None) -> str:
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
    members = await run.observe(Contents(resource.group_id))
    return next((member.created for member in members if member.id.lower() == resource.id.lower()), None)


def _age(made: datetime) -> str:
    minutes = max((datetime.now(UTC) - made).total_seconds() / 60, 0.0)
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


def _so_far(azure: settings.Azure, live: Object, made: datetime) -> float | None:
    """USD by the table, as it is now: nobody knows how many nodes it had before. None where the table has not its
    nodes' size."""
    hours = (datetime.now(UTC) - made).total_seconds() / 3600
    known = prices.from_table("", azure.location)
    properties = live.get("properties") or {}
    if "agentPoolProfiles" not in properties:
        return known.registry * hours
    total = known.load_balancer + known.address
    for pool in properties["agentPoolProfiles"] or ():
        node = prices.from_table(str(pool.get("vmSize")), azure.location)
        if node.node is None or node.disk is None:
            return None
        total += pool.get("count", 0) * (node.node + node.disk)
    return total * hours

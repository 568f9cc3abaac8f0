"""What is really at Azure: each resource looked at once, and kept until something was applied.

The first look of a run is at everything, all at the same time, in two waves: the resources, and then the role
assignments, whose names follow from the identities found. That serves all checks of a run that finds everything as
wanted. Once something was applied, only what is asked for is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.azure import waits
from workshop.azure.cluster import Cluster
from workshop.azure.compare import Object
from workshop.azure.connection import Azure, together
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.network import Network
from workshop.azure.registry import Registry
from workshop.azure.resource import Place, Resource
from workshop.azure.role import Purpose, Role

if TYPE_CHECKING:
    from workshop.runbook.run import Run

PLACES: tuple[Place, ...] = ("primary", "secondary")
PURPOSES: tuple[Purpose, ...] = ("network", "pull")


@dataclass(frozen=True, slots=True)
class Live:
    """The source of one resource as it is; equal resources are looked at once."""

    resource: Resource

    async def observe(self, run: Run) -> Object | None:
        with waits.shown_in(run):
            return await self.resource.look()


async def find(run: Run, resource: Resource) -> Object | None:
    """The resource as it is, None when it is not there."""
    await _first_look(run)
    return await run.observe(Live(resource))


async def find_role(run: Run, place: Place, purpose: Purpose) -> tuple[Role, Object | None]:
    """The assignment that belongs to the identity that is there now; its principal is empty when there is none."""
    role = Role(run.use(Azure), place, purpose)
    role = Role(role.azure, place, purpose, role.principal_of(await find(run, role.holder)))
    there = role.principal and await find(run, role.scope)
    return role, await find(run, role) if there else None


async def _first_look(run: Run) -> None:
    azure = run.use(Azure)
    if azure.looked:
        return
    azure.looked.append(True)
    resources: list[Resource] = [Registry(azure)]
    for place in PLACES:
        resources += [kind(azure, place) for kind in (Group, Network, Identity, Cluster)]
    await together(*(run.observe(Live(resource)) for resource in resources))
    await together(*(find_role(run, place, purpose) for place in PLACES for purpose in PURPOSES))

"""What is really at Azure: each resource looked at once, and kept until something was applied.

The first look of a run is at everything, all at the same time, in two waves: the resources, and then the role
assignments, whose names follow from the identities found. That serves all checks of a run that finds everything as
wanted. Once something was applied, only what is asked for is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from workshop.azure.cluster import Cluster
from workshop.azure.connection import PLACES, Azure, NotFound, Object, Place, gather, shown_in
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.network import Network
from workshop.azure.registry import Registry
from workshop.azure.resource import TAG, Resource
from workshop.azure.role import Purpose, Role

if TYPE_CHECKING:
    from workshop.runbook.run import Run

PURPOSES: tuple[Purpose, ...] = ("network", "pull")


@dataclass(frozen=True, slots=True)
class LiveSource:
    """The source of one resource as it is; equal resources are looked at once."""

    resource: Resource

    async def observe(self, run: Run) -> Object | None:
        with shown_in(run):
            return await self.resource.look()


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One resource in a group, as the list of the group has it. `ours`: it carries this very workshop's tag."""

    id: str
    type: str
    name: str
    ours: bool
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class GroupContents:
    """The source of what is in a group, whoever made it: deleting the group would delete it."""

    group_id: str

    async def observe(self, run: Run) -> tuple[GroupMember, ...]:
        azure = run.use(Azure)
        name = self.group_id.rpartition("/")[2]

        def list_all() -> list[GroupMember]:
            listed = azure.resources().resources.list_by_resource_group(name, expand="createdTime")
            return [
                GroupMember(
                    str(item.id),
                    str(item.type),
                    str(item.name),
                    (item.tags or {}).get(TAG) == azure.settings.tag,
                    item.created_time,
                )
                for item in listed
            ]

        try:
            with shown_in(run):
                found = await azure.call(f"list what is in the group {name}", list_all)
        except NotFound:
            return ()
        return tuple(sorted(found, key=lambda member: (member.type, member.name)))


async def live_resource(run: Run, resource: Resource) -> Object | None:
    """The resource as it is, None when it is not there."""
    await _first_look(run)
    return await run.observe(LiveSource(resource))


async def live_role(run: Run, place: Place, purpose: Purpose) -> tuple[Role, Object | None]:
    """The assignment that belongs to the identity that is there now; its principal is empty when there is none."""
    role = Role(run.use(Azure), place, purpose)
    role = Role(role.azure, place, purpose, role.principal_of(await live_resource(run, role.assignee)))
    there = role.principal and await live_resource(run, role.scope)
    return role, await live_resource(run, role) if there else None


async def _first_look(run: Run) -> None:
    azure = run.use(Azure)
    if azure.looked:
        return
    azure.looked = True
    resources: list[Resource] = [Registry(azure)]
    for place in PLACES:
        resources += [kind(azure, place) for kind in (Group, Network, Identity, Cluster)]
    await gather(*(run.observe(LiveSource(resource)) for resource in resources))
    await gather(*(live_role(run, place, purpose) for place in PLACES for purpose in PURPOSES))

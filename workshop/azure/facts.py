"""What is really at Azure, looked at once, all at the same time, for the checks of a whole run.

Two waves: the resources themselves, and then the role assignments, whose names follow from the identities found.
Settings are checked before the first look: a name or a prefix that Azure would refuse is refused here, at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.azure.cluster import Cluster
from workshop.azure.compare import Object
from workshop.azure.connection import Azure, together
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.network import Network
from workshop.azure.registry import Registry
from workshop.azure.resource import Place, Resource
from workshop.azure.role import Purpose, Role
from workshop.azure.rules import validate

if TYPE_CHECKING:
    from workshop.runbook.run import Run

PLACES: tuple[Place, ...] = ("primary", "secondary")
PURPOSES: tuple[Purpose, ...] = ("network", "pull")


class Snapshot:
    """The resources found, and the role assignments as far as the identities they belong to are there."""

    def __init__(self, azure: Azure, found: dict[str, Object | None]) -> None:
        self.azure, self._found = azure, found

    def find(self, resource: Resource) -> Object | None:
        return self._found.get(resource.id.lower())

    def role(self, place: Place, purpose: Purpose) -> Role:
        role = Role(self.azure, place, purpose)
        return Role(self.azure, place, purpose, role.principal_of(self.find(role.holder)))


@dataclass(frozen=True, slots=True)
class AzureFacts:
    """The source of a Snapshot; all steps observe the same one."""

    async def observe(self, run: Run) -> Snapshot:
        azure = run.use(Azure)
        validate(azure.settings)
        resources: list[Resource] = [Registry(azure)]
        for place in PLACES:
            resources += [kind(azure, place) for kind in (Group, Network, Identity, Cluster)]
        found = await look(resources)
        first = Snapshot(azure, found)
        roles = [first.role(place, purpose) for place in PLACES for purpose in PURPOSES]
        there = [role for role in roles if role.principal and first.find(role.scope)]
        return Snapshot(azure, found | await look(list(there)))


async def look(resources: list[Resource]) -> dict[str, Object | None]:
    """By id, in lower case."""
    found = await together(*(resource.azure.get(resource.id, resource.api_version) for resource in resources))
    return {resource.id.lower(): live for resource, live in zip(resources, found, strict=True)}

"""Resource groups: where everything else is, in one region. What is in a group goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workshop.azure import waits
from workshop.azure.compare import Object
from workshop.azure.connection import Azure, NotFound
from workshop.azure.resource import TAG, Resource

if TYPE_CHECKING:
    from workshop.runbook.run import Run


@dataclass(frozen=True)
class Group(Resource):
    kind = "resource group"
    namespace = "Microsoft.Resources"
    api_version = "2025-04-01"

    @property
    def name(self) -> str:
        return self.group

    @property
    def id(self) -> str:
        return self.group_id

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    def wanted(self) -> Object:
        return {"location": self.settings.location, "tags": self.tags}

    def seen(self, live: Object) -> str:
        return f"{self.title} in {live.get('location')}, tagged {TAG}={self.settings.tag}"

    def put(self, body: Any, **options: Any) -> None:
        self.azure.resources().resource_groups.create_or_update(self.name, body)

    def remove(self, **options: Any) -> Any:
        return self.azure.resources().resource_groups.begin_delete(self.name, **options)

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            f"az group create --name {self.name} --location {self.settings.location} "
            f"--subscription {self.azure.subscription} --tags {self.tag_typed}",
        )

    @property
    def remove_commands(self) -> tuple[str, ...]:
        return (f"az group delete --name {self.name} --subscription {self.azure.subscription}",)

    def discard_command(self, program: str, lab: str) -> str:
        """`az group delete` would take along whatever else is in it."""
        return f"{program} lab.azure.cleanup"


@dataclass(frozen=True, slots=True)
class Member:
    """One resource in a group, as the list of the group has it. `ours`: it carries this very workshop's tag."""

    id: str
    type: str
    name: str
    ours: bool
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The source of what is in a group, whoever made it: deleting the group would delete it."""

    group_id: str

    async def observe(self, run: Run) -> tuple[Member, ...]:
        azure = run.use(Azure)
        name = self.group_id.rpartition("/")[2]

        def list_all() -> list[Member]:
            listed = azure.resources().resources.list_by_resource_group(name, expand="createdTime")
            return [
                Member(
                    str(item.id),
                    str(item.type),
                    str(item.name),
                    (item.tags or {}).get(TAG) == azure.settings.tag,
                    item.created_time,
                )
                for item in listed
            ]

        try:
            with waits.shown_in(run):
                found = await azure.call(f"list what is in the group {name}", list_all)
        except NotFound:
            return ()
        return tuple(sorted(found, key=lambda member: (member.type, member.name)))

"""Resource groups: where everything else is, in one region. What is in a group goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workshop.azure.connection import Object
from workshop.azure.resource import TAG, Resource


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

    def in_words(self, live: Object) -> str:
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

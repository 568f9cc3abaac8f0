"""The identity a cluster acts as. User-assigned, so that it is there, and has its role, before the cluster is."""

from __future__ import annotations

from dataclasses import dataclass

from workshop.azure.connection import Object
from workshop.azure.resource import Resource


@dataclass(frozen=True)
class Identity(Resource):
    kind = "identity"
    namespace = "Microsoft.ManagedIdentity"
    api_version = "2023-01-31"
    usual = 5.0

    @property
    def name(self) -> str:
        place = self.settings.primary if self.place == "primary" else self.settings.secondary
        return f"{place.cluster}-identity"

    @property
    def id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"

    def wanted(self) -> Object:
        return {"location": self.settings.location, "tags": self.tags}

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"az identity create {self.where} --name {self.name} --tags {self.tag_typed}",)


def principal_of(identity: Object | None) -> str:
    """The object id that roles are given to; empty until there is one."""
    return str(((identity or {}).get("properties") or {}).get("principalId") or "")

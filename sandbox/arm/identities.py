"""User-assigned managed identities."""

from __future__ import annotations

import uuid

from sandbox.arm.cloud import Body, Resource
from sandbox.arm.errors import ArmError
from sandbox.arm.fields import READ_ONLY, TRACKED, Fields
from sandbox.arm.resources import Kind

TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"


class Identities(Kind):
    type = TYPE
    names = r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}"
    naming = "3 to 128 letters, digits, '_' and '-', beginning with a letter or digit"
    has_system_data = True
    fields = Fields(
        {
            **TRACKED,
            "properties": Fields(
                {
                    "tenantId": READ_ONLY,
                    "principalId": READ_ONLY,
                    "clientId": READ_ONLY,
                }
            ),
        }
    )

    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        own = old.properties if old else new_identity(self.cloud.tenant)
        return {**body, "properties": dict(own)}

    def provisioned(self, resource: Resource) -> None:
        if not self.cloud.knows_principal(resource.properties["principalId"]):
            self.cloud.add_principal(resource.properties["principalId"])

    def check_deletion(self, resource: Resource) -> None:
        for cluster in self.cloud.of_type("Microsoft.ContainerService/managedClusters"):
            used = cluster.body.get("identity", {}).get("userAssignedIdentities", {})
            if resource.id.lower() in {each.lower() for each in used}:
                raise ArmError(
                    409,
                    "Conflict",
                    f"The identity '{resource.name}' is in use by {cluster.id}: delete that first.",
                    target=resource.name,
                )

    async def destroy(self, resource: Resource) -> None:
        self.cloud.remove_principal(resource.properties["principalId"])

    def shown(self, resource: Resource) -> Body:
        body = super().shown(resource)
        del body[self.etag_field]
        return body


def new_identity(tenant: str) -> Body:
    return {"tenantId": tenant, "principalId": str(uuid.uuid4()), "clientId": str(uuid.uuid4())}

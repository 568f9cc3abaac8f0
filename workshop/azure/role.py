"""Roles: what a cluster's identities may do with the network and the registry.

A role assignment has no tags. Its name, which has to be a UUID, is made from scope, role and principal: the same
assignment always has the same name, so making it twice makes it once, and the clean-up knows it by its name. Right
after an identity was made, Azure may not know it everywhere yet (PrincipalNotFound, which operations.py waits out);
saying that the principal is a service principal mostly avoids it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from workshop.azure.cluster import Cluster, kubelet_of
from workshop.azure.connection import Object
from workshop.azure.identity import Identity, principal_of
from workshop.azure.network import Network
from workshop.azure.registry import Registry
from workshop.azure.resource import Resource

Purpose = Literal["network", "pull"]

NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


@dataclass(frozen=True)
class Role(Resource):
    """`network`: the cluster's identity may use its network; `pull`: the kubelet's may pull from the registry.
    `principal` is empty as long as that identity is not there."""

    purpose: Purpose = "network"
    principal: str = ""

    kind = "role assignment"
    namespace = "Microsoft.Authorization"
    api_version = "2022-04-01"
    usual = 3.0
    immutable = ()

    @property
    def assignee(self) -> Resource:
        """The resource whose identity gets the role."""
        return (Identity if self.purpose == "network" else Cluster)(self.azure, self.place)

    def principal_of(self, assignee: Object | None) -> str:
        return principal_of(assignee) if self.purpose == "network" else kubelet_of(assignee)

    @property
    def scope(self) -> Resource:
        if self.purpose == "network":
            return Network(self.azure, self.place)
        return Registry(self.azure)

    @property
    def role(self) -> tuple[str, str]:
        """Its name and its id."""
        if self.purpose == "network":
            return "Network Contributor", NETWORK_CONTRIBUTOR
        return "AcrPull", ACR_PULL

    @property
    def name(self) -> str:
        _, role = self.role
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scope.id}|{role}|{self.principal}".lower()))

    @property
    def id(self) -> str:
        return f"{self.scope.id}/providers/Microsoft.Authorization/roleAssignments/{self.name}"

    @property
    def title(self) -> str:
        return f"role {self.role[0]} of {self.assignee.title} on {self.scope.title}"

    def wanted(self) -> Object:
        definitions = f"/subscriptions/{self.azure.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        return {
            "properties": {
                "roleDefinitionId": f"{definitions}/{self.role[1]}",
                "principalId": self.principal,
                "principalType": "ServicePrincipal",
            }
        }

    def is_tagged(self, live: Object) -> bool:
        return True

    def is_ours(self, live: Object | None) -> bool:
        return live is not None

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            self._find_principal,
            f"az role assignment create --assignee-object-id $principal --assignee-principal-type ServicePrincipal "
            f"--role '{self.role[0]}' --scope {self.scope.id}",
        )

    @property
    def remove_commands(self) -> tuple[str, ...]:
        """Without an assignee, Azure's command removes everybody's: the shell stops where none was found."""
        return (
            self._find_principal,
            f"az role assignment delete --assignee \"${{principal:?}}\" --role '{self.role[0]}' "
            f"--scope {self.scope.id}",
        )

    @property
    def _find_principal(self) -> str:
        query = "principalId" if self.purpose == "network" else "identityProfile.kubeletidentity.objectId"
        return f"principal=$(az resource show --ids {self.assignee.id} --query properties.{query} --output tsv)"

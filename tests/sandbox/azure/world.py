"""The real SDK's clients against a sandbox, with everything quick."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

LOCATION = "westeurope"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
QUICK: dict[str, Any] = {
    "durations": {
        "provider": 0.05,
        "virtualNetworks": 0,
        "registries": 0,
        "importImage": 0,
        "builds": 0,
        "managedClusters": 0,
    },
    "quotas": {"cores": 1000, "family": 1000, "managedClusters": 100},
    "providers": {},
    "principal_seconds": 0,
    "operation_seconds": 3600,
    "state": "Enabled",
    "actions": ["*"],
    "not_actions": [],
    "tasks": True,
    "denied_locations": [],
    "taken_names": [],
    "foreign": [],
    "failures": [],
    "faults": [],
}


class Token:
    """A credential that has the sandbox's token."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self.token, int(time.time()) + 3600)


@dataclass(frozen=True)
class Arm:
    """One sandbox's Azure."""

    url: str
    ca: str
    token: str
    subscription: str
    tenant: str

    @classmethod
    def of(cls, folder: Path) -> Arm:
        return cls(**json.loads((folder / "azure.json").read_text(encoding="utf-8")))

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "base_url": self.url,
            "connection_verify": self.ca,
            "polling_interval": 0.01,
            "credential_scopes": ["https://management.azure.com/.default"],
            "retry_backoff_factor": 0.01,
            **more,
        }

    @property
    def credential(self) -> Any:
        return Token(self.token)

    @cached_property
    def resources(self) -> ResourceManagementClient:
        return ResourceManagementClient(self.credential, self.subscription, **self.options())

    @cached_property
    def network(self) -> NetworkManagementClient:
        return NetworkManagementClient(self.credential, self.subscription, **self.options())

    @cached_property
    def registries(self) -> ContainerRegistryManagementClient:
        return ContainerRegistryManagementClient(self.credential, self.subscription, **self.options())

    @cached_property
    def builds(self) -> ContainerRegistryTasksMgmtClient:
        return ContainerRegistryTasksMgmtClient(self.credential, self.subscription, **self.options())

    @cached_property
    def clusters(self) -> ContainerServiceClient:
        return ContainerServiceClient(self.credential, self.subscription, **self.options())

    def id_of(self, group: str, type_: str, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers/{type_}/{name}"

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        """Without a client in between: status, body, headers. With the token, unless `headers` have their own."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent)  # noqa: S310
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as answer:  # noqa: S310
                return answer.status, _json(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, _json(error.read()), error.headers

    def get(self, path: str, version: str = "2025-04-01", more: str = "") -> Any:
        status, body, _ = self.ask("GET", f"{path}?api-version={version}{more}")
        assert status == 200, body
        return body

    def set(self, **settings: Any) -> None:
        status, body, _ = self.ask("POST", "/sandbox/settings", settings)
        assert status == 200, body

    def clear(self) -> None:
        assert self.ask("DELETE", "/sandbox/requests")[0] == 204

    def asked(self) -> list[str]:
        """Method and path (from the last `providers` on) of each request since the log was cleared."""
        _, body, _ = self.ask("GET", "/sandbox/requests")
        return [f"{each['method']} {each['path'].rpartition('/providers/')[2]}" for each in body["value"]]

    # What most tests need.

    def make_network(self, group: str, name: str = "net") -> Any:
        body = {
            "location": LOCATION,
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/8"]},
                "subnets": [{"name": "nodes", "properties": {"addressPrefix": "10.240.0.0/16"}}],
            },
        }
        return self.network.virtual_networks.begin_create_or_update(group, name, body).result()

    def make_identity(self, group: str, name: str = "workers") -> Any:
        id_ = self.id_of(group, "Microsoft.ManagedIdentity/userAssignedIdentities", name)
        body = {"location": LOCATION}
        return self.resources.resources.begin_create_or_update_by_id(id_, body, api_version="2023-01-31").result()

    def assign(self, scope: str, principal: str, role: str, name: str) -> Any:
        id_ = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
        definition = f"/subscriptions/{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        properties = {"roleDefinitionId": definition, "principalId": principal, "principalType": "ServicePrincipal"}
        resources = self.resources.resources
        return resources.begin_create_or_update_by_id(
            id_, {"properties": properties}, api_version="2022-04-01"
        ).result()


def cluster_body(**properties: Any) -> dict[str, Any]:
    """Of a cluster that needs nothing else."""
    return {
        "location": LOCATION,
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": "one",
            "kubernetesVersion": "1.36",
            "enableRBAC": True,
            "agentPoolProfiles": [
                {"name": "pool", "count": 2, "vmSize": "Standard_DS2_v2", "mode": "System", "maxPods": 100}
            ],
            "networkProfile": {
                "networkPlugin": "azure",
                "networkPluginMode": "overlay",
                "networkDataplane": "cilium",
                "networkPolicy": "cilium",
                "podCidr": "192.168.0.0/16",
                "serviceCidr": "10.2.0.0/24",
                "dnsServiceIP": "10.2.0.10",
            },
            **properties,
        },
    }


def refused(call: Any) -> HttpResponseError:
    """What the SDK says when `call` is refused."""
    try:
        call()
    except HttpResponseError as error:
        return error
    raise AssertionError("it was not refused")


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None

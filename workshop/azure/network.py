"""A virtual network with a subnet for a cluster's nodes. Each cluster has its own, in its own group.

The subnet travels inside the network's body, not as a resource of its own: one PUT makes both, and none can be seen
without the other.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from workshop.azure.connection import Object
from workshop.azure.resource import Resource
from workshop.runbook.results import Difference


@dataclass(frozen=True)
class Network(Resource):
    kind = "virtual network"
    namespace = "Microsoft.Network"
    api_version = "2026-03-01"
    usual = 8.0
    immutable = ("location", "properties.subnets.name", "properties.subnets.properties.addressPrefix")

    @property
    def name(self) -> str:
        return self.settings.network.name

    @property
    def id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.Network/virtualNetworks/{self.name}"

    @property
    def subnet_id(self) -> str:
        return f"{self.id}/subnets/{self.settings.network.subnet}"

    def wanted(self) -> Object:
        network = self.settings.network
        return {
            "location": self.settings.location,
            "tags": self.tags,
            "properties": {
                "addressSpace": {"addressPrefixes": [network.prefix]},
                "subnets": [{"name": network.subnet, "properties": {"addressPrefix": network.subnet_prefix}}],
            },
        }

    def differences(self, live: Object | None) -> tuple[Difference, ...]:
        """A subnet that is missing can be added, unless another one has its addresses."""
        found = list(super().differences(live))
        wanted, prefix = self.settings.network.subnet, self.settings.network.subnet_prefix
        for index, each in enumerate(found):
            if each.path == f"properties.subnets[{wanted}]" and (there := _overlapping(prefix, live or {})):
                found[index] = Difference(self.title, "properties.subnets.name", wanted, there)
        return tuple(found)

    def in_words(self, live: Object) -> str:
        return f"subnet {self.subnet_id}"

    def put(self, body: Any, **options: Any) -> Any:
        client = self.azure.network()
        return client.virtual_networks.begin_create_or_update(self.group, self.name, body, **options)

    def remove(self, **options: Any) -> Any:
        return self.azure.network().virtual_networks.begin_delete(self.group, self.name, **options)

    @property
    def commands(self) -> tuple[str, ...]:
        network = self.settings.network
        return (
            f"az network vnet create {self.where} --name {self.name} "
            f"--address-prefixes {network.prefix} --subnet-name {network.subnet} "
            f"--subnet-prefixes {network.subnet_prefix} --tags {self.tag_typed}",
        )

    @property
    def remove_commands(self) -> tuple[str, ...]:
        return (f"az network vnet delete {self.where} --name {self.name}",)


def _overlapping(prefix: str, live: Object) -> str:
    """The name of the first subnet with addresses of that range."""
    own = ipaddress.ip_network(prefix)
    for subnet in (live.get("properties") or {}).get("subnets") or ():
        properties = subnet.get("properties") or {}
        ranges = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
        if any(own.overlaps(ipaddress.ip_network(each)) for each in ranges if each and ":" not in each):
            return str(subnet["name"])
    return ""

"""Virtual networks, with their subnets as part of the network's own body; no paths of their own."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterator
from typing import Any

from sandbox.arm.cloud import Cloud, Resource
from sandbox.arm.protocol import (
    CIDR_TEXT,
    TRACKED,
    ArmError,
    Body,
    Fields,
    Items,
    Text,
    Unused,
    read_only,
    unused,
)
from sandbox.arm.resource_api import Kind

_NAMES = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"
_NAMING = "up to 80 letters, digits, '_', '.' and '-', beginning with a letter or digit, ending with one or '_'"

_SUBNET = Fields(
    {
        **read_only("id", "type", "etag"),
        "name": Text(),
        "properties": Fields(
            {
                **read_only("provisioningState", "purpose", "ipConfigurations", "ipConfigurationProfiles"),
                **read_only("privateEndpoints", "resourceNavigationLinks", "serviceAssociationLinks"),
                "addressPrefix": CIDR_TEXT,
                "addressPrefixes": Items(CIDR_TEXT, most=1),
                **unused("networkSecurityGroup", "routeTable", "natGateway", "delegations", "serviceEndpoints"),
                **unused("serviceEndpointPolicies", "ipAllocations", "applicationGatewayIPConfigurations"),
                **unused("ipamPoolPrefixAllocations", "sharingScope", "serviceGateway", defaultOutboundAccess=True),
                # What the models of older clients send by themselves; there are no private endpoints.
                "privateEndpointNetworkPolicies": Unused("Disabled", "Enabled"),
                "privateLinkServiceNetworkPolicies": Unused("Enabled", "Disabled"),
            }
        ),
    }
)


class Networks(Kind):
    type = "Microsoft.Network/virtualNetworks"
    names, naming = _NAMES, _NAMING
    duration = "virtualNetworks"
    creating = updating = "Updating"
    fields = Fields(
        {
            **TRACKED,
            **read_only("etag"),
            **unused("extendedLocation"),
            "properties": Fields(
                {
                    **read_only("provisioningState", "resourceGuid", "flowLogs", "defaultPublicNatGateway"),
                    "addressSpace": Fields(
                        {"addressPrefixes": Items(CIDR_TEXT), **unused("ipamPoolPrefixAllocations")},
                        required=("addressPrefixes",),
                    ),
                    "dhcpOptions": Fields(unused("dnsServers")),
                    "encryption": Fields(unused(enabled=False, enforcement="AllowUnencrypted")),
                    **unused("ddosProtectionPlan", "virtualNetworkPeerings", "bgpCommunities", "ipAllocations"),
                    **unused(enableDdosProtection=False, enableVmProtection=False, flowTimeoutInMinutes=0),
                    **unused(privateEndpointVNetPolicies="Disabled"),
                    "subnets": Items(_SUBNET),
                },
                required=("addressSpace",),
            ),
        },
        required=("properties",),
    )

    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        properties = body["properties"]
        for number, prefix in enumerate(properties["addressSpace"]["addressPrefixes"]):
            _network(prefix, f"properties.addressSpace.addressPrefixes[{number}]")
        properties["subnets"] = [completed_subnet(id_, each) for each in properties.get("subnets", [])]
        check_subnets(properties)
        if old is not None:
            self._keep_used(old, properties["subnets"])
        properties["resourceGuid"] = old.properties["resourceGuid"] if old else str(uuid.uuid4())
        return body

    def _keep_used(self, old: Resource, subnets: list[Body]) -> None:
        prefixes = {each["id"].lower(): each["properties"]["addressPrefix"] for each in subnets}
        for subnet in old.properties["subnets"]:
            prefix = prefixes.get(subnet["id"].lower())
            if prefix != subnet["properties"]["addressPrefix"]:
                require_unused(self.cloud, subnet["id"])

    def provisioned(self, resource: Resource) -> None:
        for subnet in resource.properties["subnets"]:
            subnet["properties"]["provisioningState"] = "Succeeded"

    def check_deletion(self, resource: Resource) -> None:
        for subnet in resource.properties["subnets"]:
            require_unused(self.cloud, subnet["id"])


def completed_subnet(network: str, subnet: Body) -> Body:
    name = subnet.get("name", "")
    properties: Body = subnet.get("properties", {})
    prefixes = properties.pop("addressPrefixes", None)
    if not re.fullmatch(_NAMES, name):
        raise ArmError(400, "InvalidResourceName", f"Resource name {name} is invalid: {_NAMING}.", target=name)
    prefix = properties.get("addressPrefix") or (prefixes[0] if prefixes else None)
    if prefix is None:
        raise ArmError(
            400, "NetcfgInvalidSubnet", f"Subnet '{name}' is not valid: it has no address prefix.", target=name
        )
    _network(prefix, f"subnets.{name}.addressPrefix")
    added = {"addressPrefix": prefix, "provisioningState": "Updating"}
    return {
        "id": f"{network}/subnets/{name}",
        "name": name,
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "properties": {**properties, **added},
    }


def check_subnets(properties: Body) -> None:
    """Each in the address space, none over another."""
    space = [ipaddress.ip_network(each) for each in properties["addressSpace"]["addressPrefixes"]]
    seen: list[tuple[str, Any]] = []
    for subnet in properties["subnets"]:
        name, own = subnet["name"], ipaddress.ip_network(subnet["properties"]["addressPrefix"])
        if not any(own.subnet_of(each) for each in space):  # type: ignore[arg-type]
            message = (
                f"Subnet '{name}' is not valid because its IP address range is outside the IP address range "
                "of virtual network."
            )
            raise ArmError(400, "NetcfgInvalidSubnet", message, target=subnet["id"])
        for other, its in seen:
            if other.lower() == name.lower():
                raise ArmError(400, "DuplicateResourceName", f"Resource has two children named '{name}'.")
            if own.overlaps(its):
                message = (
                    f"Subnet '{name}' is not valid because its IP address range overlaps with that of an existing "
                    f"subnet in virtual network ('{other}')."
                )
                raise ArmError(400, "NetcfgSubnetRangesOverlap", message, target=subnet["id"])
        seen.append((name, own))


def require_unused(cloud: Cloud, subnet: str) -> None:
    for cluster, used in subnets_of_clusters(cloud):
        if used.lower() == subnet.lower():
            message = (
                f"Subnet {subnet.rpartition('/')[2]} is in use by {cluster.id} and cannot be deleted. In order to "
                "delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."
            )
            raise ArmError(400, "InUseSubnetCannotBeDeleted", message, target=subnet)


def subnets_of_clusters(cloud: Cloud) -> Iterator[tuple[Resource, str]]:
    for cluster in cloud.of_type("Microsoft.ContainerService/managedClusters"):
        for pool in cluster.properties.get("agentPoolProfiles", []):
            if "vnetSubnetID" in pool:
                yield cluster, pool["vnetSubnetID"]


def subnet_range(cloud: Cloud, id_: str) -> ipaddress.IPv4Network | None:
    """Of a subnet that is there."""
    network = cloud.resource(id_.rpartition("/subnets/")[0])
    for subnet in network.properties["subnets"] if network else ():
        if subnet["id"].lower() == id_.lower():
            return ipaddress.IPv4Network(subnet["properties"]["addressPrefix"])
    return None


def _network(text: str, path: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ArmError(
            400, "InvalidCIDRNotation", f"The address prefix {text} is not valid: {error}.", target=path
        ) from None

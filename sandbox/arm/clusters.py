"""Managed clusters: each is a Kubernetes of its own in the sandbox, there once `provisioningState` is Succeeded.

As on Azure a cluster brings a second resource group for its nodes, and in it the identity its kubelets have.
"""

from __future__ import annotations

import copy
import uuid

from sandbox.arm.cloud import Body, Cloud, Group, Resource
from sandbox.arm.cluster_fields import ADDONS, CLUSTER
from sandbox.arm.cluster_rules import (
    check_change,
    check_count,
    check_network,
    check_permission,
    check_pool,
    check_quota,
    newest,
)
from sandbox.arm.errors import ArmError, invalid
from sandbox.arm.identities import TYPE as IDENTITY
from sandbox.arm.identities import new_identity
from sandbox.arm.places import DEFAULT_KUBERNETES
from sandbox.arm.quotas import clusters_used
from sandbox.arm.resources import Kind
from sandbox.arm.stacks import Stack
from sandbox.core.node_pool import NodePool

_POOL = {
    "maxPods": 250,
    "mode": "System",
    "type": "VirtualMachineScaleSets",
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "osDiskSizeGB": 128,
    "osDiskType": "Managed",
    "kubeletDiskType": "OS",
    "enableAutoScaling": False,
    "scaleDownMode": "Delete",
    "upgradeSettings": {"maxSurge": "10%"},
}
_NETWORK = {
    "networkPlugin": "azure",
    "networkPolicy": "none",
    "networkDataplane": "azure",
    "serviceCidr": "10.0.0.0/16",
    "dnsServiceIP": "10.0.0.10",
    "loadBalancerSku": "standard",
    "outboundType": "loadBalancer",
    "ipFamilies": ["IPv4"],
}
_OVERLAY_PODS = "10.244.0.0/16"
_NODE_RESOURCE = "Microsoft.Compute/virtualMachineScaleSets"


class Clusters(Kind):
    type = "Microsoft.ContainerService/managedClusters"
    names = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
    naming = "1 to 63 letters, digits, '_' and '-', beginning and ending with a letter or digit"
    lasts = "managedClusters"
    busy_code = "OperationNotAllowed"
    etag_field = "eTag"
    fields = CLUSTER

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.stacks: dict[str, Stack] = {}
        """By the cluster's id in lower case."""

    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        properties, location = body["properties"], body["location"]
        there = copy.deepcopy(old.properties) if old else {}
        for name in properties.get("addonProfiles", {}):
            if name not in ADDONS:
                raise invalid(f"properties.addonProfiles.{name}", "not supported by the sandbox")
        pools = properties["agentPoolProfiles"]
        if len(pools) != 1:
            raise invalid("properties.agentPoolProfiles", "must have one pool")
        new = {
            **body,
            "kind": "Base",
            "sku": {"name": "Base", "tier": "Free", **(old.body["sku"] if old else {}), **body.get("sku", {})},
            "identity": self._identity(body, old),
            "properties": {
                "kubernetesVersion": DEFAULT_KUBERNETES,
                "enableRBAC": True,
                "disableLocalAccounts": False,
                "supportPlan": "KubernetesOfficial",
                "nodeResourceGroup": _node_group(id_, location),
                "autoUpgradeProfile": {"nodeOSUpgradeChannel": "NodeImage"},
                **there,
                **properties,
                "servicePrincipalProfile": {"clientId": "msi"},
                "networkProfile": _network_profile(properties.get("networkProfile", {}), there),
            },
        }
        made = new["properties"]
        version = newest(made["kubernetesVersion"], location)
        before = there["agentPoolProfiles"][0] if there else {}
        pool = {**_POOL, "orchestratorVersion": made["kubernetesVersion"], **before, **pools[0]}
        made["agentPoolProfiles"] = [pool]
        newest(pool["orchestratorVersion"], location)
        check_pool(pool)
        if old is not None:
            check_change(old, new)
        else:
            check_count(self.cloud, location, clusters_used(self.cloud, location))
            check_network(self.cloud, made["networkProfile"], pool)
            self._check_node_group(made["nodeResourceGroup"])
        check_quota(self.cloud, location, pool, before.get("count", 0))
        self._check_permission(new["identity"], pool)
        pool.update(
            currentOrchestratorVersion=version,
            powerState={"code": "Running"},
            provisioningState="Updating" if old else "Creating",
            nodeImageVersion="AKSUbuntu-sandbox",
        )
        made.update(
            currentKubernetesVersion=version,
            powerState={"code": "Running"},
            maxAgentPools=1,
            identityProfile=there.get("identityProfile", {}),
            resourceUID=there.get("resourceUID") or uuid.uuid4().hex[:24],
        )
        return new

    def _identity(self, body: Body, old: Resource | None) -> Body:
        if "identity" not in body:
            if old is not None:
                return dict(old.body["identity"])
            raise ArmError(
                400,
                "ServicePrincipalValidationClientError",
                "A cluster needs an identity: the sandbox has no service principals with passwords.",
                target="identity",
            )
        identity = body["identity"]
        wanted = identity.get("userAssignedIdentities", {})
        if identity["type"] == "SystemAssigned":
            if wanted:
                raise invalid("identity.userAssignedIdentities", "only for type UserAssigned")
            if old is not None and old.body["identity"]["type"] == "SystemAssigned":
                return dict(old.body["identity"])
            own = new_identity(self.cloud.tenant)
            return {"type": "SystemAssigned", "principalId": own["principalId"], "tenantId": own["tenantId"]}
        if len(wanted) != 1:
            raise invalid("identity.userAssignedIdentities", "must name one identity")
        (id_,) = wanted
        found = self.cloud.find(id_)
        if found is None or found.type != IDENTITY:
            raise ArmError(
                400, "InvalidUserAssignedIdentity", f"The identity {id_} does not exist.", target="identity"
            )
        shown = {name: found.properties[name] for name in ("clientId", "principalId")}
        return {"type": "UserAssigned", "userAssignedIdentities": {found.id: shown}}

    def _check_permission(self, identity: Body, pool: Body) -> None:
        if "vnetSubnetID" in pool:
            for own in identity.get("userAssignedIdentities", {}).values():
                check_permission(self.cloud, own["principalId"], pool["vnetSubnetID"])

    def _check_node_group(self, name: str) -> None:
        if name.lower() in self.cloud.groups:
            raise ArmError(
                409,
                "NodeResourceGroupAlreadyExists",
                f"The node resource group {name} already exists: it must be the cluster's own.",
                target="properties.nodeResourceGroup",
            )

    async def provision(self, resource: Resource, old: Body | None) -> None:
        properties = resource.properties
        (pool,) = properties["agentPoolProfiles"]
        stack = self.stacks.get(resource.id.lower())
        if stack is None:
            self._make_node_group(resource)
            stack = await self.cloud.stacks.start(resource.name, _node_pool(pool))
            self.stacks[resource.id.lower()] = stack
        elif old is not None and old["properties"]["agentPoolProfiles"][0]["count"] != pool["count"]:
            stack.scale(_node_pool(pool))
        properties["fqdn"] = properties["azurePortalFQDN"] = stack.host
        pool["provisioningState"] = "Succeeded"

    def _make_node_group(self, resource: Resource) -> None:
        cloud, location = self.cloud, resource.body["location"]
        name = resource.properties["nodeResourceGroup"]
        tags = dict(resource.body.get("tags", {}))
        cloud.groups.setdefault(name.lower(), Group(name, location, tags, managed_by=resource.id))
        (pool,) = resource.properties["agentPoolProfiles"]
        of_group = f"{cloud.group_id(name)}/providers"
        kubelets = f"{of_group}/{IDENTITY}/{resource.name}-agentpool"
        nodes = f"{of_group}/{_NODE_RESOURCE}/aks-{pool['name']}-1234567-vmss"
        own = new_identity(cloud.tenant)
        for id_, type_, properties in ((kubelets, IDENTITY, own), (nodes, _NODE_RESOURCE, {})):
            body = {"location": location, "tags": tags, "properties": properties}
            cloud.resources.setdefault(id_.lower(), Resource(id_, type_, name.lower(), body))
        own = cloud.resources[kubelets.lower()].properties
        cloud.add_principal(own["principalId"])
        resource.properties["identityProfile"] = {
            "kubeletidentity": {
                "resourceId": kubelets,
                "clientId": own["clientId"],
                "objectId": own["principalId"],
            }
        }

    async def destroy(self, resource: Resource) -> None:
        stack = self.stacks.pop(resource.id.lower(), None)
        if stack is not None:
            await stack.stop()
        group = self.cloud.groups.get(resource.properties["nodeResourceGroup"].lower())
        if group is not None and group.managed_by == resource.id:
            for each in self.cloud.members(group):
                self.cloud.remove_principal(each.properties.get("principalId", ""))
                self.cloud.forget(each)
            del self.cloud.groups[group.name.lower()]


def _node_pool(pool: Body) -> NodePool:
    return NodePool(pool["name"], pool["count"], pool["vmSize"], pool["maxPods"])


def _node_group(id_: str, location: str) -> str:
    parts = id_.split("/")
    return f"MC_{parts[4]}_{parts[-1]}_{location}"[:80]


def _network_profile(given: Body, there: Body) -> Body:
    before = there.get("networkProfile", {})
    for name in ("podCidr", "serviceCidr"):
        several = given.pop(f"{name}s", [])
        if several and given.setdefault(name, several[0]) != several[0]:
            raise invalid(f"properties.networkProfile.{name}s", f"is not {name}")
    profile = {**_NETWORK, **before, **given}
    if profile.get("networkPluginMode") == "overlay" or profile["networkPlugin"] == "kubenet":
        profile.setdefault("podCidr", _OVERLAY_PODS)
    elif "podCidr" in given:
        raise invalid("properties.networkProfile.podCidr", "only with overlay or kubenet")
    if profile["networkDataplane"] == "cilium" and "networkPolicy" not in {**before, **given}:
        profile["networkPolicy"] = "cilium"
    profile["serviceCidrs"] = [profile["serviceCidr"]]
    if "podCidr" in profile:
        profile["podCidrs"] = [profile["podCidr"]]
    return profile

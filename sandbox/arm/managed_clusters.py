"""Managed clusters: each is a Kubernetes of its own in the sandbox, there once `provisioningState` is Succeeded.

As on Azure a cluster brings a second resource group for its nodes, and in it the identity its kubelets have. Its
body may hold the properties the sandbox acts on, and those it keeps because they change nothing in it (a disk's
size has no meaning where there are no disks). All others are refused.
"""

from __future__ import annotations

import base64
import copy
import uuid
from collections.abc import Mapping

from sandbox.arm.catalog import DEFAULT_KUBERNETES, KUBERNETES
from sandbox.arm.cloud import Cloud, Group, Resource, Stack
from sandbox.arm.cluster_rules import (
    check_change,
    check_count,
    check_network,
    check_permission,
    check_pool,
    check_quota,
    newest,
)
from sandbox.arm.managed_identities import IDENTITY, new_identity
from sandbox.arm.protocol import (
    CIDR_TEXT,
    NOT_SUPPORTED,
    READ_ONLY,
    TAGS,
    TRACKED,
    Answer,
    ArmError,
    Body,
    Call,
    Field,
    Fields,
    Flag,
    Items,
    Names,
    Number,
    Router,
    Text,
    Unused,
    invalid,
    off,
    read_only,
    unused,
)
from sandbox.arm.resource_api import Kind, ResourceApi
from sandbox.arm.subscriptions import clusters_used
from sandbox.core.node_pool import NodePool

POOL_NAME = Text(
    pattern=r"^[a-z][a-z0-9]{0,11}$", meaning="1 to 12 lower-case letters and digits, beginning with a letter"
)

AGENT_POOL = Fields(
    {
        **read_only("provisioningState", "powerState", "currentOrchestratorVersion", "nodeImageVersion"),
        "name": POOL_NAME,
        "count": Number(0, 1_000_000),
        "vmSize": Text(),
        "maxPods": Number(10, 250),
        "mode": Text("System"),
        "type": Text("VirtualMachineScaleSets"),
        "osType": Text("Linux"),
        "vnetSubnetID": Text(),
        "orchestratorVersion": Text(),
        # There are no disks: their sizes mean nothing. Nodes have labels of their own only.
        "osDiskSizeGB": Number(0, 2048),
        "osDiskType": Text("Managed", "Ephemeral"),
        "tags": TAGS,
        **read_only("eTag", "status", "virtualMachineNodesStatus"),
        **unused("availabilityZones", "minCount", "maxCount", "nodeLabels", "nodeTaints", "podSubnetID"),
        **unused("proximityPlacementGroupID", "nodePublicIPPrefixID", "hostGroupID", "capacityReservationGroupID"),
        **unused("kubeletConfig", "linuxOSConfig", "gpuInstanceProfile", "gpuProfile", "creationData"),
        **unused(
            "messageOfTheDay", "gatewayProfile", "localDNSProfile", "virtualMachinesProfile", "windowsProfile"
        ),
        **unused(enableAutoScaling=False, enableNodePublicIP=False, enableEncryptionAtHost=False),
        **unused(enableFIPS=False, enableUltraSSD=False, scaleDownMode="Delete", scaleSetPriority="Regular"),
        **unused(scaleSetEvictionPolicy="Delete", spotMaxPrice=-1, workloadRuntime="OCIContainer", osSKU="Ubuntu"),
        **unused(kubeletDiskType="OS", podIPAllocationMode="DynamicIndividual"),
        "artifactStreamingProfile": off(),
        "networkProfile": Fields(unused("allowedHostPorts", "applicationSecurityGroups", "nodePublicIPTags")),
        "securityProfile": Fields(unused(enableVTPM=False, enableSecureBoot=False, sshAccess="LocalUser")),
        "upgradeSettings": Fields(
            unused(
                maxSurge="10%",
                maxUnavailable="0",
                drainTimeoutInMinutes=30,
                nodeSoakDurationInMinutes=0,
                undrainableNodeBehavior="Schedule",
            )
        ),
    },
    required=("name", "vmSize"),
)

NETWORK_PROFILE = Fields(
    {
        "networkPlugin": Text("azure", "kubenet", "none"),
        "networkPluginMode": Text("overlay"),
        "networkPolicy": Text("none", "azure", "calico", "cilium"),
        "networkDataplane": Text("azure", "cilium"),
        "podCidr": CIDR_TEXT,
        "podCidrs": Items(CIDR_TEXT, most=1),
        "serviceCidr": CIDR_TEXT,
        "serviceCidrs": Items(CIDR_TEXT, most=1),
        "dnsServiceIP": Text(pattern=r"^\d+\.\d+\.\d+\.\d+$", meaning="an IPv4 address"),
        "loadBalancerSku": Text("standard"),
        "outboundType": Text("loadBalancer"),
        "ipFamilies": Unused(["IPv4"]),
        # Older clients send the first of these by themselves.
        **unused(dockerBridgeCidr="172.17.0.1/16", podLinkLocalAccess="IMDS"),
        **unused("networkMode", "natGatewayProfile", "kubeProxyConfig"),
        "advancedNetworking": off("observability", "security"),
        "staticEgressGatewayProfile": off(),
        "loadBalancerProfile": Fields(
            {
                **read_only("effectiveOutboundIPs"),
                "managedOutboundIPs": Fields(unused(count=1, countIPv6=0)),
                **unused("outboundIPs", "outboundIPPrefixes", allocatedOutboundPorts=0, idleTimeoutInMinutes=30),
                **unused(enableMultipleStandardLoadBalancers=False, backendPoolType="nodeIPConfiguration"),
            }
        ),
    }
)

_PROFILES: Mapping[str, Field] = {
    "aiToolchainOperatorProfile": off(),
    "apiServerAccessProfile": Fields(
        {
            **unused("authorizedIPRanges", "privateDNSZone", "subnetId", enablePrivateCluster=False),
            **unused(enablePrivateClusterPublicFQDN=False, disableRunCommand=False, enableVnetIntegration=False),
        }
    ),
    "autoUpgradeProfile": Fields(unused(upgradeChannel="none", nodeOSUpgradeChannel="NodeImage")),
    "azureMonitorProfile": Fields({"metrics": off("kubeStateMetrics")}),
    "bootstrapProfile": Fields(unused("containerRegistryId", artifactSource="Direct")),
    "hostedSystemProfile": off(),
    "ingressProfile": Fields({"webAppRouting": off("dnsZoneResourceIds", "nginx"), **unused("gatewayAPI")}),
    # Nobody can log in to a node: whose key it is means nothing.
    "linuxProfile": Fields(
        {"adminUsername": Text(), "ssh": Fields({"publicKeys": Items(Fields({"keyData": Text()}))})}
    ),
    "metricsProfile": Fields({"costAnalysis": off()}),
    "nodeProvisioningProfile": Fields(unused(mode="Manual", defaultNodePools="Auto")),
    "nodeResourceGroupProfile": Fields(unused(restrictionLevel="Unrestricted")),
    "oidcIssuerProfile": Fields({**unused(enabled=False), **read_only("issuerURL")}),
    "podIdentityProfile": off("allowNetworkPluginKubenet", "userAssignedIdentities"),
    "securityProfile": Fields(
        {
            "defender": Fields({"securityMonitoring": off(), **unused("logAnalyticsWorkspaceResourceId")}),
            "azureKeyVaultKms": off("keyId", "keyVaultNetworkAccess"),
            "workloadIdentity": off(),
            "imageCleaner": Fields(unused(enabled=False, intervalHours=168)),
            **unused("customCATrustCertificates"),
        }
    ),
    "serviceMeshProfile": Fields(unused("istio", mode="Disabled")),
    "storageProfile": Fields(
        {
            "diskCSIDriver": Fields(unused(enabled=True, version="v1")),
            "fileCSIDriver": Fields(unused(enabled=True)),
            "snapshotController": Fields(unused(enabled=True)),
            "blobCSIDriver": off(),
        }
    ),
    "workloadAutoScalerProfile": Fields({"keda": off(), "verticalPodAutoscaler": off("addonAutoscaling")}),
    **unused("aadProfile", "autoScalerProfile", "diskEncryptionSetID", "fqdnSubdomain", "httpProxyConfig"),
    **unused("privateLinkResources", "schedulerProfile", "upgradeSettings", "windowsProfile"),
    **unused(enablePodSecurityPolicy=False, enableNamespaceResources=False, publicNetworkAccess="Enabled"),
    **unused(supportPlan="KubernetesOfficial"),
    **read_only("privateFQDN", "status"),
}
"""What AKS has and the sandbox has not, as it is when nobody asks for it."""

CLUSTER = Fields(
    {
        **TRACKED,
        **read_only("eTag"),
        **unused("extendedLocation"),
        "kind": Text("Base"),
        "sku": Fields({"name": Text("Base"), "tier": Text("Free", "Standard")}),
        "identity": Fields(
            {
                **read_only("principalId", "tenantId"),
                "type": Text("SystemAssigned", "UserAssigned"),
                "userAssignedIdentities": Names(Fields(read_only("principalId", "clientId")), most=1),
                **unused("delegatedResources"),
            },
            required=("type",),
        ),
        "properties": Fields(
            {
                **read_only("provisioningState", "powerState", "fqdn", "azurePortalFQDN"),
                **read_only("currentKubernetesVersion", "maxAgentPools", "identityProfile", "resourceUID"),
                "kubernetesVersion": Text(pattern=r"^\d+\.\d+(\.\d+)?$", meaning="a version (1.36 or 1.36.1)"),
                "dnsPrefix": Text(
                    pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?$",
                    meaning="1 to 54 letters, digits and '-', beginning and ending with a letter or digit",
                ),
                "enableRBAC": Flag(only=True),
                "disableLocalAccounts": Flag(only=False),
                "nodeResourceGroup": Text(pattern=r"^[-\w.()]{1,80}$", meaning="a resource group's name"),
                "servicePrincipalProfile": Fields({"clientId": Text("msi")}),
                "agentPoolProfiles": Items(AGENT_POOL, most=1),
                "networkProfile": NETWORK_PROFILE,
                **_PROFILES,
                "addonProfiles": Names(
                    Fields(
                        {"enabled": Flag(), "config": Names(Text()), "identity": READ_ONLY}, required=("enabled",)
                    )
                ),
            },
            required=("dnsPrefix", "agentPoolProfiles"),
        ),
    },
    required=("properties",),
)
ADDONS = ("omsagent", "azurepolicy")
"""Add-ons that would change nothing a lab sees; others are refused."""


_POOL = {"count": 1, "maxPods": 250, "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux"}
_NETWORK = {
    "networkPlugin": "azure",
    "networkPolicy": "none",
    "networkDataplane": "azure",
    "serviceCidr": "10.0.0.0/16",
    "dnsServiceIP": "10.0.0.10",
    "loadBalancerSku": "standard",
    "outboundType": "loadBalancer",
}
_OVERLAY_PODS = "10.244.0.0/16"
_NODE_RESOURCE = "Microsoft.Compute/virtualMachineScaleSets"


class Clusters(Kind):
    type = "Microsoft.ContainerService/managedClusters"
    names = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
    naming = "1 to 63 letters, digits, '_' and '-', beginning and ending with a letter or digit"
    duration = "managedClusters"
    busy_code = "OperationNotAllowed"
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
                raise invalid(f"properties.addonProfiles.{name}", NOT_SUPPORTED)
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
                "nodeResourceGroup": _node_group(id_, location),
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
            message = "A cluster needs an identity: the sandbox has no service principals with passwords."
            raise ArmError(400, "ServicePrincipalValidationClientError", message, target="identity")
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
        found = self.cloud.resource(id_)
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
            message = f"The node resource group {name} already exists: it must be the cluster's own."
            raise ArmError(409, "NodeResourceGroupAlreadyExists", message, target="properties.nodeResourceGroup")

    async def provision(self, resource: Resource, old: Body | None) -> None:
        properties = resource.properties
        (pool,) = properties["agentPoolProfiles"]
        stack = self.stacks.get(resource.id.lower())
        if stack is None:
            self._make_node_group(resource)
            stack = await self.cloud.stacks.start(resource.name, node_pool(pool))
            self.stacks[resource.id.lower()] = stack
        elif old is not None and old["properties"]["agentPoolProfiles"][0]["count"] != pool["count"]:
            stack.scale(node_pool(pool))
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
            "kubeletidentity": {"resourceId": kubelets, "clientId": own["clientId"], "objectId": own["principalId"]}
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


def node_pool(pool: Body) -> NodePool:
    return NodePool(pool["name"], pool["count"], pool["vmSize"], pool["maxPods"])


def _node_group(id_: str, location: str) -> str:
    parts = id_.split("/")
    return f"MC_{parts[4]}_{parts[-1]}_{location}"[:80]


def _network_profile(given: Body, there: Body) -> Body:
    before = there.get("networkProfile", {})
    said: dict[str, str] = {}
    for name in ("podCidr", "serviceCidr"):
        several = given.pop(f"{name}s", [])
        if several and name in given and given[name] != several[0]:
            raise invalid(f"properties.networkProfile.{name}s", f"is not {name}")
        if several and name not in given:
            given[name], said[name] = several[0], f"{name}s"
    profile = {**_NETWORK, **before, **given}
    if profile.get("networkPluginMode") == "overlay" or profile["networkPlugin"] == "kubenet":
        profile.setdefault("podCidr", _OVERLAY_PODS)
    elif "podCidr" in given:
        raise invalid(f"properties.networkProfile.{said.get('podCidr', 'podCidr')}", "only with overlay or kubenet")
    if profile["networkDataplane"] == "cilium" and "networkPolicy" not in {**before, **given}:
        profile["networkPolicy"] = "cilium"
    profile["serviceCidrs"] = [profile["serviceCidr"]]
    if "podCidr" in profile:
        profile["podCidrs"] = [profile["podCidr"]]
    return profile


class ClusterApi(ResourceApi):
    """A cluster's own requests, beside those that every kind has."""

    def __init__(self, kind: Clusters, cloud: Cloud) -> None:
        super().__init__(kind, cloud)
        self._clusters = kind

    def routes(self, router: Router) -> None:
        super().routes(router)
        one = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + self._kind.type + "/{name}"
        router.add("POST", one + "/listClusterUserCredential", self.user_credentials)
        locations = "/subscriptions/{subscription}/providers/" + self._kind.namespace + "/locations/{location}"
        router.add("GET", locations + "/kubernetesVersions", self.versions)

    async def user_credentials(self, call: Call) -> Answer:
        cluster = self.require(call)
        stack = self._clusters.stacks.get(cluster.id.lower())
        if stack is None or cluster.properties["provisioningState"] == "Creating":
            message = f"The cluster '{cluster.name}' is {cluster.properties['provisioningState']}: no credentials."
            raise ArmError(409, "OperationNotAllowed", message, target=cluster.name)
        if call.query.get("format", "azure") not in ("azure", "exec"):
            raise invalid("format", NOT_SUPPORTED)
        content = stack.kubeconfig(cluster.name, f"clusterUser_{cluster.group}_{cluster.name}")
        value = base64.b64encode(content).decode()
        return Answer(200, {"kubeconfigs": [{"name": "clusterUser", "value": value}]})

    async def versions(self, call: Call) -> Answer:
        self._cloud.require_provider(self._kind.namespace)
        self._cloud.require_location(call.names["location"], self._kind.type, call.names["location"])
        values = [
            {
                "version": minor,
                "isDefault": minor == DEFAULT_KUBERNETES,
                "isPreview": False,
                "capabilities": {"supportPlan": ["KubernetesOfficial"]},
                "patchVersions": {patch: {"upgrades": []} for patch in patches},
            }
            for minor, patches in KUBERNETES.items()
        ]
        return Answer(200, {"values": values})

"""A managed cluster on a network and an identity of ours, with pods in an overlay and Cilium underneath.

What cannot be changed after it was made is refused; the rest (node count, version, tags, monitoring) is one PUT of
what is there with the difference in it. A node count that somebody's autoscaler moves is theirs: the pool made here
has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workshop.azure.connection import Object
from workshop.azure.identity import Identity
from workshop.azure.network import Network
from workshop.azure.resource import Resource
from workshop.runbook.results import ABSENT, Difference


@dataclass(frozen=True)
class Cluster(Resource):
    kind = "AKS cluster"
    namespace = "Microsoft.ContainerService"
    api_version = "2026-08-01"
    usual = 300.0
    limit = 3600.0
    costs = True
    immutable = (
        "location",
        "properties.dnsPrefix",
        "properties.enableRBAC",
        "properties.networkProfile",
        "properties.agentPoolProfiles.name",
        "properties.agentPoolProfiles.vmSize",
        "properties.agentPoolProfiles.maxPods",
        "properties.agentPoolProfiles.vnetSubnetID",
        "properties.agentPoolProfiles.osType",
        "properties.agentPoolProfiles.type",
    )

    @property
    def name(self) -> str:
        return (self.settings.primary if self.place == "primary" else self.settings.secondary).cluster

    @property
    def id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.ContainerService/managedClusters/{self.name}"

    def wanted(self) -> Object:
        identity, network = Identity(self.azure, self.place), Network(self.azure, self.place)
        nodes = self.settings.nodes
        properties: Object = {
            "kubernetesVersion": self.settings.kubernetes,
            "dnsPrefix": self.name,
            "enableRBAC": True,
            "agentPoolProfiles": [
                {
                    "name": nodes.pool,
                    "mode": "System",
                    "type": "VirtualMachineScaleSets",
                    "osType": "Linux",
                    "vmSize": nodes.size,
                    "count": nodes.count,
                    "maxPods": nodes.max_pods,
                    "orchestratorVersion": self.settings.kubernetes,
                    "vnetSubnetID": network.subnet_id,
                }
            ],
            "networkProfile": self._network_profile(),
        }
        monitoring: Object = {"enabled": self.settings.monitoring}
        if self.settings.monitoring:
            monitoring["config"] = {"logAnalyticsWorkspaceResourceID": self.settings.workspace}
        properties["addonProfiles"] = {"omsagent": monitoring}
        return {
            "location": self.settings.location,
            "tags": self.tags,
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity.id: {}}},
            "properties": properties,
        }

    def _network_profile(self) -> Object:
        pods, service = self.settings.pods, self.settings.service
        profile: Object = {
            "networkPlugin": pods.plugin,
            "networkDataplane": pods.dataplane,
            "networkPolicy": pods.policy,
            "serviceCidr": service.prefix,
            "dnsServiceIP": service.dns_ip,
            "loadBalancerSku": "standard",
        }
        if pods.mode == "overlay":
            profile |= {"networkPluginMode": "overlay", "podCidr": pods.prefix}
        return profile

    def differences(self, live: Object | None) -> tuple[Difference, ...]:
        """With two that no property tells: a pool of another name would come beside the one there is, and pods
        outside of an overlay have no mode."""
        found = list(super().differences(live))
        properties = (live or {}).get("properties") or {}
        pools, name = [pool["name"] for pool in properties.get("agentPoolProfiles") or ()], self.settings.nodes.pool
        for index, each in enumerate(found):
            if each.path == f"properties.agentPoolProfiles[{name}]" and pools:
                found[index] = Difference(self.title, "properties.agentPoolProfiles.name", name, ", ".join(pools))
        mode = (properties.get("networkProfile") or {}).get("networkPluginMode")
        if mode and mode != self.settings.pods.mode == "node-subnet":
            path = "properties.networkProfile.networkPluginMode"
            found.append(Difference(self.title, path, self.settings.pods.mode, mode))
        return tuple(found)

    def is_immutable(self, difference: Difference) -> bool:
        """Versions only go up, too."""
        if difference.path.endswith("Version") and difference.found is not ABSENT:
            return _numbers(difference.wanted) < _numbers(difference.found)
        return super().is_immutable(difference)

    def in_words(self, live: Object) -> str:
        properties = live.get("properties") or {}
        pools = properties.get("agentPoolProfiles") or ()
        nodes = ", ".join(f"{pool.get('count')} x {pool.get('vmSize')}" for pool in pools)
        version = properties.get("currentKubernetesVersion") or properties.get("kubernetesVersion")
        return f"{properties.get('provisioningState')}: Kubernetes {version}, {nodes}"

    def put(self, body: Any, **options: Any) -> Any:
        clusters = self.azure.clusters().managed_clusters
        return clusters.begin_create_or_update(self.group, self.name, body, **options)

    def remove(self, **options: Any) -> Any:
        return self.azure.clusters().managed_clusters.begin_delete(self.group, self.name, **options)

    def kubeconfig(self) -> bytes:
        """The user's, with a secret in it. To be called in a thread."""
        found = self.azure.clusters().managed_clusters.list_cluster_user_credentials(self.group, self.name)
        content: bytes = found.kubeconfigs[0].value  # type: ignore[index, assignment]
        return bytes(content)

    @property
    def commands(self) -> tuple[str, ...]:
        nodes, pods, service = self.settings.nodes, self.settings.pods, self.settings.service
        overlay = f" --network-plugin-mode overlay --pod-cidr {pods.prefix}" if pods.mode == "overlay" else ""
        monitoring = (
            f" --enable-addons monitoring --workspace-resource-id {self.settings.workspace}"
            if self.settings.monitoring
            else ""
        )
        return (
            f"az aks create {self.where} --name {self.name} "
            f"--kubernetes-version {self.settings.kubernetes} --node-vm-size {nodes.size} "
            f"--node-count {nodes.count} --max-pods {nodes.max_pods} --nodepool-name {nodes.pool} "
            f"--assign-identity {Identity(self.azure, self.place).id} "
            f"--vnet-subnet-id {Network(self.azure, self.place).subnet_id} "
            f"--network-plugin {pods.plugin}{overlay} --network-dataplane {pods.dataplane} "
            f"--network-policy {pods.policy} --service-cidr {service.prefix} --dns-service-ip {service.dns_ip}"
            f"{monitoring} --tags {self.tag_typed} --generate-ssh-keys",
        )

    @property
    def remove_commands(self) -> tuple[str, ...]:
        return (f"az aks delete {self.where} --name {self.name}",)


def _numbers(version: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in str(version).split(".") if part.isdecimal())


def kubelet_of(cluster: Object | None) -> str:
    """The object id of the identity that pulls images; empty until the cluster has one."""
    profile = ((cluster or {}).get("properties") or {}).get("identityProfile") or {}
    return str((profile.get("kubeletidentity") or {}).get("objectId") or "")

"""What AKS checks before it begins: versions, sizes and quotas, address ranges, what cannot be changed."""

from __future__ import annotations

import ipaddress

from sandbox.arm.catalog import KUBERNETES, NETWORK_WRITERS, ROLES, SIZES
from sandbox.arm.cloud import Cloud, Resource
from sandbox.arm.networks import subnet_range
from sandbox.arm.protocol import NOT_SUPPORTED, ArmError, Body, invalid
from sandbox.arm.resource_api import immutable
from sandbox.arm.subscriptions import cores_used
from sandbox.core.addresses import NODES

LARGEST_POOL = 1000
"""Nodes in a pool, as AKS has it."""

_MORE = (
    "If you want to increase the quota, please follow this instruction: "
    "https://learn.microsoft.com/en-us/azure/quotas/view-quotas."
)
_FIXED = ("dnsPrefix", "enableRBAC", "nodeResourceGroup")
_FIXED_IN_NETWORK = ("networkPlugin", "podCidr", "serviceCidr", "dnsServiceIP", "outboundType", "loadBalancerSku")
_FIXED_IN_POOL = ("vmSize", "maxPods", "vnetSubnetID", "osType", "type")


def check_change(old: Resource, new: Body) -> None:
    """Raises ArmError when something would change that stays as it was made."""
    before, after = old.properties, new["properties"]
    for name in _FIXED:
        immutable(f"properties.{name}", before.get(name), after.get(name))
    for name in _FIXED_IN_NETWORK:
        there, wanted = before["networkProfile"].get(name), after["networkProfile"].get(name)
        immutable(f"properties.networkProfile.{name}", there, wanted)
    immutable("identity.type", old.body["identity"]["type"], new["identity"]["type"])
    (there_pool,), (wanted_pool,) = before["agentPoolProfiles"], after["agentPoolProfiles"]
    if there_pool["name"] != wanted_pool["name"]:
        raise invalid(
            "properties.agentPoolProfiles",
            f"pool '{there_pool['name']}' cannot be replaced: {NOT_SUPPORTED}",
        )
    for name in _FIXED_IN_POOL:
        immutable(f"properties.agentPoolProfiles.{name}", there_pool.get(name), wanted_pool.get(name))


def newest(version: str, location: str) -> str:
    """The version that will run: the newest patch of a minor version, or exactly the one asked for."""
    patches = KUBERNETES.get(".".join(version.split(".")[:2]), ())
    if version in patches or (patches and version.count(".") == 1):
        return version if version in patches else patches[-1]
    message = (
        f"Managed cluster is on version {version} which is not supported in this region {location}. Please use "
        f"[az aks get-versions] command to get the supported version list in this region "
        f"({', '.join(KUBERNETES)})."
    )
    raise ArmError(400, "K8sVersionNotSupported", message, target="properties.kubernetesVersion")


def check_pool(pool: Body) -> None:
    """A system pool's own limits; how large it gets in a location is a matter of quotas."""
    count = pool["count"]
    if not 1 <= count <= LARGEST_POOL:
        message = (
            f"agentPoolProfile.count was {count}. It must be greater or equal to minCount:1 and less than or equal "
            f"to maxCount:{LARGEST_POOL}"
        )
        raise ArmError(400, "InvalidParameter", message, target="agentPoolProfile.count")


def check_quota(cloud: Cloud, location: str, pool: Body, before: int) -> None:
    """`before` is how many nodes there are already."""
    size = SIZES.get(pool["vmSize"])
    if size is None:
        message = (
            f"The VM size of {pool['vmSize']} is not allowed in your subscription in location '{location}'. "
            f"The available VM sizes are '{', '.join(SIZES)}'."
        )
        raise ArmError(400, "BadRequest", message, target="properties.agentPoolProfiles.vmSize")
    requested = size.cores * (pool["count"] - before)
    used = cores_used(cloud, location)
    family = cloud.settings.quotas["family"] - used.get(size.family, 0)
    region = cloud.settings.quotas["cores"] - sum(used.values())
    if requested > 0 and requested > region:
        said = f"left regional vcpu quota {region}, requested quota {requested}"
        message = f"Insufficient regional vcpu quota left for location {location}. {said}. {_MORE}"
        raise ArmError(400, "ErrCode_InsufficientVCPUQuota", message)
    if requested > 0 and requested > family:
        said = f"requested {requested}, remaining {family} for family {size.family} for region {location}"
        raise ArmError(400, "ErrCode_InsufficientVCPUQuota", f"Insufficient vcpu quota {said}. {_MORE}")
    if pool["count"] > NODES:
        said = f"{NOT_SUPPORTED}: a cluster has addresses for {NODES} nodes"
        raise invalid("properties.agentPoolProfiles.count", said)


def check_count(cloud: Cloud, location: str, there: int) -> None:
    limit = cloud.settings.quotas["managedClusters"]
    if there >= limit:
        message = (
            "Operation results in exceeding quota limits for managed clusters. "
            f"Maximum allowed: {limit}, Current usage: {there}, Additional requested: 1. "
            "Consider deleting unused clusters or requesting a quota increase."
        )
        raise ArmError(400, "ManagedClusterCountExceedsQuotaLimit", message)


def check_network(cloud: Cloud, profile: Body, pool: Body) -> None:
    service = _range(profile, "serviceCidr")
    pods = _range(profile, "podCidr") if "podCidr" in profile else None
    dns = ipaddress.IPv4Address(profile["dnsServiceIP"])
    if dns not in service or dns in (service.network_address, service[1], service.broadcast_address):
        message = f"The DNS service IP {dns} must be inside the service CIDR {service}, and not its first address."
        raise ArmError(400, "DnsServiceIpOutOfServiceCidr", message, target="networkProfile.dnsServiceIP")
    if profile.get("networkDataplane") == "cilium" and profile.get("networkPolicy", "cilium") != "cilium":
        raise invalid("properties.networkProfile.networkPolicy", "dataplane cilium needs policy cilium")
    if profile.get("networkPluginMode") == "overlay" and profile["networkPlugin"] != "azure":
        raise invalid("properties.networkProfile.networkPluginMode", "overlay needs plugin azure")
    ranges = [("service CIDR", service)] + ([("pod CIDR", pods)] if pods else [])
    if pods and pods.overlaps(service):
        message = f"The specified service CIDR {service} is conflicted with the pod CIDR {pods}."
        raise ArmError(400, "ServiceCidrOverlapPodCidr", message, target="networkProfile.serviceCIDR")
    if "vnetSubnetID" not in pool:
        return
    subnet = subnet_range(cloud, pool["vnetSubnetID"])
    if subnet is None:
        message = f"The subnet {pool['vnetSubnetID']} of agent pool {pool['name']} was not found."
        raise ArmError(400, "SubnetNotFound", message, target="agentPoolProfile.vnetSubnetID")
    for name, own in ranges:
        if own.overlaps(subnet):
            raise ArmError(
                400,
                f"{name.split(maxsplit=1)[0].title()}CidrOverlapExistingSubnetsCidr",
                f"The specified {name} {own} is conflicted with an existing subnet CIDR {subnet}.",
                target=f"networkProfile.{name.split(maxsplit=1)[0]}CIDR",
            )


def check_permission(cloud: Cloud, principal: str, subnet: str) -> None:
    """The cluster's own identity must be able to join the subnet and its load balancers must."""
    for assignment in cloud.assignments.values():
        properties = assignment["properties"]
        role = ROLES[properties["roleDefinitionId"].rpartition("/")[2].lower()]
        scope = properties["scope"].lower()
        on_it = subnet.lower() == scope or subnet.lower().startswith(scope.rstrip("/") + "/")
        if on_it and role in NETWORK_WRITERS and properties["principalId"] == principal:
            return
    raise ArmError(
        400,
        "ResourceMissingPermissionError",
        f"The cluster using user-assigned managed identity must be granted 'Network Contributor' role on {subnet}.",
        target="identity",
    )


def _range(profile: Body, name: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(profile[name])
    except ValueError as error:
        raise ArmError(
            400, "InvalidCIDRNotation", f"{profile[name]}: {error}", target=f"networkProfile.{name}"
        ) from None

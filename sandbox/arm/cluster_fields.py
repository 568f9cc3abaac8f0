"""What a managed cluster's body may hold: the properties the sandbox acts on, or keeps because they change nothing
in it (a disk's size has no meaning where there are no disks). All others are refused."""

from __future__ import annotations

from sandbox.arm.fields import (
    CIDR_TEXT,
    READ_ONLY,
    TAGS,
    TRACKED,
    Fields,
    Flag,
    Items,
    Names,
    Number,
    ReadOnly,
    Text,
)


def _read(*names: str) -> dict[str, ReadOnly]:
    return dict.fromkeys(names, READ_ONLY)


_ENABLED = Fields({"enabled": Flag()}, required=("enabled",))
_OFF = Fields({"enabled": Flag(only=False)})
POOL_NAME = Text(
    pattern=r"^[a-z][a-z0-9]{0,11}$", meaning="1 to 12 lower-case letters and digits, beginning with a letter"
)

AGENT_POOL = Fields(
    {
        **_read(
            "provisioningState", "powerState", "currentOrchestratorVersion", "nodeImageVersion", "eTag", "status"
        ),
        "name": POOL_NAME,
        "count": Number(0, 1_000_000),
        "vmSize": Text(),
        "maxPods": Number(10, 250),
        "mode": Text("System"),
        "type": Text("VirtualMachineScaleSets"),
        "osType": Text("Linux"),
        "osSKU": Text("Ubuntu", "Ubuntu2204", "Ubuntu2404", "AzureLinux", "AzureLinux3"),
        "osDiskSizeGB": Number(0, 2048),
        "osDiskType": Text("Managed", "Ephemeral"),
        "kubeletDiskType": Text("OS"),
        "vnetSubnetID": Text(),
        "orchestratorVersion": Text(),
        "enableAutoScaling": Flag(only=False),
        "enableNodePublicIP": Flag(only=False),
        "enableEncryptionAtHost": Flag(),
        "enableFIPS": Flag(only=False),
        "enableUltraSSD": Flag(only=False),
        "scaleDownMode": Text("Delete"),
        "availabilityZones": Items(Text("1", "2", "3")),
        "tags": TAGS,
        "upgradeSettings": Fields({"maxSurge": Text(), "drainTimeoutInMinutes": Number(1, 1440)}),
        "securityProfile": Fields({"enableVTPM": Flag(only=False), "enableSecureBoot": Flag(only=False)}),
    },
    required=("name", "count", "vmSize"),
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
        "loadBalancerProfile": Fields(
            {
                **_read(
                    "effectiveOutboundIPs", "backendPoolType", "allocatedOutboundPorts", "idleTimeoutInMinutes"
                ),
                "managedOutboundIPs": Fields({"count": Number(1, 1), "countIPv6": Number(0, 0)}),
            }
        ),
        "outboundType": Text("loadBalancer"),
        "ipFamilies": Items(Text("IPv4"), most=1),
    }
)

CLUSTER = Fields(
    {
        **TRACKED,
        "eTag": READ_ONLY,
        "kind": Text("Base"),
        "sku": Fields({"name": Text("Base"), "tier": Text("Free", "Standard")}),
        "identity": Fields(
            {
                **_read("principalId", "tenantId"),
                "type": Text("SystemAssigned", "UserAssigned"),
                "userAssignedIdentities": Names(Fields(_read("principalId", "clientId")), most=1),
            },
            required=("type",),
        ),
        "properties": Fields(
            {
                **_read("provisioningState", "powerState", "fqdn", "azurePortalFQDN", "currentKubernetesVersion"),
                **_read("maxAgentPools", "identityProfile", "resourceUID", "windowsProfile", "storageProfile"),
                **_read(
                    "workloadAutoScalerProfile", "metricsProfile", "bootstrapProfile", "nodeProvisioningProfile"
                ),
                "kubernetesVersion": Text(pattern=r"^\d+\.\d+(\.\d+)?$", meaning="a version (1.36 or 1.36.1)"),
                "dnsPrefix": Text(
                    pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?$",
                    meaning="1 to 54 letters, digits and '-', beginning and ending with a letter or digit",
                ),
                "enableRBAC": Flag(only=True),
                "disableLocalAccounts": Flag(only=False),
                "supportPlan": Text("KubernetesOfficial"),
                "nodeResourceGroup": Text(pattern=r"^[-\w.()]{1,80}$", meaning="a resource group's name"),
                "servicePrincipalProfile": Fields({"clientId": Text("msi")}),
                "agentPoolProfiles": Items(AGENT_POOL, most=1),
                "networkProfile": NETWORK_PROFILE,
                "oidcIssuerProfile": Fields({**_read("issuerURL"), "enabled": Flag(only=False)}),
                "autoUpgradeProfile": Fields(
                    {
                        "upgradeChannel": Text("none", "patch", "stable", "rapid", "node-image"),
                        "nodeOSUpgradeChannel": Text("None", "Unmanaged", "SecurityPatch", "NodeImage"),
                    }
                ),
                "addonProfiles": Names(
                    Fields(
                        {"enabled": Flag(), "config": Names(Text()), "identity": READ_ONLY}, required=("enabled",)
                    )
                ),
                "azureMonitorProfile": Fields({"metrics": _ENABLED}),
                "serviceMeshProfile": Fields({"mode": Text("Disabled")}),
                "securityProfile": Fields({"imageCleaner": _OFF, "workloadIdentity": _OFF}),
                "apiServerAccessProfile": Fields({"enablePrivateCluster": Flag(only=False)}),
            },
            required=("dnsPrefix", "agentPoolProfiles"),
        ),
    },
    required=("properties",),
)
ADDONS = ("omsagent", "azurepolicy")
"""Add-ons that would change nothing a lab sees; others are refused."""

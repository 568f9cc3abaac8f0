"""Azure's facts that do not change while the sandbox runs: locations, sizes of machines, roles, versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.core.constants import KUBERNETES_VERSION

LOCATIONS: Mapping[str, str] = {
    "australiaeast": "Australia East",
    "centralus": "Central US",
    "eastus": "East US",
    "eastus2": "East US 2",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "northeurope": "North Europe",
    "southeastasia": "Southeast Asia",
    "swedencentral": "Sweden Central",
    "switzerlandnorth": "Switzerland North",
    "uksouth": "UK South",
    "westeurope": "West Europe",
    "westus2": "West US 2",
    "westus3": "West US 3",
}


@dataclass(frozen=True, slots=True)
class MachineSize:
    series: str
    """As it is called: DSv3."""
    cores: int
    memory_gb: int

    @property
    def family(self) -> str:
        return f"standard{self.series}Family"

    @property
    def family_name(self) -> str:
        return f"Standard {self.series} Family vCPUs"


def _sizes(series: str, pattern: str, memory_per_core: int, *cores: int) -> dict[str, MachineSize]:
    return {pattern.format(count): MachineSize(series, count, count * memory_per_core) for count in cores}


_CORES = (2, 4, 8, 16, 32, 48, 64)
SIZES: Mapping[str, MachineSize] = {
    **{
        f"Standard_DS{number}_v2": MachineSize("DSv2", cores, cores * 7 // 2)
        for number, cores in ((2, 2), (3, 4), (4, 8), (5, 16))
    },
    **_sizes("DSv3", "Standard_D{}s_v3", 4, *_CORES),
    **_sizes("DSv4", "Standard_D{}s_v4", 4, *_CORES),
    **_sizes("DSv5", "Standard_D{}s_v5", 4, *_CORES, 96),
    **_sizes("DDSv5", "Standard_D{}ds_v5", 4, *_CORES, 96),
    **_sizes("DASv4", "Standard_D{}as_v4", 4, *_CORES, 96),
    **_sizes("DASv5", "Standard_D{}as_v5", 4, *_CORES, 96),
    **_sizes("DADSv5", "Standard_D{}ads_v5", 4, *_CORES, 96),
    **_sizes("ESv3", "Standard_E{}s_v3", 8, *_CORES),
    **_sizes("ESv5", "Standard_E{}s_v5", 8, *_CORES),
    **_sizes("FSv2", "Standard_F{}s_v2", 2, *_CORES, 72),
    **_sizes("Bsv2", "Standard_B{}s_v2", 4, 2, 4, 8, 16, 32),
}
"""Of the general ones that AKS takes for a system pool. Azure has hundreds; another one is refused as Azure refuses
what it does not offer to a subscription, with the names of these."""

ROLES: Mapping[str, str] = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "4d97b98b-1d4f-4787-a291-c67834d212e7": "Network Contributor",
    "f1a07417-d97a-45cb-824c-7a7467783830": "Managed Identity Operator",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
}
NETWORK_WRITERS = ("Network Contributor", "Contributor", "Owner")

_VERSION = KUBERNETES_VERSION.removeprefix("v")
DEFAULT_KUBERNETES = _VERSION.rpartition(".")[0]
KUBERNETES: Mapping[str, tuple[str, ...]] = {DEFAULT_KUBERNETES: (_VERSION,)}
"""Minor versions and their patches, the newest last: what the sandbox's own API server is."""

"""How much of what a location has and how much is used, and the sizes of machines there."""

from __future__ import annotations

from collections import Counter

from sandbox.arm.cloud import Body, Cloud
from sandbox.arm.places import SIZES
from sandbox.arm.routes import Answer, Call, Router


class Quotas:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        location = "/subscriptions/{subscription}/providers/%s/locations/{location}/usages"
        router.add("GET", location % "Microsoft.Compute", self.compute)
        router.add("GET", location % "Microsoft.ContainerService", self.clusters)
        router.add("GET", "/subscriptions/{subscription}/providers/Microsoft.Compute/skus", self.sizes)

    async def compute(self, call: Call) -> Answer:
        self._cloud.require_provider("Microsoft.Compute")
        limits = self._cloud.settings.quotas
        used = cores_used(self._cloud, self._location(call))
        families = {size.family: size.family_name for size in SIZES.values()}
        usages = [_usage("cores", "Total Regional vCPUs", sum(used.values()), limits["cores"])]
        usages += [_usage(name, words, used.get(name, 0), limits["family"]) for name, words in families.items()]
        return Answer(200, {"value": usages})

    async def clusters(self, call: Call) -> Answer:
        self._cloud.require_provider("Microsoft.ContainerService")
        there = clusters_used(self._cloud, self._location(call))
        limit = self._cloud.settings.quotas["managedClusters"]
        return Answer(200, {"value": [_usage("ManagedClusters", "Managed clusters", there, limit)]})

    async def sizes(self, call: Call) -> Answer:
        """Of all locations, or of the one in `$filter=location eq '...'`."""
        self._cloud.require_provider("Microsoft.Compute")
        location = call.query.get("$filter", "").partition("location eq '")[2].partition("'")[0]
        where = [self._cloud.require_location(location, "Microsoft.Compute/skus", location)] if location else []
        return Answer(200, {"value": [_size(name, where) for name in SIZES]})

    def _location(self, call: Call) -> str:
        name = call.names["location"]
        return name.replace(" ", "").lower()


def cores_used(cloud: Cloud, location: str) -> Counter[str]:
    """vCPUs in use by family."""
    used: Counter[str] = Counter()
    for cluster in cloud.of_type("Microsoft.ContainerService/managedClusters"):
        if cluster.body["location"] == location:
            for pool in cluster.properties["agentPoolProfiles"]:
                size = SIZES[pool["vmSize"]]
                used[size.family] += size.cores * pool["count"]
    return used


def clusters_used(cloud: Cloud, location: str) -> int:
    clusters = cloud.of_type("Microsoft.ContainerService/managedClusters")
    return sum(cluster.body["location"] == location for cluster in clusters)


def _usage(name: str, words: str, used: int, limit: int) -> Body:
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": words}}


def _size(name: str, locations: list[str]) -> Body:
    size = SIZES[name]
    return {
        "resourceType": "virtualMachines",
        "name": name,
        "tier": "Standard",
        "size": name.removeprefix("Standard_"),
        "family": size.family,
        "locations": locations,
        "capabilities": [
            {"name": "vCPUs", "value": str(size.cores)},
            {"name": "MemoryGB", "value": str(size.memory_gb)},
        ],
        "restrictions": [],
    }

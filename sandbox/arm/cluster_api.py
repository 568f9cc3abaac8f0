"""The requests for managed clusters: credentials, agent pools and versions beside what every kind has."""

from __future__ import annotations

import base64

from sandbox.arm.cloud import Body, Cloud
from sandbox.arm.clusters import Clusters
from sandbox.arm.errors import ArmError, invalid
from sandbox.arm.places import DEFAULT_KUBERNETES, KUBERNETES
from sandbox.arm.resources import ResourceApi
from sandbox.arm.routes import Answer, Call, Router


class ClusterApi(ResourceApi):
    """A cluster's own requests, beside those that every kind has."""

    def __init__(self, kind: Clusters, cloud: Cloud) -> None:
        super().__init__(kind, cloud)
        self._clusters = kind

    def routes(self, router: Router) -> None:
        super().routes(router)
        one = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + self._kind.type + "/{name}"
        router.add("POST", one + "/listClusterUserCredential", self.user_credentials)
        router.add("POST", one + "/listClusterAdminCredential", self.admin_credentials)
        router.add("GET", one + "/agentPools", self.pools)
        router.add("GET", one + "/agentPools/{pool}", self.pool)
        locations = "/subscriptions/{subscription}/providers/" + self._kind.namespace + "/locations/{location}"
        router.add("GET", locations + "/kubernetesVersions", self.versions)

    async def patch(self, call: Call) -> Answer:
        """AKS changes tags as an operation too."""
        answer = await super().patch(call)
        resource = self.require(call)
        again = self.write(call, resource.id, resource.body, resource)
        return Answer(answer.status, again.body, again.headers)

    async def user_credentials(self, call: Call) -> Answer:
        return self._credentials(call, "clusterUser")

    async def admin_credentials(self, call: Call) -> Answer:
        return self._credentials(call, "clusterAdmin")

    def _credentials(self, call: Call, user: str) -> Answer:
        cluster = self.require(call)
        stack = self._clusters.stacks.get(cluster.id.lower())
        if stack is None or cluster.properties["provisioningState"] == "Creating":
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"The cluster '{cluster.name}' is {cluster.properties['provisioningState']}: no credentials.",
                target=cluster.name,
            )
        if call.query.get("format", "azure") not in ("azure", "exec"):
            raise invalid("format", "not supported by the sandbox")
        content = stack.kubeconfig(cluster.name, f"{user}_{cluster.group}_{cluster.name}")
        value = base64.b64encode(content).decode()
        return Answer(200, {"kubeconfigs": [{"name": user, "value": value}]})

    async def pools(self, call: Call) -> Answer:
        return Answer(200, {"value": self._pools(call)})

    async def pool(self, call: Call) -> Answer:
        for each in self._pools(call):
            if each["name"] == call.names["pool"].lower():
                return Answer(200, each)
        raise ArmError(404, "NotFound", f"Could not find the agentpool: {call.names['pool']}.")

    def _pools(self, call: Call) -> list[Body]:
        cluster = self.require(call)
        return [
            {
                "id": f"{cluster.id}/agentPools/{pool['name']}",
                "name": pool["name"],
                "type": "Microsoft.ContainerService/managedClusters/agentPools",
                "properties": {name: value for name, value in pool.items() if name != "name"},
            }
            for pool in cluster.properties["agentPoolProfiles"]
        ]

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

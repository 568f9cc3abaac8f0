"""The subscription: its locations and the registration of providers, what whoever holds the token may do
(everything, unless the settings say otherwise), how much of what a location has is used, and how operations
stand."""

from __future__ import annotations

import re
from collections import Counter

from sandbox.arm.api_versions import versions_of
from sandbox.arm.catalog import LOCATIONS, SIZES
from sandbox.arm.cloud import PROVIDERS, Cloud, Operation
from sandbox.arm.protocol import Answer, ArmError, Body, Call, Router

_VERSIONS = ("2026-09-01-preview", "2025-06-01", "2024-01-01")
"""What providers that the sandbox does nothing with name for each type: any is accepted, as long as one is sent."""


class Subscriptions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        router.add("GET", "/subscriptions", self.list)
        one = "/subscriptions/{subscription}"
        router.add("GET", one, self.get)
        router.add("GET", one + "/locations", self.locations)
        router.add("GET", one + "/providers/{provider}", self.provider)
        router.add("POST", one + "/providers/{provider}/register", self.register)
        place = one + "/providers/{provider}/locations/{location}"
        router.add("GET", place + "/operations/{operation}", self.status)
        router.add("GET", place + "/operationResults/{operation}", self.result)

    async def list(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._show()]})

    async def get(self, call: Call) -> Answer:
        return Answer(200, self._show())

    async def locations(self, call: Call) -> Answer:
        prefix = f"/subscriptions/{self._cloud.subscription}/locations"
        shown = [
            {"id": f"{prefix}/{name}", "name": name, "displayName": words, "regionalDisplayName": words}
            for name, words in LOCATIONS.items()
        ]
        return Answer(200, {"value": shown})

    async def provider(self, call: Call) -> Answer:
        return Answer(200, self._show_provider(self._spelled(call)))

    async def register(self, call: Call) -> Answer:
        namespace, cloud = self._spelled(call), self._cloud
        if cloud.registration(namespace) not in ("Registered", "Registering"):
            cloud.set_registration(namespace, "Registering")

            async def work() -> None:
                await cloud.elapse("provider")

            operation = Operation(f"/subscriptions/{cloud.subscription}", "Registering", lambda: None)
            cloud.operations.begin(operation, work, lambda error: cloud.set_registration(namespace, "Registered"))
        return Answer(200, self._show_provider(namespace))

    async def status(self, call: Call) -> Answer:
        return Answer(200, self._cloud.operations.get(call.names["operation"]).show())

    async def result(self, call: Call) -> Answer:
        """What `Location` leads to: 202 while it goes on, then the outcome."""
        operation = self._cloud.operations.get(call.names["operation"])
        if operation.ended is None:
            return Answer(202, None, {"Location": f"{self._cloud.url}{call.path}?api-version={call.version}"})
        if operation.error is not None:
            raise operation.error
        content = operation.result()
        return Answer(200, content) if content is not None else Answer(204)

    def _show(self) -> Body:
        return {
            "id": f"/subscriptions/{self._cloud.subscription}",
            "subscriptionId": self._cloud.subscription,
            "tenantId": self._cloud.tenant,
            "displayName": "Mesh Workshop sandbox",
            "state": self._cloud.settings.state,
            "authorizationSource": "RoleBased",
        }

    def _show_provider(self, namespace: str) -> Body:
        versions = list(versions_of(namespace)[::-1] or _VERSIONS)
        return {
            "id": f"/subscriptions/{self._cloud.subscription}/providers/{namespace}",
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": self._cloud.registration(namespace),
            "resourceTypes": [
                {"resourceType": kind, "locations": list(LOCATIONS.values()), "apiVersions": versions}
                for kind in sorted(self._kinds(namespace))
            ],
        }

    def _kinds(self, namespace: str) -> set[str]:
        """The types of a provider that there is something of: also what the settings have placed."""
        types = (each.type.partition("/") for each in self._cloud.resources.values())
        return {kind for owner, _, kind in types if owner == namespace}

    def _spelled(self, call: Call) -> str:
        """Raises ArmError for a namespace that is neither served nor that of something placed."""
        there = {each.type.partition("/")[0] for each in self._cloud.resources.values()}
        for namespace in (*PROVIDERS, *there):
            if namespace.lower() == call.names["provider"].lower():
                return namespace
        message = (
            f"The resource namespace '{call.names['provider']}' is invalid: the sandbox has {', '.join(PROVIDERS)}."
        )
        raise ArmError(404, "InvalidResourceNamespace", message)


_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_CLIENT = "5a4d8e0c-0000-4000-8000-73616e64626f"


class Permissions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        router.add("GET", "/{scope*}/providers/Microsoft.Authorization/permissions", self.list)

    async def list(self, call: Call) -> Answer:
        """The same on every scope. One that is not there has none, and is not found."""
        scope = f"/{call.names['scope']}"
        parts = scope.split("/")
        if len(parts) > 4:
            self._cloud.group(parts[4])
        settings = self._cloud.settings
        said = {"actions": list(settings.actions), "notActions": list(settings.not_actions)}
        return Answer(200, {"value": [{**said, "dataActions": [], "notDataActions": []}]})

    def check(self, method: str, path: str) -> None:
        """Raises ArmError for what may not be done."""
        settings, action = self._cloud.settings, action_of(method, path)
        if settings.state == "Disabled" and not action.endswith("/read"):
            message = (
                f"The subscription '{self._cloud.subscription}' is disabled and therefore marked as read only. You "
                "cannot perform any write actions on this subscription until it is re-enabled."
            )
            raise ArmError(409, "ReadOnlyDisabledSubscription", message)
        if matches(settings.actions, action) and not matches(settings.not_actions, action):
            return
        message = (
            f"The client 'sandbox' with object id '{_CLIENT}' does not have authorization to perform action "
            f"'{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please "
            "refresh your credentials."
        )
        raise ArmError(403, "AuthorizationFailed", message)


def action_of(method: str, path: str) -> str:
    """ "Microsoft.Network/virtualNetworks/write": a request as roles name it."""
    _, found, after = path.rpartition("/providers/")
    if not found:
        what = "subscriptions/resourceGroups" if "/resourcegroups/" in path.lower() else "subscriptions"
        return f"Microsoft.Resources/{what}/{_VERBS.get(method, method.lower())}"
    namespace, *rest = after.split("/")
    if method == "POST":
        *rest, verb = rest
        return "/".join((namespace, *rest[::2], verb, "action"))
    return "/".join((namespace, *rest[::2], _VERBS.get(method, method.lower())))


def matches(patterns: tuple[str, ...], action: str) -> bool:
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) for pattern in patterns)


class Quotas:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        location = "/subscriptions/{subscription}/providers/%s/locations/{location}/usages"
        router.add("GET", location % "Microsoft.Compute", self.compute)
        router.add("GET", location % "Microsoft.ContainerService", self.clusters)
        router.add("GET", location % "Microsoft.Network", self.addresses)
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

    async def addresses(self, call: Call) -> Answer:
        """Of public addresses alone. A cluster has one, for its way out."""
        self._cloud.require_provider("Microsoft.Network")
        there, limit = clusters_used(self._cloud, self._location(call)), self._cloud.settings.quotas["publicIPs"]
        names = {
            "PublicIPAddresses": "Public IP Addresses",
            "StaticPublicIPAddresses": "Static Public IP Addresses",
            "StandardSkuPublicIpAddresses": "Public Ip Addresses - Standard",
        }
        return Answer(200, {"value": [_usage(name, words, there, limit) for name, words in names.items()]})

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

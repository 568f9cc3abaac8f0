"""Container registries: what they are called in the whole world, and what was imported into them."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime

from sandbox.arm.cloud import Body, Cloud, Resource
from sandbox.arm.errors import ArmError, invalid
from sandbox.arm.fields import READ_ONLY, TAGS, TRACKED, Fields, Flag, Items, Text
from sandbox.arm.resources import Kind, ResourceApi, check_preconditions
from sandbox.arm.routes import Answer, Call, Router

_SETTABLE = {
    "adminUserEnabled": Flag(only=False),
    "anonymousPullEnabled": Flag(),
    "publicNetworkAccess": Text("Enabled"),
    "networkRuleBypassOptions": Text("AzureServices", "None"),
    "zoneRedundancy": Text("Disabled"),
    "dataEndpointEnabled": Flag(only=False),
    "roleAssignmentMode": Text("LegacyRegistryPermissions", "AbacRepositoryPermissions"),
}
_READ = dict.fromkeys(
    ("provisioningState", "loginServer", "creationDate", "status", "privateEndpointConnections"), READ_ONLY
)
_SKU = Fields({"name": Text("Basic", "Standard", "Premium"), "tier": READ_ONLY}, required=("name",))
_CHANGE = Fields({"tags": TAGS, "sku": _SKU, "properties": Fields(_SETTABLE)})
_IMAGE = r"^[a-z0-9]+([._/-][a-z0-9]+)*(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})$"
_IMPORT = Fields(
    {
        "source": Fields(
            {
                "registryUri": Text(pattern=r"^[\w.-]+(:\d+)?$", meaning="a registry's host"),
                "sourceImage": Text(pattern=_IMAGE, meaning="a repository with a tag or digest"),
            },
            required=("registryUri", "sourceImage"),
        ),
        "targetTags": Items(Text(pattern=_IMAGE, meaning="a repository with a tag")),
        "mode": Text("NoForce", "Force"),
    },
    required=("source",),
)
_CHECK = Fields({"name": Text(), "type": Text("Microsoft.ContainerRegistry/registries")}, required=("name", "type"))


class Registries(Kind):
    type = "Microsoft.ContainerRegistry/registries"
    names = r"[A-Za-z0-9]{5,50}"
    naming = "5 to 50 letters and digits"
    lasts = "registries"
    busy_code = "RegistryOperationInProgress"
    location_only = True
    has_system_data = True
    fields = Fields(
        {
            **TRACKED,
            "etag": READ_ONLY,
            "sku": _SKU,
            "properties": Fields({**_SETTABLE, **_READ}),
        },
        required=("sku",),
    )

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.images: dict[str, set[str]] = {}
        """What was imported, by the registry's id in lower case."""

    def taken(self, name: str, *, except_id: str = "") -> bool:
        if name.lower() in {each.lower() for each in self.cloud.settings.taken_names}:
            return True
        there = self.cloud.of_type(self.type)
        return any(each.name.lower() == name.lower() and each.id.lower() != except_id.lower() for each in there)

    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        name = id_.rpartition("/")[2]
        if self.taken(name, except_id=id_):
            raise ArmError(
                409,
                "AlreadyInUse",
                f"The registry DNS name {name.lower()}.azurecr.io is already in use. You can check if the name is "
                "already claimed using following API: "
                "https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability",
            )
        kept = old.properties if old else {"creationDate": datetime.now(UTC).isoformat()}
        properties = {
            "adminUserEnabled": False,
            "anonymousPullEnabled": False,
            "publicNetworkAccess": "Enabled",
            "networkRuleBypassOptions": "AzureServices",
            "zoneRedundancy": "Disabled",
            "dataEndpointEnabled": False,
            "roleAssignmentMode": "AbacRepositoryPermissions",
            **kept,
            **body.get("properties", {}),
            "loginServer": f"{name.lower()}.azurecr.io",
        }
        sku = {"name": body["sku"]["name"], "tier": body["sku"]["name"]}
        return {**body, "sku": sku, "properties": properties}

    async def destroy(self, resource: Resource) -> None:
        self.images.pop(resource.id.lower(), None)

    def shown(self, resource: Resource) -> Body:
        body = super().shown(resource)
        del body[self.etag_field]
        return body


class RegistryApi(ResourceApi):
    """A registry's own requests, beside those that every kind has."""

    def __init__(self, kind: Registries, cloud: Cloud) -> None:
        super().__init__(kind, cloud)
        self._registries = kind

    def routes(self, router: Router) -> None:
        super().routes(router)
        namespace = "/subscriptions/{subscription}/providers/" + self._kind.namespace
        router.add("POST", namespace + "/checkNameAvailability", self.check_name)
        one = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + self._kind.type + "/{name}"
        router.add("POST", one + "/importImage", self.import_image)
        router.add("POST", one + "/listCredentials", self.credentials)

    async def patch(self, call: Call) -> Answer:
        """More than tags: a change is a PUT of what is there with the change in it."""
        self._cloud.require_provider(self._kind.namespace)
        self._cloud.group_to_write(call.names["group"])
        registry = self.require(call)
        check_preconditions(call, registry.revision)
        change = _CHANGE.check(call.body, "")
        self.require_idle(registry)
        new = copy.deepcopy(registry.body)
        properties = {**new["properties"], **change.pop("properties", {})}
        merged = {**new, **change, "properties": properties}
        answer = self.write(call, registry.id, self._kind.completed(registry.id, merged, registry), registry)
        return Answer(200, answer.body, answer.headers)

    async def check_name(self, call: Call) -> Answer:
        self._cloud.require_provider(self._kind.namespace)
        name = _CHECK.check(call.body, "")["name"]
        if not re.fullmatch(self._kind.names, name):
            said = f"The registry name '{name}' is invalid: it must be {self._kind.naming}."
            return Answer(200, {"nameAvailable": False, "reason": "Invalid", "message": said})
        if self._registries.taken(name):
            said = f"The registry {name} is already in use."
            return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": said})
        return Answer(200, {"nameAvailable": True})

    async def import_image(self, call: Call) -> Answer:
        self._cloud.require_provider(self._kind.namespace)
        registry = self.require(call)
        self.require_idle(registry)
        body = _IMPORT.check(call.body, "")
        wanted = set(body.get("targetTags") or [body["source"]["sourceImage"]])
        if any("@" in each for each in wanted):
            raise invalid("targetTags", "a target is a repository with a tag")
        images = self._registries.images.setdefault(registry.id.lower(), set())
        if body.get("mode", "NoForce") == "NoForce" and (there := wanted & images):
            raise ArmError(
                409,
                "Conflict",
                f"Tag {min(there)} already exists in target registry {registry.properties['loginServer']}.",
            )

        async def work() -> None:
            await self._cloud.last("importImage")
            images.update(wanted)

        operation = self.operation(registry, "Importing", lambda: None)
        self._cloud.operations.begin(operation, work, lambda error: None)
        return Answer(202, None, {"Location": self.result_url(operation, call)})

    async def credentials(self, call: Call) -> Answer:
        registry = self.require(call)
        raise ArmError(
            400,
            "UnAuthorizedForCredentialOperations",
            f"Cannot perform credential operations for {registry.id} as admin user is disabled. "
            "Kindly enable admin user as per docs: https://docs.microsoft.com/en-us/azure/container-registry/"
            "container-registry-authentication#admin-account",
        )

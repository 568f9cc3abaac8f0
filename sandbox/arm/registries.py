"""Container registries: what they are called in the whole world, and what was imported into them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sandbox.arm.cloud import Cloud, Resource
from sandbox.arm.protocol import (
    READ_ONLY,
    TRACKED,
    Answer,
    ArmError,
    Body,
    Call,
    Fields,
    Flag,
    Items,
    Router,
    Text,
    invalid,
    read_only,
)
from sandbox.arm.resource_api import Kind, ResourceApi

_SETTABLE = {
    "adminUserEnabled": Flag(only=False),
    "roleAssignmentMode": Text("LegacyRegistryPermissions", "AbacRepositoryPermissions"),
}
_READ = read_only("provisioningState", "loginServer", "creationDate")
_SKU = Fields({"name": Text("Basic", "Standard", "Premium"), "tier": READ_ONLY}, required=("name",))
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
    duration = "registries"
    busy_code = "RegistryOperationInProgress"
    location_only = True
    has_system_data = True
    fields = Fields({**TRACKED, "sku": _SKU, "properties": Fields({**_SETTABLE, **_READ})}, required=("sku",))

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
            message = (
                f"The registry DNS name {name.lower()}.azurecr.io is already in use. You can check if the name is "
                "already claimed using following API: "
                "https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability"
            )
            raise ArmError(409, "AlreadyInUse", message)
        kept = old.properties if old else {"creationDate": datetime.now(UTC).isoformat()}
        properties = {
            "adminUserEnabled": False,
            "roleAssignmentMode": "AbacRepositoryPermissions",
            **kept,
            **body.get("properties", {}),
            "loginServer": f"{name.lower()}.azurecr.io",
        }
        sku = {"name": body["sku"]["name"], "tier": body["sku"]["name"]}
        return {**body, "sku": sku, "properties": properties}

    async def destroy(self, resource: Resource) -> None:
        self.images.pop(resource.id.lower(), None)


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
            message = f"Tag {min(there)} already exists in target registry {registry.properties['loginServer']}."
            raise ArmError(409, "Conflict", message)

        async def work() -> None:
            await self._cloud.elapse("importImage")
            images.update(wanted)

        operation = self.operation(registry, "Importing", lambda: None)
        self._cloud.operations.begin(operation, work, lambda error: None)
        return Answer(202, None, {"Location": self.result_url(operation, call)})

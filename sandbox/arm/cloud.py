"""What is there: groups, resources, registrations, principals. In memory, and gone with the sandbox."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.arm.errors import ArmError, group_not_found
from sandbox.arm.operations import Operation, Operations
from sandbox.arm.places import LOCATIONS
from sandbox.arm.settings import Settings
from sandbox.arm.stacks import Stacks

Body = dict[str, Any]

PROVIDERS = (
    "Microsoft.Authorization",
    "Microsoft.Compute",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.Resources",
)
_ALWAYS = ("Microsoft.Authorization", "Microsoft.Resources")


@dataclass(slots=True)
class Group:
    name: str
    location: str
    tags: dict[str, str]
    managed_by: str = ""
    deleting: bool = False


@dataclass(slots=True)
class Resource:
    id: str
    type: str
    group: str
    """In lower case."""
    body: Body
    """All of it as a GET shows it, but for id, name, type and etag."""
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    operation: Operation | None = None
    """What is under way with it."""

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> Body:
        properties: Body = self.body["properties"]
        return properties

    def touch(self) -> None:
        self.revision = str(uuid.uuid4())


class Cloud:
    """One subscription of one tenant. `url` is where it is served."""

    def __init__(self, url: str, subscription: str, tenant: str, settings: Settings, stacks: Stacks) -> None:
        self.url, self.subscription, self.tenant, self.settings = url, subscription, tenant, settings
        self.stacks = stacks
        self.groups: dict[str, Group] = {}
        self.resources: dict[str, Resource] = {}
        """By id in lower case."""
        self.assignments: dict[str, Body] = {}
        """Role assignments by id in lower case."""
        self.operations = Operations(lambda: self.settings.operation_seconds)
        self._registered: dict[str, str] = {}
        self._principals: dict[str, float] = {}
        self._failures = [dict(each) for each in settings.failures]
        self._changed = asyncio.Event()

    def apply(self, settings: Settings, *, providers: bool, failures: bool) -> None:
        """Behave like this from now on; `providers` and `failures` begin again where they were named."""
        self.settings = settings
        self._changed.set()
        self._changed = asyncio.Event()
        if providers:
            self._registered.clear()
        if failures:
            self._failures = [dict(each) for each in settings.failures]

    def failure(self, type_: str) -> ArmError | None:
        """What the settings let the next operation on this type end with."""
        for failure in self._failures:
            left = failure.get("times", 1)
            if failure.get("type", type_) == type_ and left > 0:
                failure["times"] = left - 1
                error = failure["error"]
                return ArmError(400, error["code"], error["message"], details=error.get("details", ()))
        return None

    async def last(self, what: str, *, deleting: bool = False) -> None:
        """As long as that takes by the settings; when they change meanwhile, by the new ones. What is done at once
        has no name."""
        began = asyncio.get_running_loop().time()
        while what:
            seconds = self.settings.durations[what] / (2 if deleting else 1)
            try:
                async with asyncio.timeout_at(began + seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    # Groups and what is in them.

    def group_id(self, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{name}"

    def group(self, name: str) -> Group:
        """Raises ArmError."""
        found = self.groups.get(name.lower())
        if found is None:
            raise group_not_found(name)
        return found

    def group_to_write(self, name: str) -> Group:
        found = self.group(name)
        if found.deleting:
            raise ArmError(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
            )
        return found

    def members(self, group: Group) -> Iterator[Resource]:
        return (each for each in list(self.resources.values()) if each.group == group.name.lower())

    def of_type(self, type_: str) -> Iterator[Resource]:
        return (each for each in list(self.resources.values()) if each.type == type_)

    def find(self, id_: str) -> Resource | None:
        return self.resources.get(id_.lower())

    def forget(self, resource: Resource) -> None:
        """It is gone, and the roles given on it with it."""
        self.resources.pop(resource.id.lower(), None)
        prefix = resource.id.lower() + "/"
        for id_ in [each for each in self.assignments if each.startswith(prefix)]:
            del self.assignments[id_]

    # Who may use what, where.

    def registration(self, namespace: str) -> str:
        """Of a provider, in its own spelling."""
        default = self.settings.providers.get(namespace, "Registered")
        return "Registered" if namespace in _ALWAYS else self._registered.get(namespace, default)

    def set_registration(self, namespace: str, state: str) -> None:
        self._registered[namespace] = state

    def require_provider(self, namespace: str) -> None:
        if self.registration(namespace) != "Registered":
            message = (
                f"The subscription is not registered to use namespace '{namespace}'. "
                "See https://aka.ms/rps-not-found for how to register subscriptions."
            )
            raise ArmError(
                409,
                "MissingSubscriptionRegistration",
                message,
                details=[{"code": "MissingSubscriptionRegistration", "target": namespace, "message": message}],
            )

    def require_location(self, given: str, type_: str, name: str) -> str:
        """The location as Azure spells it, for something new of `type_`."""
        location = given.replace(" ", "").lower()
        if location not in LOCATIONS:
            raise ArmError(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{given}' is not available for resource type '{type_}'. "
                f"List of available regions for the resource type is '{','.join(LOCATIONS)}'.",
            )
        if location in self.settings.denied_locations:
            raise ArmError(
                403,
                "RequestDisallowedByAzure",
                f"Resource '{name}' was disallowed by Azure: This policy maintains a set of best available "
                f"regions where your subscription can deploy resources. Location '{location}' is not one of them.",
                target=name,
            )
        return location

    # Identities.

    def add_principal(self, principal: str) -> None:
        self._principals[principal] = time.monotonic() + self.settings.principal_seconds

    def remove_principal(self, principal: str) -> None:
        self._principals.pop(principal, None)

    def knows_principal(self, principal: str) -> bool:
        known_from = self._principals.get(principal)
        return known_from is not None and time.monotonic() >= known_from

"""What is there: groups, resources, registrations, principals, and the long-running operations under way with them.

In memory, and gone with the sandbox. What a managed cluster leads to (`Stack`) is a Kubernetes of the sandbox's
own, made by whoever composes the sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from sandbox.arm.azure_settings import Duration, Settings
from sandbox.arm.catalog import LOCATIONS
from sandbox.arm.protocol import ArmError, Body, group_not_found
from sandbox.core.node_pool import NodePool

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Operation:
    path: str
    """Where it is asked for, up to /operations."""
    doing: str
    """The provisioning state meanwhile: Creating, Updating, Deleting."""
    result: Callable[[], Any]
    """What a GET of `Location` answers at the end; None for no content."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    ended_at: float = 0.0
    error: ArmError | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> str:
        if self.ended is None:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"

    def show(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "id": f"{self.path}/operations/{self.id}",
            "name": self.id,
            "status": self.status,
            "startTime": self.started.isoformat(),
        }
        if self.ended is not None:
            said["endTime"] = self.ended.isoformat()
        if self.error is not None:
            said["error"] = self.error.content()
        return said


class Operations:
    """All operations. Each runs by itself, whether or not anybody asks."""

    def __init__(self, kept_seconds: Callable[[], float]) -> None:
        self._kept_seconds = kept_seconds
        self._all: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_ended = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nothing has been under way."""
        return 0.0 if self._tasks else time.monotonic() - self._last_ended

    def begin(
        self, operation: Operation, work: Callable[[], Awaitable[None]], done: Callable[[ArmError | None], None]
    ) -> Operation:
        """Do `work`, then `done` with what went wrong, if anything."""
        self._all[operation.id] = operation
        task = asyncio.get_running_loop().create_task(_run(operation, work, done))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return operation

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._last_ended = time.monotonic()

    def get(self, name: str) -> Operation:
        """Raises ArmError when there is none, or none any more."""
        operation = self._all.get(name)
        if operation is not None and operation.ended is not None:
            if time.monotonic() - operation.ended_at <= self._kept_seconds():
                return operation
            del self._all[name]
            operation = None
        if operation is None:
            raise ArmError(404, "NotFound", f"The entity was not found: no operation '{name}'.")
        return operation

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(
    operation: Operation, work: Callable[[], Awaitable[None]], done: Callable[[ArmError | None], None]
) -> None:
    try:
        await work()
    except ArmError as error:
        operation.error = error
    except Exception as error:
        log.exception("%s at %s", operation.doing, operation.path)
        operation.error = ArmError(500, "InternalServerError", f"the sandbox failed: {error!r}")
    done(operation.error)
    operation.ended, operation.ended_at = datetime.now(UTC), time.monotonic()
    operation.finished.set()


class Stack(Protocol):
    """One running Kubernetes."""

    @property
    def host(self) -> str:
        """Where its API is."""
        ...

    def kubeconfig(self, context: str, user: str) -> bytes: ...

    def scale(self, pool: NodePool) -> None:
        """Have this many nodes from now on."""
        ...

    async def stop(self) -> None: ...


class Stacks(Protocol):
    async def start(self, name: str, pool: NodePool) -> Stack:
        """A new one, ready for kubectl."""
        ...


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
    """All of it as a GET shows it, but for id, name and type."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    operation: Operation | None = None
    """What is under way with it."""

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> Body:
        properties: Body = self.body["properties"]
        return properties


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
        self._left = [each.times for each in settings.failures]
        """How often each of the settings' failures is still to come."""
        self._changed = asyncio.Event()

    def apply(self, settings: Settings, *, providers: bool, failures: bool) -> None:
        """Behave like this from now on; `providers` and `failures` begin again where they were named."""
        self.settings = settings
        self._changed.set()
        self._changed = asyncio.Event()
        if providers:
            self._registered.clear()
        if failures:
            self._left = [each.times for each in settings.failures]

    def failure(self, type_: str) -> ArmError | None:
        """What the settings let the next operation on this type end with."""
        for index, failure in enumerate(self.settings.failures):
            if failure.type in ("", type_) and self._left[index] > 0:
                self._left[index] -= 1
                return ArmError(400, failure.error.code, failure.error.message, details=failure.error.details)
        return None

    async def elapse(self, what: Duration | None, *, deleting: bool = False) -> None:
        """Wait as long as that takes by the settings; when they change meanwhile, by the new ones. What is done at
        once has no name."""
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
            message = f"The resource group '{name}' is in deprovisioning state and cannot perform this operation."
            raise ArmError(409, "ResourceGroupBeingDeleted", message)
        return found

    def members(self, group: Group) -> Iterator[Resource]:
        return (each for each in list(self.resources.values()) if each.group == group.name.lower())

    def of_type(self, type_: str) -> Iterator[Resource]:
        return (each for each in list(self.resources.values()) if each.type == type_)

    def resource(self, id_: str) -> Resource | None:
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
            message = (
                f"The provided location '{given}' is not available for resource type '{type_}'. "
                f"List of available regions for the resource type is '{','.join(LOCATIONS)}'."
            )
            raise ArmError(400, "LocationNotAvailableForResourceType", message)
        if location in self.settings.denied_locations:
            message = (
                f"Resource '{name}' was disallowed by Azure: This policy maintains a set of best available "
                f"regions where your subscription can deploy resources. Location '{location}' is not one of them."
            )
            raise ArmError(403, "RequestDisallowedByAzure", message, target=name)
        return location

    @property
    def registered(self) -> Mapping[str, str]:
        """What has been registered here, by the provider."""
        return self._registered

    # Identities.

    @property
    def principals(self) -> Iterable[str]:
        """All there are, known everywhere already or not."""
        return self._principals.keys()

    def add_principal(self, principal: str) -> None:
        self._principals[principal] = time.monotonic() + self.settings.principal_seconds

    def remove_principal(self, principal: str) -> None:
        self._principals.pop(principal, None)

    def knows_principal(self, principal: str) -> bool:
        known_from = self._principals.get(principal)
        return known_from is not None and time.monotonic() >= known_from

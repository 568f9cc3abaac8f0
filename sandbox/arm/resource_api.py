"""What all kinds of resources have in common: PUT, GET, LIST and DELETE with everything around them.

A kind (`Kind`) says what its body may hold, completes it, and does what has to be done; here are the order of the
checks, conflicts, long-running operations and their headers.
"""

from __future__ import annotations

import asyncio
import copy
import re
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

from sandbox.arm.azure_settings import Duration
from sandbox.arm.cloud import Cloud, Group, Operation, Resource
from sandbox.arm.protocol import Answer, ArmError, Body, Call, Fields, Router, resource_not_found


class Kind(ABC):
    """One kind of resource. `checked` and `completed` must not change what is there; `provision` does."""

    type: ClassVar[str]
    fields: ClassVar[Fields]
    names: ClassVar[str]
    """The pattern of a name, and in words what it must be."""
    naming: ClassVar[str]
    duration: ClassVar[Duration | None] = None
    """The duration's name; None when everything is done at once."""
    creating: ClassVar[str] = "Creating"
    updating: ClassVar[str] = "Updating"
    busy_code: ClassVar[str] = "AnotherOperationInProgress"
    has_system_data: ClassVar[bool] = False
    """Whether it tells who made it, and when. Not all kinds do: managed clusters, for one, answer null."""
    location_only: ClassVar[bool] = False
    """Deletion is followed by `Location`, not by `Azure-AsyncOperation`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @property
    def namespace(self) -> str:
        return self.type.partition("/")[0]

    @abstractmethod
    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        """What will be there: `body` with what Azure adds. Raises ArmError for what cannot be."""

    async def provision(self, resource: Resource, old: Body | None) -> None:
        """Bring it about, while the operation lasts."""
        return

    def provisioned(self, resource: Resource) -> None:
        """It has succeeded."""
        return

    def check_deletion(self, resource: Resource) -> None:
        """Raises ArmError while something needs it."""
        return

    async def destroy(self, resource: Resource) -> None:
        return

    def shown(self, resource: Resource) -> Body:
        """As a GET has it."""
        head: Body = {"id": resource.id, "name": resource.name, "type": resource.type}
        if self.has_system_data:
            when = resource.created.isoformat()
            head["systemData"] = {"createdBy": "sandbox", "createdByType": "User", "createdAt": when}
        return {**head, **resource.body}


class ResourceApi:
    """The requests for one kind."""

    def __init__(self, kind: Kind, cloud: Cloud) -> None:
        self._kind, self._cloud = kind, cloud

    def routes(self, router: Router) -> None:
        provider = f"/providers/{self._kind.type}"
        everywhere = "/subscriptions/{subscription}"
        group = everywhere + "/resourceGroups/{group}"
        router.add("GET", everywhere + provider, self.list_all)
        router.add("GET", group + provider, self.list_in)
        one = group + provider + "/{name}"
        router.add("GET HEAD", one, self.get)
        router.add("PUT", one, self.put)
        router.add("DELETE", one, self.delete)

    def id_of(self, call: Call, group: Group) -> str:
        return f"{self._cloud.group_id(group.name)}/providers/{self._kind.type}/{call.names['name']}"

    def require(self, call: Call) -> Resource:
        group = self._cloud.group(call.names["group"])
        found = self._cloud.resource(self.id_of(call, group))
        if found is None:
            raise resource_not_found(self._kind.type, call.names["name"], group.name)
        return found

    async def get(self, call: Call) -> Answer:
        resource = self.require(call)
        if call.method == "HEAD":
            return Answer(204)
        return Answer(200, self._kind.shown(resource))

    async def list_all(self, call: Call) -> Answer:
        found = self._cloud.of_type(self._kind.type)
        return Answer(200, {"value": [self._kind.shown(each) for each in found]})

    async def list_in(self, call: Call) -> Answer:
        members = self._cloud.members(self._cloud.group(call.names["group"]))
        return Answer(200, {"value": [self._kind.shown(each) for each in members if each.type == self._kind.type]})

    async def put(self, call: Call) -> Answer:
        kind = self._kind
        self._cloud.require_provider(kind.namespace)
        group = self._cloud.group_to_write(call.names["group"])
        if not re.fullmatch(kind.names, call.names["name"]):
            message = f"Resource name {call.names['name']} is invalid. The name must be {kind.naming}."
            raise ArmError(400, "InvalidResourceName", message, target=call.names["name"])
        id_ = self.id_of(call, group)
        old = self._cloud.resource(id_)
        body = kind.fields.check(call.body, "")
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        body["location"] = self._cloud.require_location(body["location"], kind.type, call.names["name"])
        if old is not None:
            self.require_idle(old)
            _same_location(old, body["location"], group)
        return self.write(call, id_, kind.completed(id_, copy.deepcopy(body), old), old)

    def write(self, call: Call, id_: str, new: Body, old: Resource | None) -> Answer:
        """Have `new` from now on, and bring it about."""
        kind, cloud = self._kind, self._cloud
        group = call.names["group"].lower()
        resource = old or Resource(id_, kind.type, group, new)
        before = copy.deepcopy(old.body) if old else None
        resource.body, resource.changed = new, datetime.now(UTC)
        cloud.resources[id_.lower()] = resource
        status = 200 if old else 201
        if not kind.duration:
            kind.provisioned(resource)
            return Answer(status, kind.shown(resource))
        doing = kind.updating if old else kind.creating
        resource.properties["provisioningState"] = doing

        async def work() -> None:
            await asyncio.gather(cloud.elapse(kind.duration), kind.provision(resource, before))
            if (failure := cloud.failure(kind.type)) is not None:
                raise failure

        def done(error: ArmError | None) -> None:
            resource.operation = None
            resource.properties["provisioningState"] = "Failed" if error else "Succeeded"
            if error is None:
                kind.provisioned(resource)

        operation = self.operation(resource, doing, lambda: kind.shown(resource))
        resource.operation = cloud.operations.begin(operation, work, done)
        return Answer(status, kind.shown(resource), {"Azure-AsyncOperation": self.status_url(operation, call)})

    async def delete(self, call: Call) -> Answer:
        kind, cloud = self._kind, self._cloud
        group = cloud.group(call.names["group"])
        resource = cloud.resource(self.id_of(call, group))
        if resource is None:
            return Answer(204)
        if resource.operation is not None and resource.operation.doing == "Deleting":
            return self._deleting(call, resource.operation)
        self.require_idle(resource)
        kind.check_deletion(resource)
        if not kind.duration:
            await kind.destroy(resource)
            cloud.forget(resource)
            return Answer(200)
        return self._deleting(call, self.begin_deletion(resource))

    def begin_deletion(self, resource: Resource) -> Operation:
        kind, cloud = self._kind, self._cloud
        resource.properties["provisioningState"] = "Deleting"

        async def work() -> None:
            await asyncio.gather(cloud.elapse(kind.duration, deleting=True), kind.destroy(resource))

        def done(error: ArmError | None) -> None:
            resource.operation = None
            if error is None:
                cloud.forget(resource)
            else:
                resource.properties["provisioningState"] = "Failed"

        operation = self.operation(resource, "Deleting", lambda: None)
        resource.operation = cloud.operations.begin(operation, work, done)
        return operation

    def _deleting(self, call: Call, operation: Operation) -> Answer:
        headers = {"Location": self.result_url(operation, call)}
        if not self._kind.location_only:
            headers["Azure-AsyncOperation"] = self.status_url(operation, call)
        return Answer(202, None, headers)

    def require_idle(self, resource: Resource) -> None:
        if resource.operation is not None:
            message = (
                f"Operation is not allowed: Another operation ({resource.operation.doing}) is in progress, "
                f"please wait for it to finish before starting a new operation on '{resource.name}'."
            )
            raise ArmError(409, self._kind.busy_code, message, target=resource.name)

    def operation(self, resource: Resource, doing: str, result: Any) -> Operation:
        location = resource.body["location"]
        subscription = self._cloud.subscription
        path = f"/subscriptions/{subscription}/providers/{self._kind.namespace}/locations/{location}"
        return Operation(path, doing, result)

    def status_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operations/{operation.id}?api-version={call.version}"

    def result_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operationResults/{operation.id}?api-version={call.version}"


def _same_location(old: Resource, location: str, group: Group) -> None:
    there = old.body["location"]
    if there != location:
        message = (
            f"The resource '{old.name}' already exists in location '{there}' in resource group '{group.name}'. "
            f"A resource with the same name cannot be created in location '{location}'. "
            "Please select a new resource name."
        )
        raise ArmError(409, "InvalidResourceLocation", message)


def immutable(path: str, old: object, new: object) -> None:
    """Raises ArmError when a property that stays as it was made would change."""
    if old != new:
        raise ArmError(400, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)

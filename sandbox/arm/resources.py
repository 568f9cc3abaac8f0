"""What all kinds of resources have in common: PUT, PATCH, GET, LIST and DELETE with everything around them.

A kind (`Kind`) says what its body may hold, completes it, and does what has to be done; here are the order of the
checks, the preconditions (ETags), conflicts, long-running operations and their headers.
"""

from __future__ import annotations

import asyncio
import copy
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from sandbox.arm.cloud import Body, Cloud, Group, Resource
from sandbox.arm.errors import ArmError, resource_not_found
from sandbox.arm.fields import TAGS, Fields
from sandbox.arm.operations import Operation
from sandbox.arm.routes import Answer, Call, Router


class Kind(ABC):
    """One kind of resource. `checked` and `completed` must not change what is there; `provision` does."""

    type: ClassVar[str]
    fields: ClassVar[Fields]
    names: ClassVar[str]
    """The pattern of a name, and in words what it must be."""
    naming: ClassVar[str]
    lasts: ClassVar[str] = ""
    """The duration's name; empty when everything is done at once."""
    creating: ClassVar[str] = "Creating"
    updating: ClassVar[str] = "Updating"
    busy_code: ClassVar[str] = "AnotherOperationInProgress"
    etag_field: ClassVar[str] = "etag"
    has_system_data: ClassVar[bool] = False
    """Whether it tells who made it, and when. Not all kinds do: managed clusters, for one, answer null."""
    location_only: ClassVar[bool] = False
    """Deletion is followed by `Location`, not by `Azure-AsyncOperation`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @property
    def namespace(self) -> str:
        return self.type.partition("/")[0]

    @property
    def short(self) -> str:
        return self.type.partition("/")[2]

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
        return {**head, self.etag_field: f'W/"{resource.revision}"', **resource.body}


class ResourceApi:
    """The requests for one kind."""

    def __init__(self, kind: Kind, cloud: Cloud) -> None:
        self._kind, self._cloud = kind, cloud

    def routes(self, router: Router) -> None:
        provider = f"/providers/{self._kind.type}"
        everywhere = "/subscriptions/{subscription}"
        group = everywhere + "/resourceGroups/{group}"
        router.add("GET", everywhere + provider, self.list_all)
        router.add("GET", group + provider, self.list_group)
        one = group + provider + "/{name}"
        router.add("GET HEAD", one, self.get)
        router.add("PUT", one, self.put)
        router.add("PATCH", one, self.patch)
        router.add("DELETE", one, self.delete)

    def id_of(self, call: Call, group: Group) -> str:
        return f"{self._cloud.group_id(group.name)}/providers/{self._kind.type}/{call.names['name']}"

    def require(self, call: Call) -> Resource:
        group = self._cloud.group(call.names["group"])
        found = self._cloud.find(self.id_of(call, group))
        if found is None:
            raise resource_not_found(self._kind.type, call.names["name"], group.name)
        return found

    async def get(self, call: Call) -> Answer:
        resource = self.require(call)
        if call.method == "HEAD":
            return Answer(204)
        return Answer(200, self._kind.shown(resource), {"ETag": f'W/"{resource.revision}"'})

    async def list_all(self, call: Call) -> Answer:
        found = self._cloud.of_type(self._kind.type)
        return Answer(200, {"value": [self._kind.shown(each) for each in found]})

    async def list_group(self, call: Call) -> Answer:
        group = self._cloud.group(call.names["group"])
        found = (each for each in self._cloud.members(group) if each.type == self._kind.type)
        return Answer(200, {"value": [self._kind.shown(each) for each in found]})

    async def put(self, call: Call) -> Answer:
        kind = self._kind
        self._cloud.require_provider(kind.namespace)
        group = self._cloud.group_to_write(call.names["group"])
        if not re.fullmatch(kind.names, call.names["name"]):
            raise ArmError(
                400,
                "InvalidResourceName",
                f"Resource name {call.names['name']} is invalid. The name must be {kind.naming}.",
                target=call.names["name"],
            )
        id_ = self.id_of(call, group)
        old = self._cloud.find(id_)
        check_preconditions(call, old.revision if old else None)
        body = kind.fields.check(call.body, "")
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        body["location"] = self._cloud.require_location(body["location"], kind.type, call.names["name"])
        if old is not None:
            self.require_idle(old)
            _same_location(old, body["location"], group)
        return self.write(call, id_, kind.completed(id_, copy.deepcopy(body), old), old)

    async def patch(self, call: Call) -> Answer:
        """Tags and, for kinds that say so, more: an object over what is there."""
        self._cloud.require_provider(self._kind.namespace)
        resource = self.require(call)
        self._cloud.group_to_write(call.names["group"])
        check_preconditions(call, resource.revision)
        body = Fields({"tags": TAGS}).check(call.body, "")
        self.require_idle(resource)
        resource.body["tags"] = body.get("tags", {})
        resource.touch()
        return Answer(200, self._kind.shown(resource), {"ETag": f'W/"{resource.revision}"'})

    def write(self, call: Call, id_: str, new: Body, old: Resource | None) -> Answer:
        """Have `new` from now on, and bring it about."""
        kind, cloud = self._kind, self._cloud
        group = call.names["group"].lower()
        resource = old or Resource(id_, kind.type, group, new)
        before = copy.deepcopy(old.body) if old else None
        resource.body = new
        resource.touch()
        cloud.resources[id_.lower()] = resource
        status = 200 if old else 201
        if not kind.lasts:
            kind.provisioned(resource)
            return Answer(status, kind.shown(resource), {"ETag": f'W/"{resource.revision}"'})
        doing = kind.updating if old else kind.creating
        resource.properties["provisioningState"] = doing

        async def work() -> None:
            await asyncio.gather(cloud.last(kind.lasts), kind.provision(resource, before))
            if (failure := cloud.failure(kind.type)) is not None:
                raise failure

        def done(error: ArmError | None) -> None:
            resource.operation = None
            resource.properties["provisioningState"] = "Failed" if error else "Succeeded"
            resource.touch()
            if error is None:
                kind.provisioned(resource)

        operation = self.operation(resource, doing, lambda: kind.shown(resource))
        resource.operation = cloud.operations.begin(operation, work, done)
        return Answer(status, kind.shown(resource), {"Azure-AsyncOperation": self.status_url(operation, call)})

    async def delete(self, call: Call) -> Answer:
        kind, cloud = self._kind, self._cloud
        group = cloud.group(call.names["group"])
        resource = cloud.find(self.id_of(call, group))
        if resource is None:
            return Answer(204)
        check_preconditions(call, resource.revision)
        if resource.operation is not None and resource.operation.doing == "Deleting":
            return self._deleting(call, resource.operation)
        self.require_idle(resource)
        kind.check_deletion(resource)
        if not kind.lasts:
            await kind.destroy(resource)
            cloud.forget(resource)
            return Answer(200)
        return self._deleting(call, self.begin_deletion(resource))

    def begin_deletion(self, resource: Resource) -> Operation:
        kind, cloud = self._kind, self._cloud
        resource.properties["provisioningState"] = "Deleting"
        resource.touch()

        async def work() -> None:
            await asyncio.gather(cloud.last(kind.lasts, deleting=True), kind.destroy(resource))

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
            raise ArmError(
                409,
                self._kind.busy_code,
                f"Operation is not allowed: Another operation ({resource.operation.doing}) is in progress, "
                f"please wait for it to finish before starting a new operation on '{resource.name}'.",
                target=resource.name,
            )

    def operation(self, resource: Resource, doing: str, result: Any) -> Operation:
        location = resource.body["location"]
        subscription = self._cloud.subscription
        path = f"/subscriptions/{subscription}/providers/{self._kind.namespace}/locations/{location}"
        return Operation(path, doing, result)

    def status_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operations/{operation.id}?api-version={call.version}"

    def result_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operationResults/{operation.id}?api-version={call.version}"


def check_preconditions(call: Call, revision: str | None) -> None:
    """`If-Match` and `If-None-Match`."""
    wanted, unwanted = call.headers.get("If-Match"), call.headers.get("If-None-Match")
    current = None if revision is None else {"*", f'W/"{revision}"', f'"{revision}"', revision}
    if wanted is not None and (current is None or not current & _listed(wanted)):
        raise ArmError(412, "PreconditionFailed", f"The resource does not match the etag {wanted}.")
    if unwanted is not None and current is not None and current & _listed(unwanted):
        raise ArmError(412, "PreconditionFailed", f"The resource matches the etag {unwanted}.")


def _listed(header: str) -> set[str]:
    return {each.strip() for each in header.split(",")}


def _same_location(old: Resource, location: str, group: Group) -> None:
    there = old.body["location"]
    if there != location:
        raise ArmError(
            409,
            "InvalidResourceLocation",
            f"The resource '{old.name}' already exists in location '{there}' in resource group '{group.name}'. "
            f"A resource with the same name cannot be created in location '{location}'. "
            "Please select a new resource name.",
        )


def immutable(path: str, old: object, new: object) -> None:
    """Raises ArmError when a property that stays as it was made would change."""
    if old != new:
        raise ArmError(
            400,
            "PropertyChangeNotAllowed",
            f"Changing property '{path}' is not allowed.",
            target=path,
        )

"""Resource groups, what is in them, and resources of kinds that nobody here can make."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sandbox.arm.cloud import Cloud, Group, Operation, Resource
from sandbox.arm.protocol import (
    NOT_SUPPORTED,
    READ_ONLY,
    TRACKED,
    Answer,
    ArmError,
    Body,
    Call,
    Fields,
    Router,
    not_served,
    resource_not_found,
)
from sandbox.arm.resource_api import ResourceApi

_NAME = r"[-\w.()]{0,89}[-\w()]"
_EXPANSIONS: Mapping[str, Callable[[Resource], str]] = {
    "createdTime": lambda resource: resource.created.isoformat(),
    "changedTime": lambda resource: resource.changed.isoformat(),
    "provisioningState": lambda resource: resource.properties.get("provisioningState", "Succeeded"),
}
_FILTERS: Mapping[str, Callable[[Resource], str]] = {
    "resourcegroup": lambda resource: resource.group,
    "resourcetype": lambda resource: resource.type,
    "name": lambda resource: resource.name,
    "location": lambda resource: resource.body["location"],
}
_TERM = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*", re.IGNORECASE)
_BODY = Fields(
    {**TRACKED, "managedBy": READ_ONLY, "properties": Fields({"provisioningState": READ_ONLY})},
    required=("location",),
)


class Groups:
    """`apis` are the kinds that can be made, by type in lower case."""

    def __init__(self, cloud: Cloud, apis: Mapping[str, ResourceApi]) -> None:
        self._cloud, self._apis = cloud, apis

    def routes(self, router: Router) -> None:
        """The last of all: what is in a group and has no path of its own is found here."""
        subscription = "/subscriptions/{subscription}"
        router.add("GET", subscription + "/resourceGroups", self.list)
        one = subscription + "/resourceGroups/{group}"
        router.add("GET HEAD", one, self.get)
        router.add("PUT", one, self.put)
        router.add("DELETE", one, self.delete)
        router.add("GET", one + "/resources", self.list_in)
        router.add("GET", subscription + "/resources", self.list_everywhere)
        router.add("GET", subscription + "/operationresults/{operation}", self.result)
        router.add("GET HEAD DELETE", one + "/providers/{resource*}", self.other)

    async def list(self, call: Call) -> Answer:
        _refuse(call, "$filter", "$top", "$skiptoken")
        return Answer(200, {"value": [self._show(each) for each in self._cloud.groups.values()]})

    async def get(self, call: Call) -> Answer:
        if call.method == "HEAD":
            return Answer(204 if call.names["group"].lower() in self._cloud.groups else 404)
        return Answer(200, self._show(self._cloud.group(call.names["group"])))

    async def put(self, call: Call) -> Answer:
        name = call.names["group"]
        if not re.fullmatch(_NAME, name):
            message = (
                f"The resource group name '{name}' is invalid: 1 to 90 letters, digits, '_', '-', '.' and "
                "parentheses, not ending with a '.'."
            )
            raise ArmError(400, "InvalidParameter", message, target="resourceGroupName")
        body = _BODY.check(call.body, "")
        location = self._cloud.require_location(body["location"], "Microsoft.Resources/resourceGroups", name)
        there = self._cloud.groups.get(name.lower())
        if there is None:
            made = self._cloud.groups[name.lower()] = Group(name, location, body.get("tags", {}))
            self.place_foreign()
            return Answer(201, self._show(made))
        self._cloud.group_to_write(name)
        if there.location != location:
            message = (
                f"Invalid resource group location '{location}'. The Resource group already exists in location "
                f"'{there.location}'."
            )
            raise ArmError(409, "InvalidResourceGroupLocation", message)
        there.tags = body.get("tags", {})
        return Answer(200, self._show(there))

    async def delete(self, call: Call) -> Answer:
        group = self._cloud.group_to_write(call.names["group"])
        if group.managed_by:
            message = f"The resource group '{group.name}' is managed by {group.managed_by}: delete that instead."
            raise ArmError(403, "DenyAssignmentAuthorizationFailed", message)
        group.deleting = True

        def done(error: ArmError | None) -> None:
            group.deleting = False
            if error is None:
                del self._cloud.groups[group.name.lower()]
                prefix = self._cloud.group_id(group.name).lower() + "/"
                for id_ in [each for each in self._cloud.assignments if each.startswith(prefix)]:
                    del self._cloud.assignments[id_]

        operation = Operation(f"/subscriptions/{self._cloud.subscription}", "Deleting", lambda: None)
        self._cloud.operations.begin(operation, lambda: self._empty(group), done)
        return Answer(202, None, {"Location": self._result_url(operation, call)})

    async def _empty(self, group: Group) -> None:
        members = list(self._cloud.members(group))
        elapsing = self._cloud.elapse("group", deleting=True)
        await asyncio.gather(elapsing, *(self._remove(each) for each in members))

    async def _remove(self, resource: Resource) -> None:
        while resource.operation is not None:
            await resource.operation.finished.wait()
        if self._cloud.resource(resource.id) is None:
            return
        api = self._apis.get(resource.type.lower())
        if api is None:
            self._cloud.forget(resource)
            return
        operation = api.begin_deletion(resource)
        await operation.finished.wait()
        if operation.error:
            raise operation.error

    async def result(self, call: Call) -> Answer:
        operation = self._cloud.operations.get(call.names["operation"])
        if operation.ended is None:
            return Answer(202, None, {"Location": self._result_url(operation, call)})
        if operation.error is not None:
            raise operation.error
        return Answer(200)

    def _result_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operationresults/{operation.id}?api-version={call.version}"

    # What is in a group.

    async def list_in(self, call: Call) -> Answer:
        return self._listed(call, list(self._cloud.members(self._cloud.group(call.names["group"]))))

    async def list_everywhere(self, call: Call) -> Answer:
        return self._listed(call, list(self._cloud.resources.values()))

    def _listed(self, call: Call, among: Sequence[Resource]) -> Answer:
        """What was created when is told on request only, as Azure does."""
        _refuse(call, "$top", "$skiptoken")
        expanded = [each for each in call.query.get("$expand", "").split(",") if each]
        for each in expanded:
            if each not in _EXPANSIONS:
                raise ArmError(400, "InvalidExpandInQueryString", f"$expand={each} is {NOT_SUPPORTED}.")
        tests = list(_filter(call.query.get("$filter", "")))
        shown = [
            {**_brief(each), **{name: _EXPANSIONS[name](each) for name in expanded}}
            for each in among
            if all(test(each) for test in tests)
        ]
        return Answer(200, {"value": shown})

    async def other(self, call: Call) -> Answer:
        group = self._cloud.group(call.names["group"])
        id_ = f"{self._cloud.group_id(group.name)}/providers/{call.names['resource']}"
        found = self._cloud.resource(id_)
        if found is None or found.type.lower() in self._apis:
            kind, _, name = call.names["resource"].rpartition("/")
            if any(each.type.lower() == kind.lower() for each in self._cloud.resources.values()):
                raise resource_not_found(kind, name, group.name)
            raise not_served(call.path)
        if call.method == "DELETE":
            self._cloud.forget(found)
            return Answer(200)
        if call.method == "HEAD":
            return Answer(204)
        return Answer(200, {**_brief(found), "properties": found.properties})

    def place_foreign(self) -> None:
        """Put the resources of the settings where their groups are."""
        for said in self._cloud.settings.foreign:
            group = self._cloud.groups.get(said.group.lower())
            if group is not None:
                id_ = f"{self._cloud.group_id(group.name)}/providers/{said.type}/{said.name}"
                body: Body = {"location": group.location, "tags": dict(said.tags), "properties": {}}
                self._cloud.resources.setdefault(id_.lower(), Resource(id_, said.type, group.name.lower(), body))

    def _show(self, group: Group) -> Body:
        shown: Body = {
            "id": self._cloud.group_id(group.name),
            "name": group.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": group.location,
            "tags": group.tags,
            "properties": {"provisioningState": "Deleting" if group.deleting else "Succeeded"},
        }
        if group.managed_by:
            shown["managedBy"] = group.managed_by
        return shown


def _brief(resource: Resource) -> Body:
    """As lists of resources of several kinds have it: without its properties."""
    kept = {name: value for name, value in resource.body.items() if name != "properties"}
    return {"id": resource.id, "name": resource.name, "type": resource.type, **kept}


def _filter(text: str) -> Iterator[Callable[[Resource], bool]]:
    """What a `$filter` asks of a resource: `resourceGroup eq 'g' and tagName eq 't' and tagValue eq 'v'`."""
    terms = re.split(r"\band\b", text, flags=re.IGNORECASE) if text.strip() else []
    asked: dict[str, str] = {}
    for term in terms:
        found = _TERM.fullmatch(term)
        if found is None or found[1].lower() not in {*_FILTERS, "tagname", "tagvalue"}:
            raise ArmError(400, "InvalidFilterInQueryString", f"$filter: '{term.strip()}' is {NOT_SUPPORTED}.")
        asked[found[1].lower()] = found[2]
    name, value = asked.pop("tagname", None), asked.pop("tagvalue", None)
    if name is not None:
        yield lambda resource: name in (tags := resource.body.get("tags", {})) and value in (None, tags[name])
    for field, wanted in asked.items():
        yield partial(_is, _FILTERS[field], wanted.lower())


def _is(field: Callable[[Resource], str], wanted: str, resource: Resource) -> bool:
    return field(resource).lower() == wanted


def _refuse(call: Call, *parameters: str) -> None:
    for name in parameters:
        if name in call.query:
            raise ArmError(400, "InvalidQueryParameter", f"{name} is {NOT_SUPPORTED}: answers have all there is.")

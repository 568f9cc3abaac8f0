"""Resource groups, what is in them, and resources of kinds that nobody here can make."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping

from sandbox.arm.cloud import Body, Cloud, Group, Resource
from sandbox.arm.errors import ArmError, resource_not_found
from sandbox.arm.fields import READ_ONLY, TAGS, TRACKED, Fields, Text
from sandbox.arm.operations import Operation
from sandbox.arm.resources import ResourceApi
from sandbox.arm.routes import Answer, Call, Router, not_served

_NAME = r"[-\w.()]{0,89}[-\w()]"
_BODY = Fields(
    {**TRACKED, "managedBy": READ_ONLY, "properties": Fields({"provisioningState": READ_ONLY})},
    required=("location",),
)
_CHANGE = Fields({"tags": TAGS, "name": Text(), "properties": Fields({"provisioningState": READ_ONLY})})
_TERM = re.compile(r"(resourceType|tagName|tagValue|name) eq '([^']*)'")


_EXPANDED: dict[str, Callable[[Resource], str]] = {"createdTime": lambda resource: resource.created.isoformat()}


class Groups:
    """`apis` are the kinds that can be made, by type in lower case."""

    def __init__(self, cloud: Cloud, apis: Mapping[str, ResourceApi]) -> None:
        self._cloud, self._apis = cloud, apis

    def routes(self, router: Router) -> None:
        """The last of all: what is in a group and has no path of its own is found here."""
        subscription = "/subscriptions/{subscription}"
        router.add("GET", subscription + "/resourceGroups", self.list)
        router.add("GET", subscription + "/resources", self.list_resources)
        one = subscription + "/resourceGroups/{group}"
        router.add("GET HEAD", one, self.get)
        router.add("PUT", one, self.put)
        router.add("PATCH", one, self.patch)
        router.add("DELETE", one, self.delete)
        router.add("GET", one + "/resources", self.list_in)
        router.add("GET", subscription + "/operationresults/{operation}", self.result)
        router.add("GET HEAD DELETE", one + "/providers/{resource*}", self.other)

    async def list(self, call: Call) -> Answer:
        terms = _terms(call)
        groups = (each for each in self._cloud.groups.values() if _tagged(each.tags, terms))
        return Answer(200, {"value": [self._show(each) for each in groups]})

    async def get(self, call: Call) -> Answer:
        if call.method == "HEAD":
            return Answer(204 if call.names["group"].lower() in self._cloud.groups else 404)
        return Answer(200, self._show(self._cloud.group(call.names["group"])))

    async def put(self, call: Call) -> Answer:
        name = call.names["group"]
        if not re.fullmatch(_NAME, name):
            raise ArmError(
                400,
                "InvalidParameter",
                f"The resource group name '{name}' is invalid: 1 to 90 letters, digits, '_', '-', '.' and "
                "parentheses, not ending with a '.'.",
                target="resourceGroupName",
            )
        body = _BODY.check(call.body, "")
        location = self._cloud.require_location(body["location"], "Microsoft.Resources/resourceGroups", name)
        there = self._cloud.groups.get(name.lower())
        if there is None:
            made = self._cloud.groups[name.lower()] = Group(name, location, body.get("tags", {}))
            self.place_foreign()
            return Answer(201, self._show(made))
        self._cloud.group_to_write(name)
        if there.location != location:
            raise ArmError(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{location}'. The Resource group already exists in location "
                f"'{there.location}'.",
            )
        there.tags = body.get("tags", {})
        return Answer(200, self._show(there))

    async def patch(self, call: Call) -> Answer:
        group = self._cloud.group_to_write(call.names["group"])
        group.tags = _CHANGE.check(call.body, "").get("tags", group.tags)
        return Answer(200, self._show(group))

    async def delete(self, call: Call) -> Answer:
        group = self._cloud.group_to_write(call.names["group"])
        if group.managed_by:
            raise ArmError(
                403,
                "DenyAssignmentAuthorizationFailed",
                f"The resource group '{group.name}' is managed by {group.managed_by}: delete that instead.",
            )
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
        lasts = self._cloud.last("group", deleting=True)
        await asyncio.gather(lasts, *(self._remove(each) for each in members))

    async def _remove(self, resource: Resource) -> None:
        while resource.operation is not None:
            await resource.operation.finished.wait()
        if self._cloud.find(resource.id) is None:
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
        operation = self._cloud.operations.find(call.names["operation"])
        if operation.ended is None:
            return Answer(202, None, {"Location": self._result_url(operation, call)})
        if operation.error is not None:
            raise operation.error
        return Answer(200)

    def _result_url(self, operation: Operation, call: Call) -> str:
        return f"{self._cloud.url}{operation.path}/operationresults/{operation.id}?api-version={call.version}"

    # What is in a group.

    async def list_in(self, call: Call) -> Answer:
        return self._listed(call, self._cloud.members(self._cloud.group(call.names["group"])))

    async def list_resources(self, call: Call) -> Answer:
        return self._listed(call, self._cloud.resources.values())

    def _listed(self, call: Call, resources: Iterable[Resource]) -> Answer:
        terms, expanded = _terms(call), _expanded(call)
        found = []
        for each in resources:
            if terms.get("resourceType", each.type).lower() != each.type.lower():
                continue
            if terms.get("name", each.name).lower() == each.name.lower() and _tagged(each.body.get("tags"), terms):
                found.append(_brief(each) | {name: tell(each) for name, tell in expanded.items()})
        return Answer(200, {"value": found})

    async def other(self, call: Call) -> Answer:
        group = self._cloud.group(call.names["group"])
        id_ = f"{self._cloud.group_id(group.name)}/providers/{call.names['resource']}"
        found = self._cloud.find(id_)
        if found is None or found.type.lower() in self._apis:
            if any(each.type.lower() in call.path.lower() for each in self._cloud.resources.values()):
                kind, _, name = call.names["resource"].rpartition("/")
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
            group = self._cloud.groups.get(said["group"].lower())
            if group is not None:
                id_ = f"{self._cloud.group_id(group.name)}/providers/{said['type']}/{said['name']}"
                body: Body = {"location": group.location, "tags": dict(said.get("tags", {})), "properties": {}}
                self._cloud.resources.setdefault(id_.lower(), Resource(id_, said["type"], group.name.lower(), body))

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


def _terms(call: Call) -> dict[str, str]:
    """The equalities of `$filter`. Raises ArmError for any other filter, and for what is not served."""
    wanted = call.query.get("$filter", "")
    terms = dict(_TERM.findall(wanted))
    if wanted and not re.fullmatch(rf"{_TERM.pattern}( and {_TERM.pattern})*", wanted):
        raise ArmError(400, "InvalidFilterInQueryString", f"The filter '{wanted}' is not supported by the sandbox.")
    if "$top" in call.query or "$skiptoken" in call.query:
        raise ArmError(400, "InvalidQueryParameter", "$top is not supported by the sandbox: answers have one page.")
    return terms


def _expanded(call: Call) -> dict[str, Callable[[Resource], str]]:
    """What `$expand` asks for besides. Raises ArmError for what is not served."""
    wanted = [each for each in call.query.get("$expand", "").split(",") if each]
    if unknown := [each for each in wanted if each not in _EXPANDED]:
        raise ArmError(400, "InvalidExpandInQueryString", f"$expand={unknown[0]} is not supported by the sandbox.")
    return {each: _EXPANDED[each] for each in wanted}


def _tagged(tags: Mapping[str, str] | None, terms: Mapping[str, str]) -> bool:
    own = {name.lower(): value for name, value in (tags or {}).items()}
    if "tagName" in terms and terms["tagName"].lower() not in own:
        return False
    return "tagValue" not in terms or own.get(terms.get("tagName", "").lower()) == terms["tagValue"]

"""Role assignments, on any scope that is there, and the definitions of the few roles they may give."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from sandbox.arm.cloud import Body, Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.fields import READ_ONLY, Fields, Text
from sandbox.arm.places import ROLES
from sandbox.arm.routes import Answer, Call, Router

_TYPE = "Microsoft.Authorization/roleAssignments"
_DEFINITION = "/providers/Microsoft.Authorization/roleDefinitions/"
_SCOPED = "/{scope*}/providers/Microsoft.Authorization/"
_ASSIGNMENT = Fields(
    {
        "id": READ_ONLY,
        "name": READ_ONLY,
        "type": READ_ONLY,
        "properties": Fields(
            {
                "scope": READ_ONLY,
                "createdOn": READ_ONLY,
                "updatedOn": READ_ONLY,
                "createdBy": READ_ONLY,
                "updatedBy": READ_ONLY,
                "roleDefinitionId": Text(),
                "principalId": Text(),
                "principalType": Text("ServicePrincipal", "User", "Group"),
                "description": Text(),
            },
            required=("roleDefinitionId", "principalId"),
        ),
    },
    required=("properties",),
)
_PRINCIPAL_FILTER = re.compile(r"principalId eq '([^']+)'")
_ROLE_FILTER = re.compile(r"roleName eq '([^']+)'")


class Roles:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        one = _SCOPED + "roleAssignments/{assignment}"
        router.add("GET", one, self.get)
        router.add("PUT", one, self.put)
        router.add("DELETE", one, self.delete)
        router.add("GET", _SCOPED + "roleAssignments", self.list)
        router.add("GET", _SCOPED + "roleDefinitions", self.definitions)
        router.add("GET", _SCOPED + "roleDefinitions/{role}", self.definition)

    async def get(self, call: Call) -> Answer:
        found = self._cloud.assignments.get(_id(call).lower())
        if found is None:
            raise ArmError(
                404, "RoleAssignmentNotFound", f"The role assignment '{call.names['assignment']}' is not found."
            )
        return Answer(200, found)

    async def put(self, call: Call) -> Answer:
        scope = self._scope(call)
        name = call.names["assignment"]
        try:
            uuid.UUID(name)
        except ValueError:
            raise ArmError(
                400, "InvalidRoleAssignmentId", f"The role assignment ID '{name}' is not valid: it must be a GUID."
            ) from None
        given = _ASSIGNMENT.check(call.body, "")["properties"]
        role = given["roleDefinitionId"].rpartition("/")[2].lower()
        if role not in ROLES or _DEFINITION.lower() not in given["roleDefinitionId"].lower():
            raise ArmError(
                400,
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{role}' does not exist (the sandbox has "
                f"{', '.join(ROLES.values())}).",
            )
        if not self._cloud.knows_principal(given["principalId"]):
            raise ArmError(
                400,
                "PrincipalNotFound",
                f"Principal {given['principalId']} does not exist in the directory {self._cloud.tenant}. Check "
                "that you have the correct principal ID. If you are creating this principal and then immediately "
                "assigning a role, this error might be related to a replication delay. In this case, set the role "
                "assignment principalType property to a value, such as ServicePrincipal, User, or Group.",
            )
        return self._keep(call, scope, {**given, "roleDefinitionId": self._definition_id(role)})

    def _keep(self, call: Call, scope: str, given: Body) -> Answer:
        id_ = _id(call)
        same = ("roleDefinitionId", "principalId", "scope")
        wanted = {**given, "scope": scope}
        for there, assignment in self._cloud.assignments.items():
            equal = all(assignment["properties"][key].lower() == wanted[key].lower() for key in same)
            if there == id_.lower():
                if equal:
                    return Answer(200, assignment)
                raise ArmError(
                    400,
                    "RoleAssignmentUpdateNotPermitted",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                )
            if equal:
                raise ArmError(
                    409,
                    "RoleAssignmentExists",
                    "The role assignment already exists. The ID of the existing role assignment is "
                    f"{uuid.UUID(assignment['name']).hex}.",
                )
        now = datetime.now(UTC).isoformat()
        properties = {"principalType": "ServicePrincipal", **wanted, "createdOn": now, "updatedOn": now}
        made = {"id": id_, "name": call.names["assignment"], "type": _TYPE, "properties": properties}
        self._cloud.assignments[id_.lower()] = made
        return Answer(201, made)

    async def delete(self, call: Call) -> Answer:
        gone = self._cloud.assignments.pop(_id(call).lower(), None)
        return Answer(204) if gone is None else Answer(200, gone)

    async def list(self, call: Call) -> Answer:
        """On the scope, above it, and (without `$filter=atScope()`) below."""
        scope = self._scope(call).lower()
        wanted = call.query.get("$filter", "")
        principal = _PRINCIPAL_FILTER.search(wanted)
        if wanted and not principal and wanted != "atScope()":
            raise ArmError(400, "InvalidFilter", f"The filter '{wanted}' is not supported by the sandbox.")
        found = []
        for assignment in self._cloud.assignments.values():
            own = assignment["properties"]["scope"].lower()
            above = _within(scope, own)
            if not above and not (_within(own, scope) and wanted != "atScope()"):
                continue
            if principal and assignment["properties"]["principalId"] != principal[1]:
                continue
            found.append(assignment)
        return Answer(200, {"value": found})

    async def definitions(self, call: Call) -> Answer:
        wanted = call.query.get("$filter", "")
        name = _ROLE_FILTER.fullmatch(wanted)
        if wanted and not name:
            raise ArmError(400, "InvalidFilter", f"The filter '{wanted}' is not supported by the sandbox.")
        found = [role for role, words in ROLES.items() if not name or words == name[1]]
        return Answer(200, {"value": [self._show(role) for role in found]})

    async def definition(self, call: Call) -> Answer:
        role = call.names["role"].lower()
        if role not in ROLES:
            raise ArmError(
                404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role}' does not exist."
            )
        return Answer(200, self._show(role))

    def _scope(self, call: Call) -> str:
        """The path's scope, which must be there."""
        scope = "/" + call.names["scope"]
        cloud, parts = self._cloud, scope.split("/")
        if parts[1].lower() == "subscriptions" and len(parts) == 3:
            return scope
        if len(parts) >= 5 and parts[3].lower() == "resourcegroups":
            cloud.group(parts[4])
            if len(parts) == 5 or cloud.find(scope) or cloud.find(scope.lower().partition("/subnets/")[0]):
                return scope
        raise ArmError(404, "ResourceNotFound", f"The scope '{scope}' was not found.")

    def _definition_id(self, role: str) -> str:
        return f"/subscriptions/{self._cloud.subscription}{_DEFINITION}{role}"

    def _show(self, role: str) -> Body:
        return {
            "id": self._definition_id(role),
            "name": role,
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {"roleName": ROLES[role], "type": "BuiltInRole", "assignableScopes": ["/"]},
        }


def _id(call: Call) -> str:
    return f"/{call.names['scope']}/providers/{_TYPE}/{call.names['assignment']}"


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")

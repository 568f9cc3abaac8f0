"""User-assigned identities, and roles given to them: assignments of a few roles, on any scope that is there."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from sandbox.arm.catalog import ROLES
from sandbox.arm.cloud import Cloud, Resource
from sandbox.arm.protocol import (
    NOT_SUPPORTED,
    TRACKED,
    Answer,
    ArmError,
    Body,
    Call,
    Fields,
    Router,
    Text,
    read_only,
    unused,
)
from sandbox.arm.resource_api import Kind

IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"


class Identities(Kind):
    type = IDENTITY
    names = r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}"
    naming = "3 to 128 letters, digits, '_' and '-', beginning with a letter or digit"
    has_system_data = True
    fields = Fields(
        {
            **TRACKED,
            "properties": Fields(
                {**read_only("tenantId", "principalId", "clientId"), **unused(isolationScope="None")}
            ),
        }
    )

    def completed(self, id_: str, body: Body, old: Resource | None) -> Body:
        own = old.properties if old else new_identity(self.cloud.tenant)
        return {**body, "properties": dict(own)}

    def provisioned(self, resource: Resource) -> None:
        if not self.cloud.knows_principal(resource.properties["principalId"]):
            self.cloud.add_principal(resource.properties["principalId"])

    def check_deletion(self, resource: Resource) -> None:
        for cluster in self.cloud.of_type("Microsoft.ContainerService/managedClusters"):
            used = cluster.body.get("identity", {}).get("userAssignedIdentities", {})
            if resource.id.lower() in {each.lower() for each in used}:
                message = f"The identity '{resource.name}' is in use by {cluster.id}: delete that first."
                raise ArmError(409, "Conflict", message, target=resource.name)

    async def destroy(self, resource: Resource) -> None:
        self.cloud.remove_principal(resource.properties["principalId"])


def new_identity(tenant: str) -> Body:
    return {"tenantId": tenant, "principalId": str(uuid.uuid4()), "clientId": str(uuid.uuid4())}


_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_DEFINITION = "/providers/Microsoft.Authorization/roleDefinitions/"
_ASSIGNMENT = Fields(
    {
        **read_only("id", "name", "type"),
        "properties": Fields(
            {
                **read_only("scope", "createdOn", "updatedOn", "createdBy", "updatedBy"),
                "roleDefinitionId": Text(),
                "principalId": Text(),
                "principalType": Text("ServicePrincipal", "User", "Group"),
                "description": Text(),
                **unused("condition", "conditionVersion", "delegatedManagedIdentityResourceId"),
            },
            required=("roleDefinitionId", "principalId"),
        ),
    },
    required=("properties",),
)


class Roles:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        one = f"/{{scope*}}/providers/{_ASSIGNMENTS}/{{assignment}}"
        scope = "/{scope*}/providers/Microsoft.Authorization"
        router.add("GET", f"{scope}/roleAssignments", self.list)
        router.add("GET", f"{scope}/roleDefinitions", self.list_definitions)
        router.add("GET", f"{scope}/roleDefinitions/{{role}}", self.get_definition)
        router.add("GET", one, self.get)
        router.add("PUT", one, self.put)
        router.add("DELETE", one, self.delete)

    async def list(self, call: Call) -> Answer:
        """Those at the scope and above it, and unless it is about `atScope()` those below it."""
        scope, asked = f"/{call.names['scope']}".lower(), call.query.get("$filter", "").strip()
        principal = re.fullmatch(r"(?:principalId\s+eq|assignedTo\()\s*'([^']*)'\)?", asked, re.IGNORECASE)
        if asked and principal is None and asked.lower() != "atscope()":
            raise ArmError(400, "InvalidFilter", f"$filter: '{asked}' is {NOT_SUPPORTED}.")
        shown = []
        for each in self._cloud.assignments.values():
            place = each["properties"]["scope"].lower()
            at_it = f"{scope}/".startswith(f"{place}/") or (
                asked.lower() != "atscope()" and place.startswith(f"{scope}/")
            )
            if at_it and (principal is None or each["properties"]["principalId"].lower() == principal[1].lower()):
                shown.append(each)
        return Answer(200, {"value": shown})

    async def list_definitions(self, call: Call) -> Answer:
        """By name, as `az role assignment create --role` looks for it: whatever its case."""
        asked = call.query.get("$filter", "").strip()
        name = re.fullmatch(r"roleName\s+eq\s+'([^']*)'", asked, re.IGNORECASE)
        if asked and name is None and asked.lower() != "type eq 'builtinrole'":
            raise ArmError(400, "InvalidFilter", f"$filter: '{asked}' is {NOT_SUPPORTED}.")
        wanted = None if name is None else name[1].lower()
        shown = [self._show(role) for role, words in ROLES.items() if wanted in (None, words.lower())]
        return Answer(200, {"value": shown})

    async def get_definition(self, call: Call) -> Answer:
        role = call.names["role"].lower()
        if role not in ROLES:
            raise ArmError(404, "RoleDefinitionDoesNotExist", f"{_no_such_role(role)}.")
        return Answer(200, self._show(role))

    def _show(self, role: str) -> Body:
        properties = {"roleName": ROLES[role], "type": "BuiltInRole", "assignableScopes": ["/"]}
        kind = "Microsoft.Authorization/roleDefinitions"
        return {"id": self._definition_id(role), "name": role, "type": kind, "properties": properties}

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
            raise ArmError(400, "RoleDefinitionDoesNotExist", f"{_no_such_role(role)}.")
        if not self._cloud.knows_principal(given["principalId"]):
            message = (
                f"Principal {given['principalId']} does not exist in the directory {self._cloud.tenant}. Check "
                "that you have the correct principal ID. If you are creating this principal and then immediately "
                "assigning a role, this error might be related to a replication delay. In this case, set the role "
                "assignment principalType property to a value, such as ServicePrincipal, User, or Group."
            )
            raise ArmError(400, "PrincipalNotFound", message)
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
                message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
                raise ArmError(400, "RoleAssignmentUpdateNotPermitted", message)
            if equal:
                message = (
                    "The role assignment already exists. The ID of the existing role assignment is "
                    f"{uuid.UUID(assignment['name']).hex}."
                )
                raise ArmError(409, "RoleAssignmentExists", message)
        now = datetime.now(UTC).isoformat()
        properties = {"principalType": "ServicePrincipal", **wanted, "createdOn": now, "updatedOn": now}
        made = {"id": id_, "name": call.names["assignment"], "type": _ASSIGNMENTS, "properties": properties}
        self._cloud.assignments[id_.lower()] = made
        return Answer(201, made)

    async def delete(self, call: Call) -> Answer:
        gone = self._cloud.assignments.pop(_id(call).lower(), None)
        return Answer(204) if gone is None else Answer(200, gone)

    def _scope(self, call: Call) -> str:
        """The path's scope, which must be there."""
        scope = "/" + call.names["scope"]
        cloud, parts = self._cloud, scope.split("/")
        if parts[1].lower() == "subscriptions" and len(parts) == 3:
            return scope
        if len(parts) >= 5 and parts[3].lower() == "resourcegroups":
            cloud.group(parts[4])
            if len(parts) == 5 or cloud.resource(scope) or cloud.resource(scope.lower().partition("/subnets/")[0]):
                return scope
        raise ArmError(404, "ResourceNotFound", f"The scope '{scope}' was not found.")

    def _definition_id(self, role: str) -> str:
        return f"/subscriptions/{self._cloud.subscription}{_DEFINITION}{role}"


def _no_such_role(role: str) -> str:
    listed = ", ".join(ROLES.values())
    return f"The specified role definition with ID '{role}' does not exist (the sandbox has {listed})"


def _id(call: Call) -> str:
    return f"/{call.names['scope']}/providers/{_ASSIGNMENTS}/{call.names['assignment']}"

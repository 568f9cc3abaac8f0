"""Identities and what they may do."""

from __future__ import annotations

import uuid

from .world import ACR_PULL, NETWORK_CONTRIBUTOR, Arm, refused


def test_what_may_be_done_is_told_and_enforced(arm: Arm, group: str) -> None:
    arm.set(
        not_actions=["Microsoft.Authorization/*/write", "Microsoft.ContainerRegistry/registries/importImage/action"]
    )
    scope = f"/subscriptions/{arm.subscription}/resourceGroups/{group}"
    (said,) = arm.get(f"{scope}/providers/Microsoft.Authorization/permissions", "2022-04-01")["value"]
    assert (said["actions"], said["notActions"][0]) == (["*"], "Microsoft.Authorization/*/write")
    network = arm.make_network(group)
    error = refused(lambda: arm.assign(network.id, str(uuid.uuid4()), ACR_PULL, str(uuid.uuid4())))
    assert (error.status_code, error.error.code) == (403, "AuthorizationFailed")
    assert "'Microsoft.Authorization/roleAssignments/write' over scope" in error.error.message
    registry = arm.id_of(group, "Microsoft.ContainerRegistry/registries", "r")
    assert arm.ask("POST", f"{registry}/importImage?api-version=1", {})[0] == 403


def test_an_identity_keeps_its_principal(arm: Arm, group: str) -> None:
    made, again = arm.make_identity(group), arm.make_identity(group)
    assert made.properties == again.properties
    assert made.properties["tenantId"] == arm.tenant


def test_a_life(arm: Arm, group: str) -> None:
    network, name = arm.make_network(group).id, str(uuid.uuid4())
    principal = arm.make_identity(group).properties["principalId"]
    made = arm.assign(network, principal, NETWORK_CONTRIBUTOR, name)
    assert made.properties["scope"] == network
    assert arm.assign(network, principal, NETWORK_CONTRIBUTOR, name).id == made.id
    error = refused(lambda: arm.assign(network, principal, NETWORK_CONTRIBUTOR, str(uuid.uuid4())))
    assert (error.status_code, error.error.code) == (409, "RoleAssignmentExists")
    error = refused(lambda: arm.assign(network, principal, ACR_PULL, name))
    assert error.error.code == "RoleAssignmentUpdateNotPermitted"
    resources = arm.resources.resources
    resources.begin_delete_by_id(made.id, api_version="2022-04-01").result()
    assert refused(lambda: resources.get_by_id(made.id, api_version="2022-04-01")).status_code == 404


def test_refusals(arm: Arm, group: str) -> None:
    network, name = arm.make_network(group).id, str(uuid.uuid4())
    principal = arm.make_identity(group).properties["principalId"]
    nobody = str(uuid.uuid4())
    assert refused(lambda: arm.assign(network, nobody, ACR_PULL, name)).error.code == "PrincipalNotFound"
    assert refused(lambda: arm.assign(network, principal, nobody, name)).error.code == "RoleDefinitionDoesNotExist"
    assert refused(lambda: arm.assign(network + "x", principal, ACR_PULL, name)).status_code == 404
    assert refused(lambda: arm.assign(network, principal, ACR_PULL, "name")).error.code == "InvalidRoleAssignmentId"


def test_a_new_principal_takes_a_while_to_be_known(arm: Arm, group: str) -> None:
    arm.set(principal_seconds=60)
    principal = arm.make_identity(group, "new").properties["principalId"]
    scope = f"/subscriptions/{arm.subscription}/resourceGroups/{group}"
    error = refused(lambda: arm.assign(scope, principal, ACR_PULL, str(uuid.uuid4())))
    assert (error.status_code, error.error.code) == (400, "PrincipalNotFound")


def test_roles_go_with_what_they_were_given_on(arm: Arm, group: str) -> None:
    network, name = arm.make_network(group).id, str(uuid.uuid4())
    principal = arm.make_identity(group).properties["principalId"]
    made = arm.assign(network, principal, NETWORK_CONTRIBUTOR, name)
    arm.network.virtual_networks.begin_delete(group, "net").result()
    assert refused(lambda: arm.resources.resources.get_by_id(made.id, api_version="2022-04-01")).status_code == 404

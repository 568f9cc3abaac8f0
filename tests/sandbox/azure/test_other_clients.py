"""Requests as `az` and the SDK's other majors send them: defaults, api-versions, roles by their names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.kit.cases import cases

from .world import ACR_PULL, LOCATION, Arm, cluster_body

REGISTRY = "Microsoft.ContainerRegistry/registries"
NETWORK = "Microsoft.Network/virtualNetworks"
CLUSTER = "Microsoft.ContainerService/managedClusters"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "network": (NETWORK, "2024-05-01", {"properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}}}),
    "registry": (REGISTRY, "2023-07-01", {"sku": {"name": "Basic"}}),
    "identity": (IDENTITY, "2023-01-31", {}),
    "cluster": (CLUSTER, "2024-09-01", cluster_body()),
}


def merged(base: Any, more: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return {**base, **{key: merged(base.get(key), value) for key, value in more.items()}}


@cases(__file__, "defaults")
def test_defaults_are_accepted_and_what_would_change_something_is_refused(
    arm: Arm, group: str, of: str, case: dict[str, Any]
) -> None:
    type_, version, base = KINDS[of]
    body = merged(copy.deepcopy({"location": LOCATION, **base}), case.get("with", {}))
    if of == "cluster":
        body["properties"]["agentPoolProfiles"][0].update(case.get("pool", {}))
        body["properties"]["networkProfile"].update(case.get("network", {}))
    path = arm.id_of(group, type_, "defaults0one")
    status, said, _ = arm.ask("PUT", f"{path}?api-version={version}", body)
    if "refused" in case:
        assert (status, said["error"]["code"]) == (400, "InvalidRequestContent"), said
        assert said["error"]["target"] == case["refused"]
        return
    assert status == 201, said
    again = arm.ask("GET", f"{path}?api-version={version}")[1]
    assert arm.ask("PUT", f"{path}?api-version={version}", again)[0] in (200, 409), "what is read can be sent back"


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "listed"),
    [
        ("PUT", "resourceGroups/garbage", 400, "InvalidApiVersionParameter", "2022-09-01"),
        ("GET", "resourceGroups", 400, "InvalidApiVersionParameter", "2022-09-01"),
        ("GET", f"providers/{CLUSTER}", 404, "InvalidResourceType", "2024-09-01"),
        ("PUT", f"resourceGroups/{{group}}/providers/{NETWORK}/n", 400, "NoRegisteredProviderFound", "2024-05-01"),
        ("DELETE", f"resourceGroups/{{group}}/providers/{REGISTRY}/r", 404, "InvalidResourceType", "2023-07-01"),
        ("POST", "providers/Microsoft.Network/register", 400, "InvalidApiVersionParameter", "2022-09-01"),
    ],
)
def test_versions_that_azure_has_not_are_refused_with_those_there_are(
    arm: Arm, group: str, method: str, path: str, status: int, code: str, listed: str
) -> None:
    where = f"/subscriptions/{arm.subscription}/{path.format(group=group)}"
    for version in ("garbage", "2024-01-33", "1"):
        got, said, _ = arm.ask(method, f"{where}?api-version={version}", {"location": LOCATION})
        assert (got, said["error"]["code"]) == (status, code)
        assert f"'{version}'" in said["error"]["message"]
        assert listed in said["error"]["message"]
    assert (
        arm.ask("GET", f"/subscriptions/{arm.subscription}/resourceGroups/garbage?api-version=2022-09-01")[0] == 404
    )


def test_providers_tell_the_versions_that_are_answered(arm: Arm, group: str) -> None:
    arm.make_network(group)
    (kind,) = arm.resources.providers.get("Microsoft.Network").resource_types
    for version in kind.api_versions:
        assert arm.get(arm.id_of(group, NETWORK, "net"), version)["name"] == "net"


def test_roles_are_found_by_their_names_whatever_the_case(arm: Arm, group: str) -> None:
    """`az role assignment create --role acrpull --assignee-object-id ID --scope SCOPE`, then `list`."""
    scope = f"/subscriptions/{arm.subscription}/resourceGroups/{group}"
    place = f"{scope}/providers/Microsoft.Authorization"

    def definitions(asked: str) -> list[str]:
        found = arm.get(f"{place}/roleDefinitions", "2022-04-01", f"&$filter={asked.replace(' ', '%20')}")["value"]
        return [each["name"] for each in found]

    assert definitions("roleName eq 'acrpull'") == definitions("roleName eq 'AcrPull'") == [ACR_PULL]
    assert definitions("roleName eq 'network contributor'") == ["4d97b98b-1d4f-4787-a291-c67834d212e7"]
    assert definitions("roleName eq 'Acr'") == []
    assert arm.get(f"{place}/roleDefinitions/{ACR_PULL}", "2022-04-01")["properties"]["roleName"] == "AcrPull"
    principal = arm.make_identity(group).properties["principalId"]
    arm.assign(scope, principal, ACR_PULL.upper(), "11111111-2222-3333-4444-555555555555")

    def assigned(where: str, asked: str = "") -> list[str]:
        more = f"&$filter={asked.replace(' ', '%20')}" if asked else ""
        found = arm.get(f"{where}/providers/Microsoft.Authorization/roleAssignments", "2022-04-01", more)["value"]
        return [
            each["properties"]["principalId"] for each in found if each["properties"]["principalId"] == principal
        ]

    assert assigned(scope) == assigned(scope, f"principalId eq '{principal}'") == [principal]
    assert assigned(f"/subscriptions/{arm.subscription}") == assigned(f"{scope}/providers/A.B/c/d") == [principal]
    assert assigned(f"/subscriptions/{arm.subscription}", "atScope()") == []
    where = f"{place}/roleAssignments?api-version=2022-04-01&$filter=odd"
    assert arm.ask("GET", where)[1]["error"]["code"] == "InvalidFilter"

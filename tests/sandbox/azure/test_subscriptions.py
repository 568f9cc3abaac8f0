"""The subscription, providers, and how the endpoint refuses what it does not serve."""

from __future__ import annotations

from typing import Any

import pytest

from .world import LOCATION, Arm, refused


def test_who_and_where(arm: Arm) -> None:
    shown = arm.get(f"/subscriptions/{arm.subscription}")
    assert (shown["tenantId"], shown["state"]) == (arm.tenant, "Enabled")
    assert [each["subscriptionId"] for each in arm.get("/subscriptions")["value"]] == [arm.subscription]
    locations = arm.get(f"/subscriptions/{arm.subscription}/locations")["value"]
    assert LOCATION in [each["name"] for each in locations]


def test_one_that_is_disabled_can_only_be_read(arm: Arm, group: str) -> None:
    arm.set(state="Disabled")
    assert arm.get(f"/subscriptions/{arm.subscription}")["state"] == "Disabled"
    assert arm.resources.resource_groups.get(group).name == group
    error = refused(lambda: arm.resources.resource_groups.create_or_update("g", {"location": LOCATION}))
    assert (error.status_code, error.error.code) == (409, "ReadOnlyDisabledSubscription")


def test_a_provider_is_registered_after_a_while(arm: Arm, group: str) -> None:
    arm.set(providers={"Microsoft.Network": "NotRegistered"}, durations={"provider": 0.2})
    providers = arm.resources.providers
    assert providers.get("Microsoft.Network").registration_state == "NotRegistered"
    status, body, _ = arm.ask(
        "PUT", f"{arm.id_of(group, 'Microsoft.Network/virtualNetworks', 'n')}?api-version=2025-01-01"
    )
    assert (status, body["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert body["error"]["details"][0]["target"] == "Microsoft.Network"
    assert providers.register("Microsoft.Network").registration_state == "Registering"
    assert providers.register("Microsoft.Network").registration_state == "Registering"
    states = set()
    while (state := providers.get("Microsoft.Network").registration_state) != "Registered":
        states.add(state)
    assert states == {"Registering"}
    arm.make_network(group)
    assert refused(lambda: providers.get("Microsoft.Nothing")).error.code == "InvalidResourceNamespace"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (
            "/subscriptions?api-version=2022-12-01",
            {"Authorization": "Bearer other"},
            401,
            "InvalidAuthenticationToken",
        ),
        ("/subscriptions?api-version=2022-12-01", {"Authorization": ""}, 401, "AuthenticationFailed"),
        ("/sandbox/settings", {"Authorization": ""}, 401, "AuthenticationFailed"),
        ("/subscriptions", {}, 400, "MissingApiVersionParameter"),
        ("/subscriptions/mine?api-version=2022-12-01", {}, 400, "InvalidSubscriptionId"),
        ("/subscriptions/{other}?api-version=2022-12-01", {}, 404, "SubscriptionNotFound"),
        (
            "/subscriptions/{own}/providers/Microsoft.Web/sites?api-version=2022-12-01",
            {},
            404,
            "InvalidResourceType",
        ),
        (
            "/subscriptions/{own}/resourceGroups/no/providers/A.B/c/d?api-version=2022-12-01",
            {},
            404,
            "ResourceGroupNotFound",
        ),
        ("/nothing?api-version=2022-12-01", {}, 404, "InvalidResourceType"),
    ],
)
def test_refusals(arm: Arm, path: str, headers: dict[str, str], status: int, code: str) -> None:
    places = {"own": arm.subscription, "other": arm.tenant}
    got, body, answered = arm.ask("GET", path.format(**places), headers=headers)
    assert (got, body["error"]["code"]) == (status, code)
    assert body["error"]["message"]
    assert ("WWW-Authenticate" in answered) == (status == 401)


@pytest.mark.parametrize("body", [b"{", b'"text"', b"[]", b"\xff"])
def test_a_body_that_is_no_object(arm: Arm, body: Any) -> None:
    status, said, _ = arm.ask(
        "PUT", f"/subscriptions/{arm.subscription}/resourceGroups/g?api-version=2022-12-01", body
    )
    assert (status, said["error"]["code"]) == (400, "InvalidRequestContent")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "resourceGroups/{group}"),
        ("PATCH", "resourceGroups/{group}"),
        ("PATCH", "resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/c"),
        ("POST", "resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries/r/listCredentials"),
        (
            "POST",
            "resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/c/listClusterAdminCredential",
        ),
    ],
)
def test_a_method_that_is_not_served(arm: Arm, group: str, method: str, path: str) -> None:
    where = path.format(group=group)
    status, said, headers = arm.ask(method, f"/subscriptions/{arm.subscription}/{where}?api-version=2022-12-01", {})
    assert (status, said["error"]["code"]) == (405, "MethodNotAllowed")
    assert "by the sandbox" in said["error"]["message"]
    assert "GET" in headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/tenants",
        "/subscriptions/{own}/providers",
        "/subscriptions/{own}/providers/Microsoft.Authorization/denyAssignments",
        "/subscriptions/{own}/resourceGroups/{group}/providers/Microsoft.Network/publicIPAddresses",
        "/subscriptions/{own}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/c/agentPools",
        "/subscriptions/{own}/tagNames",
    ],
)
def test_a_path_that_is_not_served(arm: Arm, group: str, path: str) -> None:
    where = path.format(own=arm.subscription, group=group)
    version = "2025-05-01" if "/Microsoft.N" in path or "/Microsoft.C" in path else "2022-04-01"
    status, said, _ = arm.ask("GET", f"{where}?api-version={version}")
    assert (status, said["error"]["code"]) == (404, "InvalidResourceType")
    assert "the sandbox" in said["error"]["message"]


def test_usages_and_sizes(arm: Arm) -> None:
    arm.set(quotas={"cores": 12, "family": 6, "managedClusters": 3, "publicIPs": 5})
    place = f"/subscriptions/{arm.subscription}/providers"
    usages = arm.get(f"{place}/Microsoft.Compute/locations/northeurope/usages")["value"]
    by_name = {each["name"]["value"]: (each["currentValue"], each["limit"]) for each in usages}
    assert (by_name["cores"], by_name["standardDSv2Family"]) == ((0, 12), (0, 6))
    (clusters,) = arm.get(f"{place}/Microsoft.ContainerService/locations/northeurope/usages")["value"]
    assert (clusters["name"]["value"], clusters["limit"]) == ("ManagedClusters", 3)
    addresses = arm.get(f"{place}/Microsoft.Network/locations/northeurope/usages", "2024-05-01")["value"]
    assert {each["limit"] for each in addresses} == {5}
    sizes = arm.get(f"{place}/Microsoft.Compute/skus", more="&$filter=location%20eq%20'northeurope'")["value"]
    (size,) = [each for each in sizes if each["name"] == "Standard_DS2_v2"]
    assert {each["name"]: each["value"] for each in size["capabilities"]}["vCPUs"] == "2"
    assert (size["family"], size["locations"]) == ("standardDSv2Family", ["northeurope"])

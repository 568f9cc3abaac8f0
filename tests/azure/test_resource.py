"""What is wanted is contained in what is there; what is sent to change it keeps the rest."""

from __future__ import annotations

from typing import Any

import pytest

from workshop.azure.resource import differences, merged

LIVE: dict[str, Any] = {
    "id": "/subscriptions/x",
    "location": "West Europe",
    "tags": {"workshop": "mesh-workshop", "status": "prod"},
    "properties": {
        "provisioningState": "Succeeded",
        "kubernetesVersion": "1.36.1",
        "agentPoolProfiles": [
            {"name": "one", "count": 3, "powerState": {"code": "Running"}, "tags": {"status": "s"}},
            {"name": "two", "count": 1},
        ],
        "servicePrincipalProfile": {"clientId": "msi"},
        "subnet": "/subscriptions/X/resourcegroups/G/subnets/a",
    },
    "identity": {"userAssignedIdentities": {"/subscriptions/X/ids/A": {"principalId": "p"}}},
}


@pytest.mark.parametrize(
    "wanted",
    [
        {"location": "westeurope"},
        {"tags": {"workshop": "mesh-workshop"}},
        {"properties": {"kubernetesVersion": "1.36"}},
        {"properties": {"kubernetesVersion": "1.36.1"}},
        {"properties": {"agentPoolProfiles": [{"name": "one", "count": 3}]}},
        {"properties": {"subnet": "/subscriptions/x/resourceGroups/g/subnets/A"}},
        {"identity": {"userAssignedIdentities": {"/subscriptions/x/ids/a": {}}}},
        {"properties": {"addonProfiles": {"omsagent": {"enabled": False}}}},
    ],
)
def test_what_azure_adds_or_spells_otherwise_is_no_difference(wanted: dict[str, Any]) -> None:
    assert not differences("it", wanted, LIVE)


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (
            {"properties": {"agentPoolProfiles": [{"name": "one", "count": 4}]}},
            "properties.agentPoolProfiles[one].count",
        ),
        (
            {"properties": {"agentPoolProfiles": [{"name": "three", "count": 1}]}},
            "properties.agentPoolProfiles[three]",
        ),
        ({"properties": {"kubernetesVersion": "1.3"}}, "properties.kubernetesVersion"),
        ({"tags": {"workshop": "other"}}, "tags.workshop"),
        ({"identity": {"userAssignedIdentities": {"/other": {}}}}, "identity.userAssignedIdentities./other"),
    ],
)
def test_a_difference_is_told_by_its_path(wanted: dict[str, Any], path: str) -> None:
    (found,) = differences("it", wanted, LIVE)
    assert found.path == path


def test_a_change_keeps_what_others_have_set_and_leaves_out_what_azure_only_tells() -> None:
    body = merged(
        {"tags": {"workshop": "w"}, "properties": {"agentPoolProfiles": [{"name": "one", "count": 4}]}}, LIVE
    )
    assert body == {
        "location": "West Europe",
        "tags": {"workshop": "w", "status": "prod"},
        "properties": {
            "kubernetesVersion": "1.36.1",
            "agentPoolProfiles": [
                {"name": "one", "count": 4, "tags": {"status": "s"}},
                {"name": "two", "count": 1},
            ],
            "servicePrincipalProfile": {"clientId": "msi"},
            "subnet": "/subscriptions/X/resourcegroups/G/subnets/a",
        },
        "identity": {"userAssignedIdentities": {"/subscriptions/X/ids/A": {}}},
    }
    assert LIVE["properties"]["agentPoolProfiles"][0]["count"] == 3

"""Virtual networks and subnets."""

from __future__ import annotations

from typing import Any

import pytest

from .world import LOCATION, Arm, refused


def body(*subnets: tuple[str, str], space: str = "10.0.0.0/8") -> dict[str, Any]:
    shown = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in subnets]
    return {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": shown}}


def test_a_life(arm: Arm, group: str) -> None:
    networks = arm.network.virtual_networks
    arm.set(durations={"virtualNetworks": 0.1})
    poller = networks.begin_create_or_update(group, "net", body(("nodes", "10.240.0.0/16")))
    assert networks.get(group, "net").properties.provisioning_state == "Updating"
    made = poller.result()
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.subnets[0].id.endswith("/virtualNetworks/net/subnets/nodes")
    assert "net" in [each.name for each in networks.list_all()]
    networks.begin_delete(group, "net").result()
    assert refused(lambda: networks.get(group, "net")).error.code == "ResourceNotFound"
    networks.begin_delete(group, "net").result()


def test_a_put_replaces_all_of_it_and_takes_back_what_it_gave(arm: Arm, group: str) -> None:
    networks = arm.network.virtual_networks
    made = networks.begin_create_or_update(group, "net", body(("a", "10.1.0.0/16"), ("b", "10.2.0.0/16"))).result()
    again = networks.begin_create_or_update(group, "net", made).result()
    assert [each.name for each in again.properties.subnets] == ["a", "b"]
    assert again.properties.resource_guid == made.properties.resource_guid
    fewer = networks.begin_create_or_update(group, "net", body(("b", "10.2.0.0/16"))).result()
    assert [each.name for each in fewer.properties.subnets] == ["b"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (body(("a", "11.0.0.0/16")), "NetcfgInvalidSubnet"),
        (body(("a", "10.1.0.0/16"), ("b", "10.1.2.0/24")), "NetcfgSubnetRangesOverlap"),
        (body(("a", "10.1.0.1/16")), "InvalidCIDRNotation"),
        (body(space="10.0.0.0/33"), "InvalidCIDRNotation"),
        (body(("a b", "10.1.0.0/16")), "InvalidResourceName"),
        ({**body(), "location": "atlantis"}, "LocationNotAvailableForResourceType"),
        ({"properties": body()["properties"]}, "LocationRequired"),
        ({**body(), "zones": ["1"]}, "InvalidRequestContent"),
        ({"location": LOCATION, "properties": {}}, "InvalidRequestContent"),
    ],
)
def test_refusals(arm: Arm, group: str, wanted: dict[str, Any], code: str) -> None:
    error = refused(lambda: arm.network.virtual_networks.begin_create_or_update(group, "net", wanted))
    assert (error.status_code, error.error.code) == (400, code)


def test_it_is_busy_while_it_is_made(arm: Arm, group: str) -> None:
    networks = arm.network.virtual_networks
    arm.set(durations={"virtualNetworks": 0.3})
    poller = networks.begin_create_or_update(group, "net", body())
    error = refused(lambda: networks.begin_create_or_update(group, "net", body()))
    assert (error.status_code, error.error.code) == (409, "AnotherOperationInProgress")
    assert refused(lambda: networks.begin_delete(group, "net")).status_code == 409
    poller.result()


def test_it_stays_where_it_is(arm: Arm, group: str) -> None:
    arm.make_network(group)
    elsewhere = {**body(), "location": "northeurope"}
    error = refused(lambda: arm.network.virtual_networks.begin_create_or_update(group, "net", elsewhere))
    assert (error.status_code, error.error.code) == (409, "InvalidResourceLocation")


def test_preconditions_are_refused(arm: Arm, group: str) -> None:
    id_ = arm.id_of(group, "Microsoft.Network/virtualNetworks", "net")
    for header in ("If-Match", "If-None-Match"):
        status, said, _ = arm.ask("PUT", f"{id_}?api-version=1", body(), headers={header: "*"})
        assert (status, said["error"]["message"].partition(" ")[0]) == (400, header)


def test_subnets_have_no_paths_of_their_own(arm: Arm, group: str) -> None:
    id_ = arm.make_network(group).properties.subnets[0].id
    status, said, _ = arm.ask("GET", f"{id_}?api-version=1")
    assert (status, said["error"]["code"]) == (404, "InvalidResourceType")
    status, said, _ = arm.ask("PUT", f"{id_}?api-version=1", {"properties": {"addressPrefix": "10.1.0.0/16"}})
    assert (status, said["error"]["code"]) == (405, "MethodNotAllowed")

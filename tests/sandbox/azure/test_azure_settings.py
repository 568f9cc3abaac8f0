"""Operations over time, scripted faults, and the log of what was asked."""

from __future__ import annotations

import time
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from .world import LOCATION, Arm, cluster_body, refused

NETWORK = {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}}}


def network_client(arm: Arm, **options: Any) -> NetworkManagementClient:
    return NetworkManagementClient(arm.credential, arm.subscription, **arm.options(**options))


def put(client: NetworkManagementClient, group: str) -> Any:
    return client.virtual_networks.begin_create_or_update(group, "net", NETWORK)


def test_what_was_asked_is_logged(arm: Arm, group: str) -> None:
    put(arm.network, group).result()
    asked = arm.asked()
    assert asked[0] == "PUT Microsoft.Network/virtualNetworks/net"
    assert asked[1].startswith("GET Microsoft.Network/locations/westeurope/operations/")
    assert asked[-1] == "GET Microsoft.Network/virtualNetworks/net"
    _, body, _ = arm.ask("GET", "/sandbox/requests")
    first = body["value"][0]
    assert (first["number"], first["status"], first["fault"]) == (1, 201, False)
    assert "api-version=" in first["query"]
    assert abs(first["when"] - time.time()) < 10


def test_an_operation_lasts_as_long_as_set(arm: Arm, group: str) -> None:
    arm.set(durations={"virtualNetworks": 0.3})
    started = time.monotonic()
    put(arm.network, group).result()
    assert time.monotonic() - started >= 0.3
    started = time.monotonic()
    arm.network.virtual_networks.begin_delete(group, "net").result()
    assert time.monotonic() - started >= 0.15


def test_an_operation_is_taken_up_by_its_token(arm: Arm, group: str) -> None:
    arm.set(durations={"virtualNetworks": 0.2})
    token = put(arm.network, group).continuation_token()
    arm.clear()
    again = network_client(arm).virtual_networks.begin_create_or_update(
        group, "net", NETWORK, continuation_token=token
    )
    assert again.result().properties.provisioning_state == "Succeeded"
    assert not [each for each in arm.asked() if each.startswith("PUT")]


def test_an_operation_that_ended_is_forgotten_after_a_while(arm: Arm, group: str) -> None:
    poller = put(arm.network, group)
    poller.result()
    token = poller.continuation_token()
    arm.set(operation_seconds=0)
    again = network_client(arm).virtual_networks.begin_create_or_update(
        group, "net", NETWORK, continuation_token=token
    )
    assert refused(again.result).status_code == 404


def test_an_operation_that_fails_as_set_can_be_put_again(arm: Arm, group: str) -> None:
    nested = {"code": "TooManyRequests", "message": "status 429, retry in 1 seconds"}
    error = {"code": "CreateFailed", "message": "it did not work", "details": [nested]}
    arm.set(failures=[{"type": "Microsoft.ContainerService/managedClusters", "error": error}])
    clusters = arm.clusters.managed_clusters
    failed = refused(clusters.begin_create_or_update(group, "one", cluster_body()).result)
    assert (failed.error.code, failed.error.details[0].code) == ("CreateFailed", "TooManyRequests")
    assert clusters.get(group, "one").properties.provisioning_state == "Failed"
    done = clusters.begin_create_or_update(group, "one", cluster_body()).result()
    assert done.properties.provisioning_state == "Succeeded"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_status_at_the_nth_request(arm: Arm, group: str, status: int) -> None:
    body = {"error": {"code": "Trouble", "message": "try again"}}
    arm.set(faults=[{"nth": 1, "status": status, "headers": {"Retry-After": "0"}, "body": body}])
    put(arm.network, group).result()
    _, log, _ = arm.ask("GET", "/sandbox/requests")
    assert [(each["status"], each["fault"]) for each in log["value"]][:2] == [(status, True), (201, False)]


def test_without_retries_the_client_gets_the_answer_as_scripted(arm: Arm, group: str) -> None:
    body = {"error": {"code": "Trouble", "message": "retry in 7 seconds"}}
    arm.set(faults=[{"method": "PUT", "path": "virtualnetworks/net", "status": 429, "body": body}])
    client = network_client(arm, retry_total=0)
    error = refused(lambda: put(client, group))
    assert (error.status_code, error.error.message) == (429, "retry in 7 seconds")
    put(client, group).result()


def test_faults_pass_some_and_hit_several(arm: Arm) -> None:
    arm.set(faults=[{"method": "GET", "path": "^/subscriptions", "skip": 1, "times": 2, "status": 503}])
    got = [arm.ask("GET", "/subscriptions?api-version=2022-12-01")[0] for _ in range(4)]
    assert got == [200, 503, 503, 200]


@pytest.mark.parametrize("acts", [False, True])
def test_a_connection_that_is_reset_before_or_after_the_request_took_effect(
    arm: Arm, group: str, acts: bool
) -> None:
    arm.set(faults=[{"method": "PUT", "reset": True, "acts": acts}])
    with pytest.raises((ServiceResponseError, HttpResponseError)):
        put(network_client(arm, retry_total=0), group)
    _, log, _ = arm.ask("GET", "/sandbox/requests")
    assert log["value"][0]["status"] is None
    found = [each.name for each in arm.resources.resources.list_by_resource_group(group)]
    assert found == (["net"] if acts else [])


def test_a_late_answer_is_a_timeout_to_who_does_not_wait(arm: Arm) -> None:
    arm.set(faults=[{"path": "resourcegroups", "delay": 0.4}])
    impatient = ResourceManagementClient(
        arm.credential, arm.subscription, **arm.options(read_timeout=0.1, retry_total=0)
    )
    with pytest.raises(ServiceResponseError):
        list(impatient.resource_groups.list())
    arm.set(faults=[{"path": "resourcegroups", "delay": 0.2}])
    started = time.monotonic()
    list(arm.resources.resource_groups.list())
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"speed": 1},
        {"durations": {"lunch": 1}},
        {"durations": 3},
        {"faults": [{"status": 500, "colour": "red"}]},
        {"faults": [{"nth": 1}]},
        {"faults": [{"path": "(", "status": 500}]},
        {"faults": {}},
        {"operation_seconds": "long"},
        {"foreign": [{"group": "g"}]},
        {"failures": [{"type": "x"}]},
        {"quotas": {"cores": "many"}},
    ],
)
def test_settings_that_make_no_sense_are_refused_and_change_nothing(arm: Arm, said: Any) -> None:
    before = arm.ask("GET", "/sandbox/settings")[1]
    status, body, _ = arm.ask("POST", "/sandbox/settings", said)
    assert (status, body["error"]["code"]) == (400, "InvalidSettings")
    assert arm.ask("GET", "/sandbox/settings")[1] == before

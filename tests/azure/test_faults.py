"""Faults that pass by themselves, answers that are lost, and what is told when nothing helps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kit.azure import Arm, Session, twice
from workshop.azure.cluster import Cluster
from workshop.azure.faults import Fault, Kind, Unreached
from workshop.runbook.errors import WorkshopError

# Faults that pass by themselves, answers that are lost, and what is told when nothing helps.

LOST = {"status": 502, "acts": True}


@pytest.mark.parametrize("lost", [{"reset": True, "acts": True}, LOST], ids=["reset", "502"])
async def test_a_put_whose_answer_is_lost_is_looked_up_and_not_repeated(
    lost: dict[str, Any], arm: Arm, session: Session
) -> None:
    arm.set(faults=[{"method": "PUT", "path": kind, **lost} for kind in KINDS])
    await session.converge()
    assert len(arm.sent("PUT")) == 13
    assert not twice(arm.sent("PUT"))


KINDS = (
    r"resourcegroups/mesh-workshop\?",
    "virtualNetworks/aks-vnet",
    "userAssignedIdentities/primary-identity",
    "registries/workshop[0-9a-f]+[?]",
    "managedClusters/primary",
)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "headers": {"Retry-After": "0"}},
        {
            "status": 429,
            "body": {"error": {"code": "SubscriptionRequestsThrottled", "message": "retry in 0 seconds."}},
        },
        {
            "status": 400,
            "body": {"error": {"code": "PutNicOperation", "message": "StatusCode=429, retry after 0 s"}},
        },
        {
            "status": 409,
            "body": {"error": {"code": "AnotherOperationInProgress", "message": "Another operation ..."}},
        },
        {
            "status": 409,
            "body": {
                "error": {
                    "code": "RegistryOperationInProgress",
                    "message": "Another operation (Creating) is in progress",
                }
            },
        },
        {"status": 401, "body": {"error": {"code": "ExpiredAuthenticationToken", "message": "has expired"}}},
    ],
    ids=["header", "body", "nested", "busy", "busy by its text", "expired"],
)
async def test_what_passes_by_itself_is_waited_for(fault: dict[str, Any], arm: Arm, session: Session) -> None:
    arm.set(faults=[{"method": "PUT", "path": "managedClusters/primary", **fault}])
    await session.converge()
    assert arm.sent("PUT", accepted=True).count("PUT mesh-workshop/primary") == 1


async def test_the_delay_that_is_only_in_the_body_is_kept(arm: Arm, session: Session) -> None:
    body = {"error": {"code": "TooManyRequests", "message": "Please retry in 1 second."}}
    arm.set(faults=[{"method": "PUT", "path": "resourcegroups/mesh-workshop[?]", "status": 429, "body": body}])
    await session.converge("azure.group")
    puts = [
        each["when"]
        for each in arm.requests()
        if each["method"] == "PUT" and each["path"].endswith("mesh-workshop")
    ]
    assert puts[1] - puts[0] >= 1


async def test_a_429_nested_in_an_operations_error_is_tried_again(arm: Arm, session: Session) -> None:
    error = {"code": "CreateVMSSAgentPoolFailed", "message": "StatusCode=429 -- retry in 0 seconds"}
    arm.set(failures=[{"type": "Microsoft.ContainerService/managedClusters", "times": 1, "error": error}])
    await session.converge()
    assert set(await session.converge()) == {"unchanged"}


async def test_a_provider_that_is_not_registered_is_registered(arm: Arm, session: Session) -> None:
    namespaces = ("Microsoft.Network", "Microsoft.ContainerRegistry", "Microsoft.ContainerService")
    arm.set(providers=dict.fromkeys(namespaces, "NotRegistered"))
    await session.converge()
    registered = [each for each in arm.sent("POST") if each.endswith("/register")]
    assert len(registered) >= len(namespaces)
    assert any("Microsoft.ContainerService" in text for text in session.told)


async def test_a_principal_that_is_not_known_everywhere_yet_is_waited_for(arm: Arm, session: Session) -> None:
    arm.set(principal_seconds=0.3)
    await session.converge()


async def test_a_quota_that_is_too_small_is_told_with_its_figures(arm: Arm, session: Session) -> None:
    arm.set(quotas={"cores": 7}, not_actions=["Microsoft.Compute/locations/usages/read"])  # else it is foreseen
    assert await session.run() == 1
    said = "; ".join(str(error) for error in session.errors)
    assert re.search(r"quota of westeurope is not enough: left 1, needed 6", said), said
    assert arm.sent("PUT").count("PUT mesh-workshop/primary") <= 1


async def test_a_region_that_is_not_allowed_is_told(arm: Arm, session: Session) -> None:
    arm.set(denied_locations=["westeurope"])
    assert await session.run() == 1
    assert "westeurope does not allow it" in str(session.errors[0])


async def test_a_login_without_the_right_is_told_with_the_roles(arm: Arm, session: Session) -> None:
    body = {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization"}}
    arm.set(faults=[{"method": "PUT", "status": 403, "body": body, "times": 2}])
    assert await session.run("azure.group") == 1
    (first, *_) = session.errors
    assert isinstance(first, WorkshopError)
    assert "Contributor" in first.cause


async def test_an_operation_that_fails_is_told_with_what_to_do(arm: Arm, session: Session) -> None:
    error = {"code": "ControlPlaneAddOnsNotReady", "message": "Pods not in running status: coredns"}
    arm.set(failures=[{"type": "Microsoft.ContainerService/managedClusters", "times": 9, "error": error}])
    assert await session.run("azure.aks") == 1
    (failed, *_) = session.errors
    assert isinstance(failed, WorkshopError)
    assert failed.came_back == "Pods not in running status: coredns (ControlPlaneAddOnsNotReady)"
    assert "the same command tries it again" in failed.cause
    assert f"activity-log list --resource-id {Cluster(session.azure).id} " in failed.next_command


async def test_a_body_that_azure_refuses_is_told_with_what_to_do(arm: Arm, session: Session) -> None:
    body = {"error": {"code": "InvalidParameter", "message": "The value of parameter x is invalid."}}
    arm.set(faults=[{"method": "PUT", "path": "mesh-workshop[?]", "status": 400, "body": body, "times": 9}])
    assert await session.run("azure.group") == 1
    (failed, *_) = session.errors
    assert isinstance(failed, WorkshopError)
    assert "a setting of the profile" in failed.cause


# Which kind of fault it is: by Azure's code, and by its text where that alone tells.

FAULTS = [
    (429, "SubscriptionRequestsThrottled", "retry in 17 seconds", Kind.THROTTLED, 17.0),
    (400, "PutNicOperation", "StatusCode=429, retry after 2 minutes", Kind.THROTTLED, 120.0),
    (200, "CreateVMSSAgentPoolFailed", "Quota exceeded: 429 Too Many Requests", Kind.THROTTLED, 1.0),
    (400, "ErrCode_InsufficientVCPUQuota", "left regional vcpu quota 1", Kind.QUOTA, None),
    (409, "OperationNotAllowed", "exceeding approved Total Regional Cores quota", Kind.QUOTA, None),
    (409, "RegistryOperationInProgress", "Another operation (Creating) is in progress", Kind.BUSY, 1.0),
    (400, "OperationNotAllowed", "the cluster is being deleted", Kind.BUSY, 1.0),
    (409, "Conflict", "the name is taken", Kind.OTHER, None),
    (404, "ResourceNotFound", "it was not found", Kind.NOT_FOUND, None),
    (404, "SubscriptionNotFound", "there is none", Kind.SUBSCRIPTION, None),
    (401, "InvalidAuthenticationTokenTenant", "another tenant's", Kind.SUBSCRIPTION, None),
    (401, "ExpiredAuthenticationToken", "has expired", Kind.TOKEN, None),
    (403, "AuthorizationFailed", "does not have authorization", Kind.RIGHTS, None),
    (403, "SomethingElse", "no", Kind.RIGHTS, None),
    (403, "RequestDisallowedByPolicy", "not there", Kind.REGION, None),
    (409, "MissingSubscriptionRegistration", "is not registered", Kind.PROVIDER, None),
    (400, "PrincipalNotFound", "does not exist in the directory", Kind.PRINCIPAL, 1.0),
    (503, "ServerBusy", "later", Kind.AZURES, 1.0),
    (501, "NotImplemented", "never", Kind.AZURES, None),
    (400, "InvalidParameter", "The value is invalid.", Kind.OTHER, None),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "delay"), FAULTS, ids=[each[1] for each in FAULTS])
def test_each_fault_is_of_one_kind(status: int, code: str, message: str, kind: Kind, delay: float | None) -> None:
    fault = Fault(status, code, message)
    assert fault.kind is kind
    assert fault.delay(1, 1.0) == delay


# Why there was no answer, out of texts as urllib3 makes them.

POOL = "HTTPSConnectionPool(host='management.azure.com', port=443): "
RETRIES = POOL + "Max retries exceeded with url: / (Caused by "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POOL + "Read timed out. (read timeout=30.0)", "no answer within 30 s"),
        (
            RETRIES + "ConnectTimeoutError(<HTTPSConnection(host='management.azure.com', port=443) at 0x7f>, "
            "'Connection to management.azure.com timed out. (connect timeout=10.0)'))",
            "no connection within 10 s",
        ),
        (
            "HTTPSConnection(host='management.azure.com', port=443): Failed to resolve 'management.azure.com' "
            "([Errno -2] Name or service not known)",
            "its name does not resolve (DNS)",
        ),
        (
            RETRIES + "NewConnectionError(\"HTTPSConnection(host='management.azure.com', port=443): Failed to "
            'establish a new connection: [Errno 101] Network is unreachable"))',
            "Network is unreachable",
        ),
        (
            RETRIES + "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
            "failed: self-signed certificate in certificate chain (_ssl.c:1006)')))",
            "certificate verify failed: self-signed certificate in certificate chain",
        ),
        (
            RETRIES + "SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)')))",
            "wrong version number",
        ),
    ],
)
def test_the_reason_is_one_short_sentence(text: str, said: str) -> None:
    assert str(Unreached.read(text)) == f"management.azure.com: {said}"


def test_a_port_of_its_own_is_told() -> None:
    error = Unreached("127.0.0.1:8443", "Connection refused").error("look")
    assert error.next_command == "curl -I -m 10 https://127.0.0.1:8443/"
    found = Unreached.read("HTTPSConnection(host='127.0.0.1', port=8443): [Errno 111] Connection refused")
    assert found == Unreached("127.0.0.1:8443", "Connection refused")


def test_a_proxy_is_named_as_one() -> None:
    found = Unreached.read(
        "('Unable to connect to proxy', NewConnectionError(\"HTTPSConnection(host='127.0.0.1', port=9): Failed to "
        'establish a new connection: [Errno 111] Connection refused"))'
    )
    assert found == Unreached("", "the proxy that is set (HTTPS_PROXY): Connection refused")
    assert found.error("look").next_command == "env | grep -i proxy"


def test_what_is_not_about_a_connection() -> None:
    assert Unreached.read("AADSTS700082: The refresh token has expired") is None

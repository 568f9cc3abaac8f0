"""`kubectl create token`, with what the API takes of it afterwards."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.api.requests import RequestInfo
from sandbox.api.service_account_tokens import ServiceAccountTokens
from sandbox.core.cluster import ApiError, Object, Resource

from .inside import Inside


def claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_token_of_a_service_account_is_taken_until_that_is_gone(inside: Inside) -> None:
    inside("create", "serviceaccount", "ada")
    token = inside("create", "token", "ada", "--duration=30m").strip()
    said = claims(token)
    assert said["exp"] - said["iat"] == 1800
    name = f"system:serviceaccount:{inside.namespace}:ada"
    assert said["sub"] == name

    hers = f"--token={token}"
    assert inside("get", "serviceaccount", "ada", "-o", "name", hers).strip() == "serviceaccount/ada"
    who = json.loads(inside("auth", "whoami", "-o", "json", hers))["status"]["userInfo"]
    assert who["username"] == name
    assert f"system:serviceaccounts:{inside.namespace}" in who["groups"]
    assert inside("auth", "can-i", "delete", "nodes", hers).strip() == "yes", "there are no rights to lack"

    inside("delete", "serviceaccount", "ada")
    assert "Unauthorized" in inside.fails("get", "pods", hers)
    inside("create", "serviceaccount", "ada")
    assert "Unauthorized" in inside.fails("get", "pods", hers), "that is another one of the same name"


def test_an_hour_unless_it_is_said(inside: Inside) -> None:
    answer = json.loads(inside("create", "token", "default", "-o", "json"))
    assert (answer["kind"], answer["apiVersion"]) == ("TokenRequest", "authentication.k8s.io/v1")
    assert answer["spec"]["expirationSeconds"] == 3600
    until = time.strptime(answer["status"]["expirationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    assert time.mktime(until) - time.mktime(time.gmtime()) == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("default", "--duration=9m59s"),
            'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not '
            "specify a duration less than 10 minutes",
        ),
        (("default", "--duration=1193047h"), "may not specify a duration larger than 2^32 seconds"),
        (("nobody",), 'serviceaccounts "nobody" not found'),
        (
            ("default", "--bound-object-kind=Pod", "--bound-object-name=web"),
            "spec.boundObjectRef: Forbidden: not supported by the sandbox",
        ),
    ],
)
def test_what_is_refused(inside: Inside, asked: tuple[str, ...], said: str) -> None:
    assert said in inside.fails("create", "token", *asked)


def test_for_another_audience_it_is_none_of_the_api_server_s(inside: Inside) -> None:
    token = inside("create", "token", "default", "--audience=vault").strip()
    assert claims(token)["aud"] == ["vault"]
    assert "Unauthorized" in inside.fails("get", "pods", f"--token={token}")


def test_nothing_but_asking_is_served(inside: Inside) -> None:
    path = f"/api/v1/namespaces/{inside.namespace}/serviceaccounts/default/token"
    assert "MethodNotAllowed" in inside.fails("get", "--raw", path)
    assert "MethodNotAllowed" in inside.fails("delete", "--raw", path)


@pytest.fixture
def account(cluster: LocalCluster) -> Object:
    made = {"metadata": {"name": "ada", "namespace": "default"}}
    return cluster.create("serviceaccounts", made, manager="test")


def answered(tokens: ServiceAccountTokens, account: Object, seconds: int = 600, *, dry_run: bool = False) -> Object:
    info = RequestInfo(Resource("", "v1", "serviceaccounts", "ServiceAccount", True), "default", "ada", "token")
    return tokens.create(info, account, {"spec": {"expirationSeconds": seconds}}, dry_run=dry_run)


def issued(tokens: ServiceAccountTokens, account: Object) -> str:
    token: str = answered(tokens, account)["status"]["token"]
    return token


def test_it_expires(cluster: LocalCluster, account: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, now = ServiceAccountTokens(cluster), time.time()
    token = issued(tokens, account)
    assert tokens.user(token)
    monkeypatch.setattr(time, "time", lambda: now + 599)
    assert tokens.user(token)
    monkeypatch.setattr(time, "time", lambda: now + 601)
    assert tokens.user(token) is None


def test_nobody_else_can_make_one(cluster: LocalCluster, account: Object) -> None:
    tokens = ServiceAccountTokens(cluster)
    token = issued(tokens, account)
    assert ServiceAccountTokens(cluster).user(token) is None, "another cluster's"
    header, said, signature = token.split(".")
    longer = json.dumps({**claims(token), "exp": 1 << 40}).encode()
    for forged in (
        f"{header}.{base64.urlsafe_b64encode(longer).decode().rstrip('=')}.{signature}",
        f"{header}.{said}.",
        f"{header}.{said}",
        f"{header}.{said}.é",
        "..",
        ".",
        "",
    ):
        assert tokens.user(forged) is None


def test_a_dry_run_has_no_token(cluster: LocalCluster, account: Object) -> None:
    tokens = ServiceAccountTokens(cluster)
    assert answered(tokens, account, dry_run=True)["status"]["token"] == ""
    with pytest.raises(ApiError):
        answered(tokens, account, 0, dry_run=True)

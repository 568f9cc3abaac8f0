"""The kubeconfig that a member is given, as kubectl reads it: into this member's cluster, and into nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.server import launcher
from tests.classroom.test_readiness import target_at
from tests.kit.fronted_api import FrontedApi, in_front_of
from tests.kit.workshop import BIN
from workshop.classroom.handout_kubeconfig import HandedOut, write
from workshop.kubernetes.attendee_access import ACCOUNT, revoke
from workshop.kubernetes.cluster_guard import NAMESPACE, ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.runbook.errors import UsageError
from workshop.target import Target

TOKEN_AT = "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
HOURS = 3600
INSTRUCTORS = "of-the-instructor"


@pytest.fixture(scope="module")
def adopted(own_sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> launcher.Running:
    kubectl = Kubectl(BIN / "kubectl", own_sandbox.kubeconfig, "primary", tmp_path_factory.mktemp("cache"))
    asyncio.run(ClusterGuard(kubectl, "primary").adopt())
    return own_sandbox


@pytest.fixture
async def front(adopted: launcher.Running) -> AsyncIterator[FrontedApi]:
    async with in_front_of(adopted.kubeconfig) as front:
        gives(front, 8 * HOURS)
        yield front


def gives(front: FrontedApi, seconds: int) -> None:
    """A token for so many seconds, whatever is asked for."""
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {"name": ACCOUNT}}
    front.answers[TOKEN_AT] = 201, {**kind, "status": {"token": "for-the-attendee", "expirationTimestamp": expires}}


def refuses(front: FrontedApi, code: int, reason: str) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    front.answers[TOKEN_AT] = code, {**status, "message": f"{reason}: no tokens here"}


def member(front: FrontedApi, folder: Path, user: dict[str, Any] | None = None) -> Target:
    kubeconfig = front.kubeconfig(folder / "instructors", "ada", user or {"token": INSTRUCTORS})
    return target_at(kubeconfig, folder, "ada")


async def handed_out(target: Target, folder: Path, seconds: int = 8 * HOURS) -> tuple[HandedOut, dict[str, Any]]:
    written = await write(target, "ada", folder / "out", seconds)
    content: dict[str, Any] = yaml.safe_load(written.path.read_text())
    return written, content


async def test_one_cluster_one_context_a_token_that_ends_and_nobody_else_may_read_it(
    front: FrontedApi, tmp_path: Path
) -> None:
    written, content = await handed_out(member(front, tmp_path), tmp_path)
    assert written.path == tmp_path / "out" / "ada.kubeconfig"
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o600
    assert [path.name for path in written.path.parent.iterdir()] == ["ada.kubeconfig"]
    assert content["clusters"] == [{"name": "primary", "cluster": {"server": front.url}}]
    assert content["contexts"] == [{"name": "primary", "context": {"cluster": "primary", "user": "primary"}}]
    assert content["users"] == [{"name": "primary", "user": {"token": "for-the-attendee"}}]
    assert content["current-context"] == "primary"
    assert written.said == ""
    assert written.expires is not None
    assert abs(written.expires - datetime.now(UTC) - timedelta(hours=8)) < timedelta(minutes=2)
    assert INSTRUCTORS not in written.path.read_text()


async def test_kubectl_gets_in_with_it(front: FrontedApi, tmp_path: Path) -> None:
    written, _ = await handed_out(member(front, tmp_path), tmp_path)
    kubectl = Kubectl(BIN / "kubectl", written.path, "primary", tmp_path / "cache")
    printed = await kubectl.call("get", "serviceaccounts,clusterrolebindings", "-A", "-o", "name")
    assert {f"serviceaccount/{ACCOUNT}", f"clusterrolebinding.rbac.authorization.k8s.io/{ACCOUNT}"} <= set(
        printed.split()
    )


async def test_with_a_second_cluster_there_is_a_second_context(
    adopted: launcher.Running, front: FrontedApi, tmp_path: Path
) -> None:
    async with in_front_of(adopted.kubeconfig, "secondary") as second:
        gives(second, 2 * HOURS)
        first = member(front, tmp_path)
        content = json.loads(first.kubectl.kubeconfig.read_text())
        content["clusters"].append({"name": "two", "cluster": {"server": second.url}})
        content["contexts"].append({"name": "adas-second", "context": {"cluster": "two", "user": "user"}})
        first.kubectl.kubeconfig.write_text(json.dumps(content))
        target = replace(first, second=replace(first.kubectl, context="adas-second"))
        await target.others.clusters["secondary"].guard.adopt()
        written, content = await handed_out(target, tmp_path)
    assert {each["name"]: each["cluster"]["server"] for each in content["clusters"]} == {
        "primary": front.url,
        "secondary": second.url,
    }
    assert [each["name"] for each in content["contexts"]] == ["primary", "secondary"]
    assert written.expires is not None
    assert written.expires - datetime.now(UTC) < timedelta(hours=2, seconds=1), "the first that ends"
    assert written.said == "asked for 8.0 h, the cluster gives 2.0 h"


async def test_a_cluster_that_gives_less_time_says_so(front: FrontedApi, tmp_path: Path) -> None:
    gives(front, 2 * HOURS)
    written, _ = await handed_out(member(front, tmp_path), tmp_path)
    assert written.said == "asked for 8.0 h, the cluster gives 2.0 h"


async def test_a_second_time_it_is_replaced_and_nothing_else_is_made(front: FrontedApi, tmp_path: Path) -> None:
    target = member(front, tmp_path)
    first, _ = await handed_out(target, tmp_path)
    first.path.chmod(0o644)
    second, _ = await handed_out(target, tmp_path)
    assert second.path == first.path
    assert stat.S_IMODE(second.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("code", "reason"), [(404, "NotFound"), (403, "Forbidden")])
async def test_without_a_token_it_is_the_members_own_credential_and_that_is_said(
    front: FrontedApi, tmp_path: Path, code: int, reason: str
) -> None:
    refuses(front, code, reason)
    written, content = await handed_out(member(front, tmp_path, {"token": "adas-own"}), tmp_path)
    assert content["users"] == [{"name": "primary", "user": {"token": "adas-own"}}]
    assert written.expires is None
    assert "which does not end by itself" in written.said
    assert "no tokens here" in written.said
    assert "adas-own" not in repr(written)


async def test_files_of_this_machine_are_in_it_whole(front: FrontedApi, tmp_path: Path) -> None:
    refuses(front, 404, "NotFound")
    (tmp_path / "token").write_text("adas-own\n")
    _, content = await handed_out(member(front, tmp_path, {"tokenFile": "token"}), tmp_path)
    assert content["users"][0]["user"] == {"token": "adas-own"}


async def test_certificates_of_files_are_in_it_whole(adopted: launcher.Running, tmp_path: Path) -> None:
    """With the sandbox itself: it is reached by a certificate."""
    content = json.loads(adopted.kubeconfig.read_text())
    for each in content["clusters"]:
        authority = base64.b64decode(each["cluster"].pop("certificate-authority-data"))
        (tmp_path / f"{each['name']}.pem").write_bytes(authority)
        each["cluster"]["certificate-authority"] = f"{each['name']}.pem"
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    _, handed = await handed_out(target_at(tmp_path / "kubeconfig", tmp_path), tmp_path)
    cluster = handed["clusters"][0]["cluster"]
    assert base64.b64decode(cluster["certificate-authority-data"]) == (tmp_path / "primary.pem").read_bytes()
    assert "certificate-authority" not in cluster


EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "interactiveMode": "Never",
    "command": "kubelogin",
    "args": ["get-token", "--client-secret", "s3cret"],
}


async def test_a_program_that_logs_in_is_nothing_to_hand_out(front: FrontedApi, tmp_path: Path) -> None:
    program = tmp_path / "login"
    credential = {"apiVersion": EXEC["apiVersion"], "kind": "ExecCredential", "status": {"token": INSTRUCTORS}}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    program.chmod(0o755)
    refuses(front, 403, "Forbidden")
    target = member(front, tmp_path, {"exec": {**EXEC, "command": str(program)}})
    with pytest.raises(UsageError) as refused:
        await handed_out(target, tmp_path)
    assert f"logs in by a program ({program})" in refused.value.came_back
    assert "cannot be handed out" in refused.value.cause
    assert "--subresource=token" in refused.value.next_command
    assert "s3cret" not in f"{refused.value} {refused.value.came_back} {refused.value.cause}"
    assert not (tmp_path / "out").exists()
    gives(front, 8 * HOURS)
    _, content = await handed_out(target, tmp_path)
    assert content["users"] == [{"name": "primary", "user": {"token": "for-the-attendee"}}]


def with_neighbour(front: FrontedApi, folder: Path, ada: dict[str, Any], ben: dict[str, Any]) -> Target:
    """A kubeconfig with two members, as an instructor has one."""
    target = member(front, folder, ada)
    path = target.kubectl.kubeconfig
    content = json.loads(path.read_text())
    content["clusters"].append({"name": "bens", "cluster": {"server": "https://127.0.0.1:9"}})
    content["users"].append({"name": "ben", "user": ben})
    content["contexts"].append({"name": "ben", "context": {"cluster": "bens", "user": "ben"}})
    path.write_text(json.dumps(content))
    return target


async def test_what_leads_into_another_members_cluster_is_nothing_to_hand_out(
    front: FrontedApi, tmp_path: Path
) -> None:
    """One credential for all of them, under whatever name."""
    refuses(front, 404, "NotFound")
    shared = {"token": INSTRUCTORS}
    with pytest.raises(UsageError) as refused:
        await handed_out(with_neighbour(front, tmp_path, shared, dict(shared)), tmp_path)
    assert "is that of ben too" in refused.value.came_back
    assert "gets into those clusters" in refused.value.cause
    assert INSTRUCTORS not in f"{refused.value} {refused.value.came_back} {refused.value.cause}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("token", [True, False])
async def test_nothing_of_another_member_is_in_it(front: FrontedApi, tmp_path: Path, token: bool) -> None:
    if not token:
        refuses(front, 404, "NotFound")
    target = with_neighbour(front, tmp_path, {"token": "adas-own"}, {"token": "bens-own"})
    written, content = await handed_out(target, tmp_path)
    text = written.path.read_text()
    assert "bens-own" not in text
    assert "127.0.0.1:9" not in text.replace(front.url, "")
    assert len(content["users"]) == len(content["clusters"]) == len(content["contexts"]) == 1
    assert ("adas-own" in text) is not token


async def test_a_cluster_that_nobody_adopted_is_not_touched(front: FrontedApi, tmp_path: Path) -> None:
    missing = {"kind": "Status", "reason": "NotFound", "details": {"name": "workshop-mark"}}
    front.answers["GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/workshop-mark"] = 404, missing
    with pytest.raises(UsageError, match="mark"):
        await handed_out(member(front, tmp_path), tmp_path)
    assert front.writes == []
    assert not (tmp_path / "out").exists()


async def test_a_token_for_less_than_kubernetes_gives(front: FrontedApi, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        await handed_out(member(front, tmp_path), tmp_path, 60)
    assert "less than 600 s" in refused.value.cause


async def test_no_secret_is_shown_or_in_an_argument(front: FrontedApi, tmp_path: Path) -> None:
    target = member(front, tmp_path)
    shown: list[str] = []
    object.__setattr__(target.kubectl, "echo", lambda argv, stdin: shown.append(f"{argv} {stdin}"))
    object.__setattr__(target.kubectl, "asked", lambda argv, stdin: shown.append(f"{argv} {stdin}"))
    await handed_out(target, tmp_path)
    assert any("create" in each and "token" in each for each in shown)
    assert not [each for each in shown if "for-the-attendee" in each or INSTRUCTORS in each]


# With tokens of the sandbox's own, which its API takes until they expire or their account goes.


async def test_the_attendee_gets_in_with_it_as_an_administrator(adopted: launcher.Running, tmp_path: Path) -> None:
    written, content = await handed_out(target_at(adopted.kubeconfig, tmp_path), tmp_path)
    assert written.said == ""
    assert written.expires is not None
    assert written.expires - datetime.now(UTC) > timedelta(hours=7)
    instructors = {each["user"]["token"] for each in json.loads(adopted.kubeconfig.read_text())["users"]}
    assert content["users"][0]["user"]["token"] not in instructors
    kubectl = Kubectl(BIN / "kubectl", written.path, "primary", tmp_path / "cache")
    assert f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}" in await kubectl.call("auth", "whoami")
    assert (await kubectl.call("auth", "can-i", "*", "*")).strip() == "yes"


async def test_taken_back_with_all_its_tokens(adopted: launcher.Running, tmp_path: Path) -> None:
    target = target_at(adopted.kubeconfig, tmp_path)
    written, _ = await handed_out(target, tmp_path)
    attendees = Kubectl(BIN / "kubectl", written.path, "primary", tmp_path / "cache")
    await attendees.call("get", "nodes")
    await revoke(target.kubectl)
    with pytest.raises(KubectlError) as ended:
        await attendees.call("get", "nodes")
    assert ended.value.reason is Reason.UNAUTHORIZED
    printed = await target.kubectl.call("get", "serviceaccounts,clusterrolebindings", "-A", "-o", "name")
    assert ACCOUNT not in printed


async def test_a_token_of_one_cluster_opens_no_other(adopted: launcher.Running, tmp_path: Path) -> None:
    _, content = await handed_out(target_at(adopted.kubeconfig, tmp_path), tmp_path)
    other = json.loads(adopted.kubeconfig.read_text())
    (cluster,) = (each for each in other["clusters"] if each["name"] == "secondary")
    content["clusters"][0]["cluster"] = cluster["cluster"]
    (tmp_path / "mixed").write_text(json.dumps(content))
    mixed = Kubectl(BIN / "kubectl", tmp_path / "mixed", "primary", tmp_path / "cache")
    with pytest.raises(KubectlError) as refused:
        await mixed.call("get", "nodes")
    assert refused.value.reason is Reason.UNAUTHORIZED

"""Whether a member's cluster could be worked on: found by a real kubectl, with nothing changed."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from labs import RUNBOOK
from sandbox.server import launcher
from sandbox.server.certificates import server_context
from tests.kit.cases import cases
from tests.kit.fronted_api import EVERYTHING, FrontedApi, Rule, in_front_of
from tests.kit.in_process import target_of
from tests.kit.workshop import BIN, HANGS, Workshop
from workshop import cluster_findings
from workshop.classroom.readiness import examine_member, examine_quota
from workshop.kubernetes import tool_process
from workshop.kubernetes.cluster_guard import NAMESPACE
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.results import Finding
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import Target, Use, describe

OF_NAMESPACES = "get,list,watch,create,patch,delete namespaces"
OF_LABS = (
    "get,list,watch,create,update,patch,delete pods,services,serviceaccounts,configmaps,deployments.apps,"
    "leases.coordination.k8s.io,gateways.networking.istio.io,virtualservices.networking.istio.io,"
    "destinationrules.networking.istio.io,serviceentries.networking.istio.io,pods/exec,pods/log"
)
HOMES = ("istio-system", "bookinfo", "primary")
ROWS = ["cluster", "permissions", "other meshes", "Istio", "load balancers", "room"]


def target_at(kubeconfig: Path, state: Path, context: str = "primary") -> Target:
    """That of a member with a context."""
    content = read_profile(DEFAULT_PROFILE)
    cluster = {"context": context, "secondary": "", "kubeconfig": str(kubeconfig)}
    content |= {"target": "cluster", "state": str(state), "cluster": cluster}
    return describe(from_config(content), Use(command="invoke -f ada.yaml"))


@pytest.fixture(scope="module")
def adopted(workshop: Workshop) -> launcher.Running:
    workshop.converge("sandbox.up")
    running = launcher.status(workshop.state / "sandbox")
    assert running
    return running


@pytest.fixture
async def front(adopted: launcher.Running) -> AsyncIterator[FrontedApi]:
    async with in_front_of(adopted.kubeconfig) as front:
        yield front


@pytest.fixture
def target(front: FrontedApi, tmp_path: Path) -> Target:
    return target_at(front.kubeconfig(tmp_path / "ada"), tmp_path)


async def examined(target: Target, *labs: str, to_adopt: bool = False) -> dict[str, Finding]:
    found = await examine_member(target, RUNBOOK, labs or ("istio.canary",), to_adopt=to_adopt)
    return {row.name: row for row in found}


async def test_a_cluster_that_is_well_is_read_and_nothing_else(front: FrontedApi, target: Target) -> None:
    found = await examined(target)
    assert list(found) == ROWS
    assert {row.state for row in found.values()} == {"ok"}, found
    assert front.writes == []
    assert front.reviews == ["selfsubjectaccessreviews"], "whoever may do everything is asked once"
    assert len(front.asked) <= 40, "places of an installation, lists of kinds, one review"


async def test_no_process_but_the_kubectl_that_stays(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*arguments: Any, **more: Any) -> str:
        raise AssertionError(arguments)

    monkeypatch.setattr(Kubectl, "call", refuse)
    assert {row.state for row in (await examined(target)).values()} == {"ok"}


async def test_a_cluster_that_nobody_has_adopted(front: FrontedApi, target: Target) -> None:
    missing = {"kind": "Status", "reason": "NotFound", "details": {"name": "workshop-mark"}}
    front.answers["GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/workshop-mark"] = 404, missing
    cluster = (await examined(target))["cluster"]
    assert (cluster.state, cluster.next_command) == ("fail", "invoke -f ada.yaml adopt")
    assert "has not been adopted" in cluster.what
    assert (await examined(target, to_adopt=True))["cluster"].state == "ok"


# What is there, or is not.


async def only_row(target: Target) -> Finding:
    (row,) = await examine_member(target, RUNBOOK, ("istio.canary",))
    assert (row.name, row.state) == ("cluster", "fail")
    return row


def edited(kubeconfig: Path, to: Path, *, contexts: int = 1, **cluster: Any) -> Path:
    content = json.loads(kubeconfig.read_text())
    for each in content["clusters"]:
        each["cluster"] |= cluster
    first = content["contexts"][0]
    content["contexts"] = [{**first, "name": f"{first['name']}-{n:02}"} for n in range(contexts)]
    to.write_text(json.dumps(content))
    return to


async def test_no_such_context_and_the_nearest_ones(adopted: launcher.Running, tmp_path: Path) -> None:
    few = target_at(edited(adopted.kubeconfig, tmp_path / "few", contexts=3), tmp_path, "primary-3")
    assert "has no context primary-3; it has primary-00, primary-01, primary-02" in (await only_row(few)).what
    many = target_at(edited(adopted.kubeconfig, tmp_path / "many", contexts=40), tmp_path, "primary-0")
    row = await only_row(many)
    assert "has no context primary-0; it has 40, the nearest are primary-" in row.what
    assert row.what.partition("nearest")[2].count("primary-") == 3
    assert "config get-contexts" in row.next_command


async def test_a_refused_connection(adopted: launcher.Running, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = edited(adopted.kubeconfig, tmp_path / "kubeconfig", server=f"https://127.0.0.1:{port}")
    row = await only_row(target_at(nowhere, tmp_path, "primary-00"))
    assert "refused" in row.what
    assert "is not running, or this machine cannot reach it" in row.what
    assert "cluster-info" in row.next_command


async def test_a_certificate_of_somebody_else(adopted: launcher.Running, tmp_path: Path) -> None:
    _, authority = server_context(("127.0.0.1",), tmp_path)
    another = base64.b64encode(authority).decode()
    kubeconfig = edited(adopted.kubeconfig, tmp_path / "kubeconfig", **{"certificate-authority-data": another})
    row = await only_row(target_at(kubeconfig, tmp_path, "primary-00"))
    assert "certificate" in row.what
    assert "is not the server that the kubeconfig trusts" in row.what


async def test_credentials_that_are_not_accepted(adopted: launcher.Running, tmp_path: Path) -> None:
    content = json.loads(adopted.kubeconfig.read_text())
    content["users"] = [{**each, "user": {"token": "of-last-year"}} for each in content["users"]]
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    row = await only_row(target_at(tmp_path / "kubeconfig", tmp_path))
    assert "the credentials in the kubeconfig are not (or no longer) accepted by this cluster" in row.what
    assert "auth whoami" in row.next_command
    assert "of-last-year" not in repr(row)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_one_that_does_not_answer(
    adopted: launcher.Running, silent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_findings, "_ANSWERS_WITHIN", 0.5)
    nowhere = edited(adopted.kubeconfig, tmp_path / "kubeconfig", server=f"https://127.0.0.1:{silent}")
    row = await only_row(target_at(nowhere, tmp_path, "primary-00"))
    assert "the API server is slow or does not answer" in row.what


# Rights.


async def permissions(target: Target, *labs: str) -> Finding:
    return (await examined(target, *labs))["permissions"]


async def test_all_of_it_is_asked_where_not_everything_is_allowed(front: FrontedApi, target: Target) -> None:
    front.rules = {"": ({**EVERYTHING, "apiGroups": ["", "apps"]}, {**EVERYTHING, "verbs": ["get", "list"]})}
    found = await permissions(target)
    assert found.state == "fail"
    assert "this user may not " in found.what
    assert "create, delete, patch clusterrolebindings.rbac.authorization.k8s.io, clusterroles.rbac." in found.what
    assert "auth can-i " in found.next_command
    assert sum(each == "selfsubjectaccessreviews" for each in front.reviews) == 1
    assert 2 <= len(front.reviews) <= 7, "the rules of the cluster, and of each namespace that is in question"


@cases(__file__, "permissions")
async def test_permissions(front: FrontedApi, target: Target, of: str, case: dict[str, Any]) -> None:
    """The same, whether the cluster can list its rules or only decides by them."""
    for incomplete in (False, True):
        front.rules, front.incomplete = rules_of(case["rules"]), incomplete
        found = await permissions(target, *case.get("labs", ["istio.canary"]))
        assert found.state == case["state"], (incomplete, found)
        for said in case.get("said", ()):
            assert said in found.what, (incomplete, found.what)
        for not_said in case.get("not", ()):
            assert not_said not in found.what, (incomplete, found.what)
        if "typed" in case:
            assert found.next_command.endswith(case["typed"]), (incomplete, found.next_command)
        assert front.writes == []


def rules_of(said: dict[str, Any]) -> dict[str, list[Rule]]:
    """ "get,list deployments.apps,pods": verbs, and resources with their groups."""
    return {home: [rule for line in _lines(lines) for rule in _rules(line)] for home, lines in said.items()}


def _lines(said: str | list[Any]) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    else:
        yield from (line for each in said for line in _lines(each))


def _rules(line: str) -> Iterator[Rule]:
    verbs, resources = line.split(" ")
    for named in resources.split(","):
        resource, _, group = named.partition(".")
        yield {"verbs": verbs.split(","), "apiGroups": [group], "resources": [resource]}


async def test_it_is_asked_one_by_one_only_where_the_rules_are_not_all(front: FrontedApi, target: Target) -> None:
    front.rules, front.incomplete = {"": ({**EVERYTHING, "verbs": ["get", "list", "watch"]},)}, True
    assert (await permissions(target)).state == "fail"
    asked = sum(each == "selfsubjectaccessreviews" for each in front.reviews)
    assert 20 < asked < 300


# Other meshes.


@cases(__file__, "meshes")
async def test_other_meshes(
    adopted: launcher.Running, front: FrontedApi, target: Target, of: str, case: dict[str, Any]
) -> None:
    kubectl = Kubectl(BIN / "kubectl", adopted.kubeconfig, "primary", target.kubectl.cache)
    objects = [_object(each) for each in case["there"]]
    await kubectl.call("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        found = (await examined(target, *case.get("labs", ["istio.canary"])))["other meshes"]
    finally:
        await kubectl.delete(objects)
    assert found.state == case["state"], found
    for said in case["said"]:
        assert said in found.what
    assert bool(found.next_command) == (case["state"] != "ok")


def _object(said: dict[str, Any]) -> dict[str, Any]:
    """ "KIND NAME" of the case, with what it says of labels, annotations, and the namespace of a webhook's
    Service."""
    kind, name = said["of"].split(" ")
    metadata = {"name": name, "labels": said.get("labels", {}), "annotations": said.get("annotations", {})}
    if kind == "Namespace":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    if kind == "CustomResourceDefinition":
        plural, _, group = name.partition(".")
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema}
        names = {"plural": plural, "kind": plural.capitalize(), "singular": plural, "listKind": f"{plural}list"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
    service = {"name": "injector", "namespace": said["service"], "path": "/inject", "port": 443}
    webhook = {
        "name": f"{name}.example.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"service": service},
        "namespaceSelector": {"matchLabels": {"nobody": "here"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "webhooks": [webhook],
    }


# What members share.


async def test_quotas_of_those_whose_labs_work_on_an_account(
    adopted: launcher.Running, workshop: Workshop, target: Target
) -> None:
    workshop.azure.set(quotas={"cores": 8})
    workshop.azure.clear()
    found = {row.name: row for row in await examine_quota([target_of(workshop, Use(account=True)), target])}
    assert [row.state for row in found.values()] == ["fail", "ok", "ok"]
    assert "0 of 8 used, 12 more needed by 1 member: 4 are missing" in found["vCPUs in westeurope"].what
    assert found["vCPUs in westeurope"].next_command == "", "az would ask the real Azure"
    assert {each["method"] for each in workshop.azure.requests()} == {"GET"}
    assert await examine_quota([target]) == []


async def test_what_others_have_installed_need_not_be_installed(
    adopted: launcher.Running, front: FrontedApi, target: Target
) -> None:
    """Whoever prepares a cluster may install Istio, and attendees then need no right to. The last of this file: the
    sandbox has an Istio from here on."""
    installed = await tool_process.run(
        (str(adopted.bin / "istioctl"), "install", "-y", f"--kubeconfig={adopted.kubeconfig}", "--context=primary"),
        seconds=HANGS,
    )
    assert installed.status == 0, installed.stderr
    front.rules = rules_of({"": [OF_NAMESPACES], **{home: [OF_LABS] for home in ("workshop-system", *HOMES)}})
    found = await examined(target)
    assert found["permissions"].state == "ok", found["permissions"]
    assert found["other meshes"].state == "ok"
    assert found["load balancers"].what == "1 of 1 Services that ask for an address have one"

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kit.fronted_api import in_front_of
from tests.kit.runs import Recorded
from workshop.kubernetes.attendee_access import ACCOUNT, objects, revoke
from workshop.kubernetes.cluster_guard import NAMESPACE, ClusterGuard
from workshop.kubernetes.inventory import ClusterInventory
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError
from workshop.kubernetes.manifests import LAB, PART_OF, WORKSHOP
from workshop.kubernetes.other_clusters import OtherClusters
from workshop.runbook.events import Command, Told


async def make_a_secret_and_a_token(kubectl: Kubectl, namespace: str) -> None:
    """The token of an account, as a controller makes it (and kubectl, where somebody asks it to)."""
    account = {"kubernetes.io/service-account.name": "default"}
    token = {"name": "token", "namespace": namespace, "annotations": account}
    mine = {"name": "mine", "namespace": namespace, "annotations": {"other": "default"}}
    for kind, metadata in (("kubernetes.io/service-account-token", token), ("my type", mine)):
        await kubectl.apply([{"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}])


async def test_a_value_may_have_blanks_in_it(kubectl: Kubectl, namespace: str) -> None:
    """The name of a role."""
    await kubectl.call("label", "namespace", namespace, f"{PART_OF}={WORKSHOP}", f"{LAB}=istio.canary")
    await kubectl.call("create", "role", "my role", "-n", namespace, "--verb=get", "--resource=pods")
    await make_a_secret_and_a_token(kubectl, namespace)
    run = Recorded(kubectl, OtherClusters({}))
    there = await run.observe(ClusterInventory().source())
    started = [command.argv[4] for command in run.of(Command) if command.process]
    assert [name for name in started if name != "proxy"] == ["api-resources"]  # that one may run already
    found = [(item.subject, item.lab, item.home_of) for item in there if namespace in item.subject]
    assert sorted(found) == [
        (f"Namespace {namespace}", "istio.canary", ""),
        (f"Role {namespace}/my role", None, "istio.canary"),
        (f"Secret {namespace}/mine", None, "istio.canary"),
    ]


async def test_what_an_adopted_cluster_has_beside_the_labs_is_none_of_theirs(kubectl: Kubectl) -> None:
    """The mark, and the account that attendees get in by: a reset would end their work."""
    guard = ClusterGuard(kubectl, "primary")
    await guard.adopt()
    try:
        await kubectl.apply(objects())
        there = await Recorded(kubectl, OtherClusters({})).observe(ClusterInventory().source())
        assert not [item.subject for item in there if ACCOUNT in item.subject or "workshop-" in item.subject]
    finally:
        await revoke(kubectl)
        await kubectl.call("delete", "namespace", NAMESPACE)


async def test_a_kind_of_the_same_name_in_another_group_is_seen(kubectl: Kubectl, namespace: str) -> None:
    """Leases of Kubernetes are written by controllers, and nobody's; another group's may be a person's."""
    names = {"kind": "Lease", "listKind": "LeaseList", "plural": "leases", "singular": "lease"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    group = "rental.example.com"
    crd: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"leases.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
    await kubectl.call("label", "namespace", namespace, f"{PART_OF}={WORKSHOP}", f"{LAB}=istio.canary")
    await kubectl.apply([crd])
    try:
        await kubectl.call("wait", "--for=condition=Established", f"crd/leases.{group}", "--timeout=20s")
        metadata = {"name": "mine", "namespace": namespace}
        await kubectl.apply([{"apiVersion": f"{group}/v1", "kind": "Lease", "metadata": metadata}])
        await kubectl.apply(
            [{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}]
        )
        there = await Recorded(kubectl, OtherClusters({})).observe(ClusterInventory().source())
        assert [item.subject for item in there if item.subject.startswith("Lease")] == [f"Lease {namespace}/mine"]
    finally:
        await kubectl.call("delete", "crd", f"leases.{group}")


GROUP = "wardle.example.com"
FLUNDERS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1",
    "resources": [
        {
            "name": "flunders",
            "singularName": "flunder",
            "namespaced": True,
            "kind": "Flunder",
            "verbs": ["get", "list", "delete"],
        }
    ],
}
DOWN = (
    503,
    {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "ServiceUnavailable",
        "code": 503,
        "message": "the server is currently unable to handle the request",
    },
)


@pytest.mark.parametrize("kinds", [DOWN, (200, FLUNDERS)], ids=["its kinds are not known", "they are"])
async def test_an_extension_that_does_not_answer_is_named_and_hinders_nothing_else(
    kubectl: Kubectl, namespace: str, tmp_path: Path, kinds: tuple[int, Any]
) -> None:
    await kubectl.call("label", "namespace", namespace, f"{PART_OF}={WORKSHOP}", f"{LAB}=istio.canary")
    await make_a_secret_and_a_token(kubectl, namespace)
    async with in_front_of(kubectl.kubeconfig) as front:
        there = replace(kubectl, kubeconfig=front.kubeconfig(tmp_path / "kubeconfig"), cache=tmp_path / "cache")
        groups = json.loads(await kubectl.call("get", "--raw", "/apis"))
        version = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
        groups["groups"].append({"name": GROUP, "versions": [version], "preferredVersion": version})
        front.answers[("GET", "/apis")] = (200, groups)
        front.answers[("GET", f"/apis/{GROUP}/v1")] = kinds
        for place in ("flunders", f"namespaces/{namespace}/flunders"):
            front.answers[("GET", f"/apis/{GROUP}/v1/{place}")] = DOWN
        run = Recorded(there, OtherClusters({}))
        inventory = ClusterInventory()
        for _ in range(2):
            run.facts.forget()
            found = await run.observe(inventory.source())
            subjects = [item.subject for item in found if namespace in item.subject]
            assert subjects == [f"Namespace {namespace}", f"Secret {namespace}/mine"]
        assert [event.text for event in run.of(Told)] == [
            f"not looked at: what is there of {GROUP}, whose API server does not answer"
        ]


async def test_kubernetes_itself_has_to_answer(kubectl: Kubectl, tmp_path: Path) -> None:
    async with in_front_of(kubectl.kubeconfig) as front:
        there = replace(kubectl, kubeconfig=front.kubeconfig(tmp_path / "kubeconfig"), cache=tmp_path / "cache")
        front.answers[("GET", "/apis/apps/v1/deployments")] = DOWN
        with pytest.raises(KubectlError, match="unable to handle"):
            await Recorded(there, OtherClusters({})).observe(ClusterInventory().source())

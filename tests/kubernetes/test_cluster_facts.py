from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.runs import Recorded
from workshop.kubernetes.cluster_facts import ISTIO, ClusterFacts, Snapshot
from workshop.kubernetes.kubectl import Kubectl, KubectlError, Reason
from workshop.runbook.errors import WorkshopError

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.networking.istio.io}
spec:
  group: networking.istio.io
  names: {plural: PLURAL, kind: KIND, singular: SINGULAR, listKind: KINDList}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
PLURALS = {kind: plural.partition(".")[0] for kind, plural in ISTIO.items()}


def crds() -> str:
    return "---".join(
        CRD.replace("PLURAL", plural).replace("SINGULAR", kind.lower()).replace("KIND", kind)
        for kind, plural in PLURALS.items()
    )


def virtual_service(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": namespace},
        "spec": {"hosts": ["reviews"]},
    }


async def test_two_calls_with_istio_and_one_more_without(kubectl: Kubectl, namespace: str) -> None:
    run = Recorded(kubectl)
    before = await run.observe(ClusterFacts())
    assert not before.istio
    assert before.get("VirtualService", namespace, "reviews") is None
    assert before.get("Namespace", "", namespace)

    await kubectl.call("apply", "-f", "-", stdin=crds())
    names = [f"crd/{plural}.networking.istio.io" for plural in PLURALS.values()]
    await kubectl.call("wait", "--for=condition=Established", *names)
    await kubectl.apply([virtual_service(namespace)])
    run.facts.forget()
    there = await run.observe(ClusterFacts())
    assert there.istio
    assert there.find(virtual_service(namespace))

    # kubectl's discovery cache still has the kinds that are gone now.
    await kubectl.call("delete", *names)
    run.facts.forget()
    assert not (await run.observe(ClusterFacts())).istio
    assert len(run.commands) == 3 + 2 + 3


def test_any_version_of_a_group_is_the_object() -> None:
    older = {**virtual_service("a"), "apiVersion": "networking.istio.io/v1beta1"}
    assert Snapshot([older], istio=True).find(virtual_service("a")) == older


def test_a_kind_without_facts_is_refused() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}}
    with pytest.raises(WorkshopError, match="no facts are collected"):
        Snapshot([], istio=False).find(secret)


async def test_a_cluster_that_does_not_answer_is_an_error_not_an_absence(kubectl: Kubectl) -> None:
    with pytest.raises(KubectlError) as failed:
        await Recorded(replace(kubectl, context="typo")).observe(ClusterFacts())
    assert failed.value.reason is Reason.NO_CONTEXT


async def test_credentials_that_are_not_accepted(kubectl: Kubectl, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    content = yaml.safe_load(kubectl.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": "wrong"}
    kubeconfig.write_text(yaml.safe_dump(content))
    stranger = replace(kubectl, kubeconfig=kubeconfig)
    with pytest.raises(KubectlError) as failed:
        await stranger.get_items("pods")
    assert failed.value.reason is Reason.UNAUTHORIZED
    assert failed.value.next_command == stranger.typed("kubectl auth whoami")
    assert "wrong" not in str(failed.value)

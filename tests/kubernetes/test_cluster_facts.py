from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.runs import Recorded
from workshop.kubernetes.cluster_facts import Snapshot, look, look_for, places_of
from workshop.kubernetes.kinds import ISTIO, Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
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
    - name: VERSION
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def crds(version: str = "v1") -> str:
    return "---".join(
        CRD.replace("PLURAL", kind.plural)
        .replace("SINGULAR", kind.name.lower())
        .replace("KIND", kind.name)
        .replace("VERSION", version)
        for kind in ISTIO
    )


def virtual_service(namespace: str, version: str = "v1") -> dict[str, Any]:
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": namespace},
        "spec": {"hosts": ["reviews"]},
    }


def config_map(namespace: str, name: str, value: str = "a") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_kinds_that_come_and_go(kubectl: Kubectl, namespace: str, version: str) -> None:
    """In the version that the cluster has, which is an older one with an older Istio."""
    run, places = Recorded(kubectl), [Place(kind.name, namespace) for kind in ISTIO]
    before = await look(run, places)
    assert not before.istio
    assert before.get("VirtualService", namespace, "reviews") is None

    await kubectl.call("apply", "-f", "-", stdin=crds(version))
    names = [f"crd/{kind.resource}" for kind in ISTIO]
    await kubectl.call("wait", "--for=condition=Established", *names)
    try:
        await kubectl.apply([virtual_service(namespace, version)])
        run.facts.forget()
        there = await look(run, places)
        assert there.istio
        assert there.find(virtual_service(namespace))
    finally:
        await kubectl.call("delete", *names)
    run.facts.forget()
    assert not (await look(run, places)).istio


async def test_nothing_is_looked_at_but_where_the_objects_are(kubectl: Kubectl, namespace: str) -> None:
    """And there also what was made by hand, and carries no label."""
    run, wanted = Recorded(kubectl), config_map(namespace, "ours")
    await kubectl.call("create", "configmap", "by-hand", "-n", namespace)
    found = await look_for(run, [wanted])
    assert found.find(wanted) is None
    assert found.get("ConfigMap", namespace, "by-hand")
    assert run.commands == [f"get configmaps --namespace={namespace} -o json"]
    for place in (("ConfigMap", "default", "kube-root-ca.crt"), ("Pod", namespace, "a")):
        with pytest.raises(LookupError, match="nobody has looked"):
            found.get(*place)
    with pytest.raises(LookupError):
        found.all("Pod", namespace)


def test_what_is_looked_at_beside_an_object() -> None:
    def obj(kind: str) -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": "a", "namespace": "shop"}}

    namespace = {"kind": "Namespace", "metadata": {"name": "shop"}}
    assert places_of([namespace]) == {Place("Namespace", "", "shop")}
    assert places_of([obj("Deployment")]) == {Place("Deployment", "shop"), Place("Pod", "shop")}
    rules = {Place("VirtualService", "shop"), Place("DestinationRule", "shop")}
    assert places_of([obj("Service")]) == {Place("Service", "shop"), *rules}


async def test_looked_at_once_until_something_is_applied(kubectl: Kubectl, namespace: str) -> None:
    run, place = Recorded(kubectl), Place("ConfigMap", namespace)
    await look(run, [place])
    await look(run, [place, Place("Service", namespace)])
    assert [command.split()[1] for command in run.commands] == ["configmaps", "services"]
    run.facts.forget_what_changes()
    await look(run, [place])
    assert len(run.commands) == 3


async def test_a_hand_edit_between_two_steps_is_seen(kubectl: Kubectl, namespace: str) -> None:
    """One step applies, and somebody edits what the next one is about."""
    run, own = Recorded(kubectl), config_map(namespace, "next")
    await kubectl.apply([own])
    assert (await look_for(run, [own])).find(own)
    (await look_for(run, [own])).learn(await kubectl.apply([config_map(namespace, "first")]))
    await kubectl.call("patch", "configmap", "next", "-n", namespace, "-p", '{"data":{"key":"by hand"}}')
    run.facts.forget_what_changes()  # as the engine does after an apply
    live = (await look_for(run, [own])).find(own)
    assert live
    assert live["data"] == {"key": "by hand"}
    await kubectl.call("delete", "namespace", namespace)
    run.facts.forget_what_changes()
    assert (await look_for(run, [own])).find(own) is None


async def test_what_is_written_takes_the_place_of_what_was_seen(kubectl: Kubectl, namespace: str) -> None:
    """For all who look while the one that wrote it waits: as the API server has it, without asking."""
    run, other = Recorded(kubectl), config_map(namespace, "b")
    snapshot = await look_for(run, [other])
    (written,) = await kubectl.apply([other])
    assert written["metadata"]["resourceVersion"]
    snapshot.learn([written])
    assert snapshot.find(other) == written
    assert (await look_for(run, [other])).find(other) == written
    assert len(run.commands) == 1


async def test_an_answer_from_before_a_write_is_not_kept(kubectl: Kubectl, namespace: str) -> None:
    """Somebody is looking at a place while another one writes there."""
    run, own = Recorded(kubectl), config_map(namespace, "a")
    snapshot = await look_for(run, [config_map(namespace, "other")])
    run.facts.forget()
    slow = _Slow(kubectl, namespace)
    looking = await slow.begin(run)
    (written,) = await kubectl.apply([own])
    (await look(run, [])).learn([written])
    slow.go_on()
    await looking
    assert (await look_for(run, [own])).find(own) == written
    assert snapshot.find(own) is None


class _Slow:
    """A look whose answer is there, and comes only later."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._place = kubectl, Place("ConfigMap", namespace)

    async def begin(self, run: Recorded) -> Any:
        import asyncio

        self._late, asked = asyncio.Event(), asyncio.Event()
        late, original = self._late, type(self._kubectl).look

        class Late(Kubectl):
            async def look(self, places: Any) -> Any:
                found = await original(self, places)
                asked.set()
                await late.wait()
                return found

        run.toolbox = {Kubectl: Late(**{name: getattr(self._kubectl, name) for name in self._kubectl.__dict__})}
        task = asyncio.create_task(look(run, [self._place]))
        await asked.wait()
        run.toolbox = {Kubectl: self._kubectl}
        return task

    def go_on(self) -> None:
        self._late.set()


def test_any_version_of_a_group_is_the_object() -> None:
    older = virtual_service("a", "v1beta1")
    assert Snapshot([older], istio=True).find(virtual_service("a")) == older


def test_a_kind_without_facts_is_refused() -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a", "namespace": "b"}}
    with pytest.raises(WorkshopError, match="no facts are collected"):
        Snapshot([], istio=False).find(claim)
    with pytest.raises(WorkshopError, match="no facts are collected"):
        places_of([claim])


async def test_a_cluster_that_does_not_answer_is_an_error_not_an_absence(kubectl: Kubectl) -> None:
    with pytest.raises(KubectlError) as failed:
        await look(Recorded(replace(kubectl, context="typo")), [Place("Pod", "default")])
    assert failed.value.reason is Reason.NO_CONTEXT


async def test_credentials_that_are_not_accepted(kubectl: Kubectl, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    content = yaml.safe_load(kubectl.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": "wrong"}
    kubeconfig.write_text(yaml.safe_dump(content))
    stranger = replace(kubectl, kubeconfig=kubeconfig)
    with pytest.raises(KubectlError) as failed:
        await stranger.look([Place("Pod", "default")])
    assert failed.value.reason is Reason.UNAUTHORIZED
    assert failed.value.next_command == stranger.typed("kubectl auth whoami")
    assert "wrong" not in str(failed.value)

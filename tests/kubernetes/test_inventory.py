from __future__ import annotations

from typing import Any

from tests.kit.runs import Recorded
from workshop.kubernetes.attendee_access import ACCOUNT, objects, revoke
from workshop.kubernetes.cluster_guard import NAMESPACE, ClusterGuard
from workshop.kubernetes.inventory import ClusterInventory
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import LAB, PART_OF, WORKSHOP
from workshop.kubernetes.other_clusters import OtherClusters


async def test_a_value_may_have_blanks_in_it(kubectl: Kubectl, namespace: str) -> None:
    """The name of a role, and the type of a Secret."""
    await kubectl.call("label", "namespace", namespace, f"{PART_OF}={WORKSHOP}", f"{LAB}=istio.canary")
    await kubectl.call("create", "role", "my role", "-n", namespace, "--verb=get", "--resource=pods")
    await kubectl.call("create", "secret", "generic", "mine", "-n", namespace, "--type=my type")
    run = Recorded(kubectl, OtherClusters({}))
    there = await run.observe(ClusterInventory().source())
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

"""The write path, in-process: identity, optimistic lock, deletion, admission, CRDs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.api.writer import WriteOptions
from sandbox.core.cluster import Admission, ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import clone


def config_map(name: str = "one", **more: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default", **more}, "data": {"key": "value"}}


def pod(name: str = "one", **spec: Any) -> Object:
    containers = [{"name": "main", "image": "pause"}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": containers, **spec}}


def widget_crd(**version: Any) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
        },
    }
    first = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        **version,
    }
    return {
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
            "versions": [first, {**first, "name": "v1beta1", "storage": False}],
        },
    }


CRDS = "customresourcedefinitions.apiextensions.k8s.io"
WIDGETS = "widgets.example.org"


def test_it_is_a_cluster() -> None:
    cluster: Cluster = LocalCluster()
    assert {obj["metadata"]["name"] for obj in cluster.list("namespaces")} == {
        *("default", "kube-node-lease", "kube-public", "kube-system")
    }


def test_create_gives_identity(cluster: LocalCluster) -> None:
    made = cluster.create("configmaps", config_map(), manager="test")
    metadata = made["metadata"]
    assert made["apiVersion"] == "v1"
    assert made["kind"] == "ConfigMap"
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    with pytest.raises(ApiError, match=r'configmaps "one" already exists') as refusal:
        cluster.create("configmaps", config_map(), manager="test")
    assert refusal.value.reason == "AlreadyExists"


def test_generated_names_differ(cluster: LocalCluster) -> None:
    obj = {"metadata": {"generateName": "job-", "namespace": "default"}}
    names = {cluster.create("configmaps", obj, manager="test")["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: LocalCluster) -> None:
    obj = {"metadata": {"name": "one", "namespace": "nowhere"}}
    with pytest.raises(ApiError, match=r'namespaces "nowhere" not found'):
        cluster.create("configmaps", obj, manager="test")


def test_edit_writes_only_what_differs(cluster: LocalCluster) -> None:
    made = cluster.create("configmaps", config_map(), manager="test")
    same = cluster.edit("configmaps", "default", "one", lambda obj: None, manager="test")
    assert same is made

    changed = cluster.edit("configmaps", "default", "one", lambda obj: obj["data"].update(key="x"), manager="test")
    assert changed is not None
    assert changed["data"] == {"key": "x"}
    assert made["data"] == {"key": "value"}, "what was handed out does not change"
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert cluster.edit("configmaps", "default", "none", lambda obj: None, manager="test") is None


def test_an_older_resource_version_is_a_conflict(cluster: LocalCluster) -> None:
    read = cluster.create("configmaps", config_map(), manager="test")
    cluster.edit("configmaps", "default", "one", lambda obj: obj["data"].update(key="x"), manager="other")
    late = clone(read)
    late["data"] = {"key": "y"}
    resource = cluster.registry.by_key("configmaps")
    with pytest.raises(ApiError, match="the object has been modified") as refusal:
        cluster.writer.replace(resource, cluster.get("configmaps", "default", "one"), late, WriteOptions("test"))
    assert (refusal.value.code, refusal.value.reason) == (409, "Conflict")


def test_status_and_spec_are_written_apart(cluster: LocalCluster) -> None:
    cluster.create("pods", pod(), manager="test")

    def both(obj: Object) -> None:
        obj["status"]["phase"] = "Running"
        obj["metadata"]["labels"] = {"a": "b"}

    by_status = cluster.edit("pods", "default", "one", both, manager="test", subresource="status")
    assert by_status is not None
    assert by_status["status"]["phase"] == "Running"
    assert "labels" not in by_status["metadata"]

    def other(obj: Object) -> None:
        obj["status"]["phase"] = "Failed"
        obj["metadata"]["labels"] = {"a": "b"}

    by_spec = cluster.edit("pods", "default", "one", other, manager="test")
    assert by_spec is not None
    assert by_spec["status"]["phase"] == "Running"
    assert by_spec["metadata"]["labels"] == {"a": "b"}


def test_generation_counts_changes_of_the_spec(cluster: LocalCluster) -> None:
    deployment = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]},
        },
    }
    assert cluster.create("deployments.apps", deployment, manager="test")["metadata"]["generation"] == 1

    def generation(change: Any, subresource: str | None = None) -> int:
        changed = cluster.edit(
            "deployments.apps", "default", "web", change, manager="test", subresource=subresource
        )
        assert changed is not None
        return int(changed["metadata"]["generation"])

    assert generation(lambda obj: obj["metadata"].update(labels={"a": "b"})) == 1
    assert generation(lambda obj: obj.update(status={"observedGeneration": 1}), "status") == 1
    assert generation(lambda obj: obj["spec"].update(replicas=3)) == 2


def test_finalizers_hold_an_object(cluster: LocalCluster) -> None:
    cluster.create("configmaps", config_map(finalizers=["example.org/hold"]), manager="test")
    marked = cluster.delete("configmaps", "default", "one")
    assert marked is not None
    assert marked["metadata"]["deletionTimestamp"]
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        cluster.edit(
            *("configmaps", "default", "one"),
            lambda obj: obj["metadata"]["finalizers"].append("example.org/more"),
            manager="test",
        )
    released = cluster.edit(
        "configmaps", "default", "one", lambda obj: obj["metadata"].pop("finalizers"), manager="test"
    )
    assert released is None
    assert cluster.find("configmaps", "default", "one") is None


def test_a_running_pod_has_its_grace(cluster: LocalCluster) -> None:
    cluster.create("pods", pod("idle"), manager="test")
    cluster.delete("pods", "default", "idle")
    assert cluster.find("pods", "default", "idle") is None, "it runs nowhere"

    cluster.create("pods", pod(nodeName="node", terminationGracePeriodSeconds=7), manager="test")
    marked = cluster.delete("pods", "default", "one")
    assert marked is not None
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    cluster.delete("pods", "default", "one", grace_seconds=30)
    assert cluster.get("pods", "default", "one")["metadata"]["deletionGracePeriodSeconds"] == 7
    cluster.delete("pods", "default", "one", grace_seconds=0)
    assert cluster.find("pods", "default", "one") is None


def test_delete_by_uid_leaves_a_namesake(cluster: LocalCluster) -> None:
    cluster.create("configmaps", config_map(), manager="test")
    assert cluster.delete("configmaps", "default", "one", uid="another") is None
    assert cluster.find("configmaps", "default", "one") is not None


@pytest.mark.parametrize(("propagation", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
def test_propagation_is_left_to_the_garbage_collector(
    cluster: LocalCluster, propagation: Any, finalizer: str
) -> None:
    cluster.create("configmaps", config_map(), manager="test")
    marked = cluster.delete("configmaps", "default", "one", propagation=propagation)
    assert marked is not None
    assert marked["metadata"]["finalizers"] == [finalizer]


def test_a_namespace_goes_when_it_is_finalized(cluster: LocalCluster) -> None:
    cluster.create("namespaces", {"metadata": {"name": "n"}}, manager="test")
    cluster.delete("namespaces", None, "n")
    assert cluster.get("namespaces", None, "n")["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError, match="because it is being terminated"):
        cluster.create("configmaps", {"metadata": {"name": "one", "namespace": "n"}}, manager="test")
    cluster.edit("namespaces", None, "n", lambda obj: obj["metadata"].update(labels={}), manager="test")
    assert cluster.find("namespaces", None, "n") is not None
    cluster.edit(
        "namespaces",
        None,
        "n",
        lambda obj: obj["spec"].update(finalizers=[]),
        manager="test",
        subresource="finalize",
    )
    assert cluster.find("namespaces", None, "n") is None


def test_string_data_is_written_never_read(cluster: LocalCluster) -> None:
    secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"password": "x"}}
    made = cluster.create("secrets", secret, manager="test")
    assert made["data"] == {"password": "eA=="}
    assert "stringData" not in made


def test_what_admission_puts_into_a_pod_counts_for_its_quality_of_service(cluster: LocalCluster) -> None:
    def inject(admission: Admission) -> None:
        sidecar = {"name": "proxy", "image": "pause", "resources": {"requests": {"cpu": "100m"}}}
        admission.object["spec"]["containers"].append(sidecar)

    assert cluster.create("pods", pod("alone"), manager="test")["status"]["qosClass"] == "BestEffort"
    cluster.admission.append(inject)
    assert cluster.create("pods", pod("with"), manager="test")["status"]["qosClass"] == "Burstable"


def test_admission_changes_and_refuses(cluster: LocalCluster) -> None:
    def label(admission: Admission) -> None:
        if admission.operation == "CREATE":
            admission.object["metadata"]["labels"] = {"seen": "yes"}
        if admission.operation == "DELETE" and admission.resource.key == "configmaps":
            raise ApiError(403, "Forbidden", "not this one")

    cluster.admission.append(label)
    assert cluster.create("configmaps", config_map(), manager="test")["metadata"]["labels"] == {"seen": "yes"}
    with pytest.raises(ApiError, match="not this one"):
        cluster.delete("configmaps", "default", "one")
    assert cluster.find("configmaps", "default", "one") is not None


def test_what_validates_sees_what_admission_made_and_the_schema_allows(cluster: LocalCluster) -> None:
    seen: list[tuple[str, str]] = []

    def fill(admission: Admission) -> None:
        admission.object.setdefault("data", {}).setdefault("key", "filled")

    def look(admission: Admission) -> None:
        seen.append((admission.operation, admission.object["data"]["key"]))

    cluster.validation.append(look)
    cluster.admission.append(fill)
    cluster.create("configmaps", {"metadata": {"name": "one", "namespace": "default"}}, manager="test")
    cluster.edit("configmaps", "default", "one", lambda obj: obj["data"].update(key="x"), manager="test")
    with pytest.raises(ApiError, match="a valid config key"):
        cluster.edit("configmaps", "default", "one", lambda obj: obj["data"].update({"a b": "x"}), manager="test")
    cluster.delete("configmaps", "default", "one")
    assert seen == [("CREATE", "filled"), ("UPDATE", "x"), ("DELETE", "x")]


async def test_a_watch_misses_nothing_from_the_moment_it_was_asked_for(cluster: LocalCluster) -> None:
    cluster.create("configmaps", config_map(), manager="test")
    events = cluster.watch("configmaps", WIDGETS)
    cluster.edit("configmaps", "default", "one", lambda obj: obj["data"].update(key="x"), manager="test")
    cluster.delete("configmaps", "default", "one")
    cluster.create(CRDS, widget_crd(), manager="test")
    cluster.create(WIDGETS, {"metadata": {"name": "w", "namespace": "default"}}, manager="test")
    seen: list[WatchEvent] = []
    async with asyncio.timeout(60):
        async for event in events:
            seen.append(event)
            if len(seen) == 4:
                break
    assert [(event.type, event.resource) for event in seen] == [
        ("ADDED", "configmaps"),
        ("MODIFIED", "configmaps"),
        ("DELETED", "configmaps"),
        ("ADDED", WIDGETS),
    ]


def test_a_crd_is_served_at_once_and_in_all_its_versions(cluster: LocalCluster) -> None:
    assert cluster.find(WIDGETS, "default", "w") is None
    with pytest.raises(ApiError, match="could not find the requested resource"):
        cluster.create(WIDGETS, {"metadata": {"name": "w", "namespace": "default"}}, manager="test")
    crd = cluster.create(CRDS, widget_crd(), manager="test")
    assert {entry["type"]: entry["status"] for entry in crd["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert crd["status"]["storedVersions"] == ["v1"]
    served = [resource.api_version for resource in cluster.resources() if resource.key == WIDGETS]
    assert served == ["example.org/v1", "example.org/v1beta1"]


def test_custom_objects_are_checked_by_their_schema(cluster: LocalCluster) -> None:
    cluster.create(CRDS, widget_crd(), manager="test")
    widget: Object = {"metadata": {"name": "w", "namespace": "default"}, "spec": {"size": "large"}}
    with pytest.raises(ApiError, match=r"spec\.size") as refusal:
        cluster.create(WIDGETS, widget, manager="test")
    assert refusal.value.code == 422
    widget["spec"] = {"sise": 1}
    with pytest.raises(ApiError, match=r'unknown field "spec.sise"'):
        cluster.create(WIDGETS, widget, manager="test")


def test_a_crd_takes_its_objects_with_it(cluster: LocalCluster) -> None:
    cluster.create(CRDS, widget_crd(), manager="test")
    held = {"metadata": {"name": "held", "namespace": "default", "finalizers": ["example.org/hold"]}}
    cluster.create(WIDGETS, held, manager="test")
    cluster.create(WIDGETS, {"metadata": {"name": "free", "namespace": "default"}}, manager="test")
    cluster.delete(CRDS, None, WIDGETS)
    assert [obj["metadata"]["name"] for obj in cluster.list(WIDGETS)] == ["held"]
    with pytest.raises(ApiError, match="terminating"):
        cluster.create(WIDGETS, {"metadata": {"name": "new", "namespace": "default"}}, manager="test")
    cluster.edit(WIDGETS, "default", "held", lambda obj: obj["metadata"].pop("finalizers"), manager="test")
    assert cluster.find(CRDS, None, WIDGETS) is None
    assert not any(resource.key == WIDGETS for resource in cluster.resources())
    cluster.create(CRDS, widget_crd(), manager="test")
    assert cluster.list(WIDGETS) == []


def test_a_crd_cannot_take_a_kind_that_is_there(cluster: LocalCluster) -> None:
    crd = widget_crd()
    crd["metadata"]["name"] = "deployments.apps"
    crd["spec"].update(group="apps", names={"plural": "deployments", "kind": "Deployment"})
    with pytest.raises(ApiError) as refusal:
        cluster.create(CRDS, crd, manager="test")
    assert refusal.value.code == 422


def test_a_crd_with_a_column_that_cannot_be_printed_is_refused(cluster: LocalCluster) -> None:
    column = {"name": "Deep", "type": "string", "jsonPath": ".spec..hosts"}
    with pytest.raises(ApiError, match=r"additionalPrinterColumns\[0\]\.jsonPath.*not supported by the sandbox"):
        cluster.create(CRDS, widget_crd(additionalPrinterColumns=[column]), manager="test")

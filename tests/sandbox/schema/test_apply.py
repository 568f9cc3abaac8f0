"""Who owns what, and what happens to what nobody wants any more."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.schema.apply import server_side_apply, track_update
from sandbox.schema.defaults import default
from sandbox.schema.patch import merge_patch
from tests.kit.cases import cases

from .objects import DEPLOYMENTS, SERVICES, custom, deployment, fruit, service, type_of
from .test_defaults import contains

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply(
    live: Object | None,
    wanted: Object,
    manager: str = "kubectl",
    *,
    force: bool = False,
    now: str = "T1",
    subresource: str = "",
) -> Any:
    """Server-side apply of a Deployment, with the defaults the server fills in."""
    obj = server_side_apply(DEPLOYMENTS, type_of(DEPLOYMENTS), live, wanted, manager, force, now, subresource)
    default(type_of(DEPLOYMENTS), obj)
    return obj


def update(live: Object | None, change: Object, manager: str, now: str = "T2", subresource: str = "") -> Any:
    new = merge_patch(live or {}, change)
    new.setdefault("metadata", {})
    track_update(DEPLOYMENTS, type_of(DEPLOYMENTS), live, new, manager, now, subresource)
    return new


def owned(obj: Any) -> dict[str, Any]:
    """The fields of each manager."""
    return {each["manager"]: each["fieldsV1"] for each in obj["metadata"].get("managedFields", ())}


@cases(__file__, "apply")
def test_writes(of: str, case: Any) -> None:
    live: Any = None
    for step in case["steps"]:
        before, more = copy.deepcopy(live), {"subresource": step.get("subresource", "")}
        if "update" in step:
            live = update(live, step["update"], step["by"], **more)
        elif "refused" in step:
            with pytest.raises(ApiError) as caught:
                apply(live, step["apply"], step["by"])
            assert caught.value.message == step["refused"]
            assert live == before
        else:
            live = apply(live, step["apply"], step["by"], force=step.get("force", False), **more)
            assert apply(live, step["apply"], step["by"], now="T9", **more) == live, "again, it changes nothing"
    if "live" in case:
        assert contains(live, case["live"]), live
    for manager, fields in case.get("owns", {}).items():
        assert owned(live).get(manager) == fields


def test_an_entry_of_managed_fields() -> None:
    assert apply(None, deployment(replicas=2))["metadata"]["managedFields"][0].keys() == {
        *("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1")
    }
    obj = update(apply(None, deployment()), {"status": {"replicas": 1}}, "controller", subresource="status")
    (entry,) = [each for each in obj["metadata"]["managedFields"] if each["manager"] == "controller"]
    fields = {"fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:replicas": {}}}}
    assert entry == {
        **{"manager": "controller", "operation": "Update", "apiVersion": "apps/v1", "subresource": "status"},
        **{"time": "T2", **fields},
    }


def test_a_conflict_names_its_causes() -> None:
    obj = update(apply(None, deployment(replicas=2)), {"spec": {"replicas": 5}}, "scaler")
    with pytest.raises(ApiError) as caught:
        apply(obj, deployment(replicas=2))
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    message = 'conflict with "scaler" using apps/v1'
    assert caught.value.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": message, "field": ".spec.replicas"}
    ]


def test_kubectl_takes_over_what_it_applied_on_the_client_side() -> None:
    created = deployment(replicas=2)
    created["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(deployment(replicas=2))}
    default(type_of(DEPLOYMENTS), created)
    track_update(DEPLOYMENTS, type_of(DEPLOYMENTS), None, created, "kubectl-client-side-apply", "T0")
    obj = apply(created, deployment(replicas=4))
    assert obj["spec"]["replicas"] == 4
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED])["spec"]["replicas"] == 4
    with pytest.raises(ApiError):
        apply(created, deployment(replicas=4), "another")
    scaled = update(created, {"spec": {"replicas": 9}}, "scaler")
    with pytest.raises(ApiError):
        apply(scaled, deployment(replicas=4))


def test_items_keep_their_places() -> None:
    def ports(*numbers: int) -> Any:
        return service(ports=[{"name": f"p{each}", "port": each, "protocol": "TCP"} for each in numbers])

    live = server_side_apply(SERVICES, type_of(SERVICES), None, ports(1, 2, 3), "one", False, "T")
    for wanted, result in (((4,), [1, 2, 3, 4]), ((3, 4), [1, 2, 3, 4]), ((3, 1), [2, 3, 1])):
        merged = server_side_apply(SERVICES, type_of(SERVICES), live, ports(*wanted), "other", False, "T")
        assert [each["port"] for each in merged["spec"]["ports"]] == result
        assert [each["port"] for each in live["spec"]["ports"]] == [1, 2, 3]


def test_atomic_lists_and_maps_have_one_owner() -> None:
    live = server_side_apply(SERVICES, type_of(SERVICES), None, service(selector={"a": "1"}), "one", False, "T")
    with pytest.raises(ApiError, match=r"\.spec\.selector"):
        server_side_apply(SERVICES, type_of(SERVICES), live, service(selector={"b": "1"}), "other", False, "T")
    merged = server_side_apply(SERVICES, type_of(SERVICES), live, service(selector={"b": "1"}), "other", True, "T")
    assert merged["spec"]["selector"] == {"b": "1"}


def test_custom_kinds_merge_as_their_schema_says() -> None:
    resource, kind = custom(
        {
            "type": "object",
            "properties": {
                "seeds": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                    },
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "plain": {"type": "array", "items": {"type": "string"}},
            },
        }
    )

    def write(live: Object | None, spec: Any, manager: str) -> Any:
        return server_side_apply(resource, kind, live, fruit(spec), manager, False, "T")

    obj = write(None, {"seeds": [{"name": "a", "n": 1}], "tags": ["x"], "plain": ["p"]}, "one")
    obj = write(obj, {"seeds": [{"name": "b"}], "tags": ["y"]}, "other")
    assert obj["spec"] == {"seeds": [{"name": "a", "n": 1}, {"name": "b"}], "tags": ["x", "y"], "plain": ["p"]}
    assert owned(obj)["one"]["f:spec"]["f:tags"] == {'v:"x"': {}}
    assert owned(obj)["one"]["f:spec"]["f:plain"] == {}
    obj = write(obj, {"tags": ["x"]}, "one")
    assert obj["spec"] == {"seeds": [{"name": "b"}], "tags": ["x", "y"]}


def test_the_time_is_that_of_ones_own_last_change() -> None:
    obj = apply(None, deployment(replicas=2))
    obj = update(obj, {"spec": {"replicas": 3}}, "person", "T2")
    obj = update(obj, {"spec": {"replicas": 4}}, "person", "T3")
    assert [(each["manager"], each["time"]) for each in obj["metadata"]["managedFields"]] == [
        ("kubectl", "T1"),
        ("person", "T2"),
    ]

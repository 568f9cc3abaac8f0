"""Who owns what, and what happens to what nobody wants any more."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.schema.apply import server_side_apply, track_update
from sandbox.schema.defaults import default

from .objects import DEPLOYMENTS, SERVICES, custom, deployment, fruit, service

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply(
    live: Object | None, wanted: Object, manager: str = "kubectl", *, force: bool = False, now: str = "T1"
) -> Any:
    """Server-side apply of a Deployment, with the defaults the server fills in."""
    obj = server_side_apply(DEPLOYMENTS, live, wanted, manager, force, now)
    default(DEPLOYMENTS, obj)
    return obj


def update(live: Object, change: Any, manager: str, now: str = "T2", subresource: str = "") -> Any:
    new = copy.deepcopy(live)
    change(new)
    track_update(DEPLOYMENTS, live, new, manager, now, subresource)
    return new


def owned(obj: Any, manager: str) -> Any:
    (entry,) = [each for each in obj["metadata"]["managedFields"] if each["manager"] == manager]
    return entry["fieldsV1"]


def managers(obj: Any) -> list[str]:
    return [each["manager"] for each in obj["metadata"].get("managedFields", ())]


def container(obj: Any) -> Any:
    return obj["spec"]["template"]["spec"]["containers"][0]


def test_an_applier_owns_what_its_configuration_sets() -> None:
    obj = apply(None, deployment(replicas=2))
    (entry,) = obj["metadata"]["managedFields"]
    assert entry == {
        "manager": "kubectl",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": "T1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"web"}': {
                                ".": {},
                                "f:name": {},
                                "f:image": {},
                                "f:ports": {
                                    'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
                                },
                            }
                        }
                    },
                },
            }
        },
    }


def test_applying_the_same_again_changes_nothing() -> None:
    obj = apply(None, deployment(replicas=2))
    assert apply(obj, deployment(replicas=2), now="T9") == obj


def test_what_is_no_longer_applied_is_removed() -> None:
    wanted = deployment(replicas=2)
    wanted["metadata"]["labels"] = {"a": "1", "b": "2"}
    container(wanted)["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    obj = apply(None, wanted)
    obj = update(obj, lambda new: new["metadata"]["labels"].update(c="3"), "person")
    del wanted["spec"]["replicas"], wanted["metadata"]["labels"]["a"], container(wanted)["env"][0]
    obj = apply(obj, wanted)
    assert obj["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert container(obj)["env"] == [{"name": "B", "value": "2"}]
    assert obj["spec"]["replicas"] == 1, "the default again"
    del wanted["metadata"]["labels"], container(wanted)["env"]
    obj = apply(obj, wanted)
    assert obj["metadata"]["labels"] == {"c": "3"}
    assert "env" not in container(obj)


def test_what_two_apply_stays_until_both_give_it_up() -> None:
    wanted, less = deployment(replicas=2), deployment()
    obj = apply(None, wanted, "one")
    obj = apply(obj, wanted, "other")
    obj = apply(obj, less, "one")
    assert obj["spec"]["replicas"] == 2
    obj = apply(obj, less, "other")
    assert obj["spec"]["replicas"] == 1


def test_another_managers_value_is_a_conflict() -> None:
    obj = update(apply(None, deployment(replicas=2)), lambda new: new["spec"].update(replicas=5), "scaler")
    with pytest.raises(ApiError) as caught:
        apply(obj, deployment(replicas=2))
    error = caught.value
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "scaler" using apps/v1: .spec.replicas'
    assert error.details["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "scaler" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    taken = apply(obj, deployment(replicas=2), force=True)
    assert taken["spec"]["replicas"] == 2
    assert managers(taken) == ["kubectl"]


def test_the_same_value_is_shared_without_a_conflict() -> None:
    obj = update(apply(None, deployment(replicas=2)), lambda new: new["spec"].update(replicas=5), "scaler")
    obj = apply(obj, deployment(replicas=5))
    assert "f:replicas" in owned(obj, "kubectl")["f:spec"]
    assert "f:replicas" in owned(obj, "scaler")["f:spec"]


def test_several_conflicts_are_listed_by_manager() -> None:
    obj = update(apply(None, deployment(replicas=2), "first"), lambda new: new["spec"].update(replicas=5), "scaler")
    wanted = deployment(replicas=3)
    container(wanted)["image"] = "web:2"
    with pytest.raises(ApiError) as caught:
        apply(obj, wanted)
    assert caught.value.message == (
        "Apply failed with 2 conflicts: "
        'conflicts with "first":\n- .spec.template.spec.containers[name="web"].image\n'
        'conflicts with "scaler" using apps/v1:\n- .spec.replicas'
    )


def test_kubectl_takes_over_what_it_applied_on_the_client_side() -> None:
    created = deployment(replicas=2)
    created["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(deployment(replicas=2))}
    default(DEPLOYMENTS, created)
    track_update(DEPLOYMENTS, None, created, "kubectl-client-side-apply", "T0")
    obj = apply(created, deployment(replicas=4))
    assert obj["spec"]["replicas"] == 4
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED])["spec"]["replicas"] == 4
    with pytest.raises(ApiError):
        apply(created, deployment(replicas=4), "another")
    scaled = update(created, lambda new: new["spec"].update(replicas=9), "scaler")
    with pytest.raises(ApiError):
        apply(scaled, deployment(replicas=4))


def test_items_keep_their_places() -> None:
    def ports(*numbers: int) -> Any:
        return service(ports=[{"name": f"p{each}", "port": each, "protocol": "TCP"} for each in numbers])

    live = server_side_apply(SERVICES, None, ports(1, 2, 3), "one", False, "T")
    for wanted, result in (((4,), [1, 2, 3, 4]), ((3, 4), [1, 2, 3, 4]), ((3, 1), [2, 3, 1])):
        merged = server_side_apply(SERVICES, live, ports(*wanted), "other", False, "T")
        assert [each["port"] for each in merged["spec"]["ports"]] == result
        assert [each["port"] for each in live["spec"]["ports"]] == [1, 2, 3]


def test_atomic_lists_and_maps_have_one_owner() -> None:
    live = server_side_apply(SERVICES, None, service(selector={"a": "1"}), "one", False, "T")
    with pytest.raises(ApiError, match=r"\.spec\.selector"):
        server_side_apply(SERVICES, live, service(selector={"b": "1"}), "other", False, "T")
    merged = server_side_apply(SERVICES, live, service(selector={"b": "1"}), "other", True, "T")
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
        return server_side_apply(resource, live, fruit(spec), manager, False, "T", "", kind)

    obj = write(None, {"seeds": [{"name": "a", "n": 1}], "tags": ["x"], "plain": ["p"]}, "one")
    obj = write(obj, {"seeds": [{"name": "b"}], "tags": ["y"]}, "other")
    assert obj["spec"] == {"seeds": [{"name": "a", "n": 1}, {"name": "b"}], "tags": ["x", "y"], "plain": ["p"]}
    assert owned(obj, "one")["f:spec"]["f:tags"] == {'v:"x"': {}}
    assert owned(obj, "one")["f:spec"]["f:plain"] == {}
    obj = write(obj, {"tags": ["x"]}, "one")
    assert obj["spec"] == {"seeds": [{"name": "b"}], "tags": ["x", "y"]}


def test_a_configuration_without_managed_fields_is_asked_for() -> None:
    obj = apply(None, deployment())
    with pytest.raises(ApiError, match=r"metadata\.managedFields must be nil") as caught:
        apply(obj, obj)
    assert caught.value.code == 400


def test_status_is_not_applied_with_the_rest() -> None:
    resource = DEPLOYMENTS
    wanted = deployment() | {"status": {"replicas": 7}}
    assert "replicas" not in apply(None, wanted).get("status", {})
    live = apply(None, deployment())
    obj = server_side_apply(resource, live, wanted, "controller", False, "T", "status")
    assert obj["status"] == {"replicas": 7}
    (entry,) = [each for each in obj["metadata"]["managedFields"] if each["manager"] == "controller"]
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})


def test_an_update_owns_what_it_changed_and_nobody_owns_what_it_removed() -> None:
    obj = apply(None, deployment(replicas=2))

    def change(new: Any) -> None:
        new["spec"]["replicas"] = 3
        new["spec"]["paused"] = True
        del container(new)["ports"]

    obj = update(obj, change, "person")
    assert owned(obj, "person") == {"f:spec": {"f:replicas": {}, "f:paused": {}}}
    rest = owned(obj, "kubectl")["f:spec"]
    assert "f:replicas" not in rest
    assert "f:ports" not in rest["f:template"]["f:spec"]["f:containers"]['k:{"name":"web"}']


def test_the_time_is_that_of_ones_own_last_change() -> None:
    obj = apply(None, deployment(replicas=2))
    obj = update(obj, lambda new: new["spec"].update(replicas=3), "person", "T2")
    obj = update(obj, lambda new: new["spec"].update(replicas=4), "person", "T3")
    assert [(each["manager"], each["time"]) for each in obj["metadata"]["managedFields"]] == [
        ("kubectl", "T1"),
        ("person", "T2"),
    ]


def test_a_status_update_is_an_entry_of_its_own() -> None:
    obj = apply(None, deployment())
    obj = update(obj, lambda new: new.update(status={"replicas": 1}), "controller", subresource="status")
    (entry,) = [each for each in obj["metadata"]["managedFields"] if each["manager"] == "controller"]
    assert (entry["operation"], entry["subresource"]) == ("Update", "status")
    assert entry["fieldsV1"] == {"f:status": {"f:replicas": {}}}


def test_clients_may_hand_ownership_over_or_have_it_forgotten() -> None:
    obj = update(apply(None, deployment()), lambda new: new["spec"].update(paused=True), "old-name")

    def rename(new: Any) -> None:
        new["metadata"]["managedFields"][1]["manager"] = "new-name"

    obj = update(obj, rename, "mover")
    assert managers(obj) == ["kubectl", "new-name"]
    obj = update(obj, lambda new: new["metadata"].update(managedFields=[{}]), "mover")
    assert managers(obj) == []

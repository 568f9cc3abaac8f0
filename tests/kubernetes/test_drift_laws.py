"""What holds of every object that is wanted and every one that is there."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.laws import LAW
from tests.kit.runs import Memory, key, merge_patch, server_side_apply
from workshop.kubernetes.cluster_facts import Snapshot, look_for
from workshop.kubernetes.drift import differences, drift, repair
from workshop.kubernetes.manifests import Object, mark

NAMES = st.sampled_from("abcd")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 2) | st.booleans() | st.sampled_from(["", "x", "y"]),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=2),
    max_leaves=8,
)
SPECS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)
NOISE = st.dictionaries(st.sampled_from(["uid", "resourceVersion", "generation"]), st.just("1"))


def rule(spec: Object, **metadata: Any) -> Object:
    found: Object = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": "bookinfo", **metadata},
        "spec": spec,
    }
    mark(found, "istio.canary")
    return found


@settings(LAW, max_examples=150)
@given(SPECS, SPECS, NOISE)
async def test_a_repair_makes_of_whatever_is_there_what_is_wanted(
    wanted: Object, there: Object, noise: Object
) -> None:
    """`merge-patch(diff(a, b)) = b`, as the two writes of a repair do it: apply, and a merge patch of what is too
    much. What the server has in the metadata stays."""
    kubectl, obj = Memory(), rule(wanted)
    kubectl.put(rule(there, **noise))
    run = kubectl.run()
    drifted = await repair(kubectl, [obj], await look_for(run, [obj]))
    run.facts.forget()
    assert drift(obj, await look_for(run, [obj])) == ()
    if drifted:
        assert kubectl.objects[key(obj)]["spec"] == wanted
    assert kubectl.objects[key(obj)]["metadata"].items() >= noise.items()

    kubectl.writes.clear()
    assert await repair(kubectl, [obj], await look_for(run, [obj])) == []
    assert kubectl.writes == []


@settings(LAW, max_examples=100)
@given(SPECS, SPECS)
def test_what_is_applied_differs_in_nothing_from_itself_and_applying_it_again_changes_nothing(
    wanted: Object, there: Object
) -> None:
    """For a kind whose objects may hold more than the manifest says: `apply∘apply = apply`."""
    obj: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "b"},
        "data": wanted,
    }
    once = server_side_apply({**obj, "data": there}, obj)
    assert server_side_apply(once, obj) == once
    assert differences("a", obj, once) == ()
    assert drift(obj, Snapshot([once], istio=True)) == ()


@settings(LAW, max_examples=100)
@given(SPECS, st.sampled_from(["change", "remove", "add"]), st.data())
def test_every_change_of_a_field_is_a_difference_and_is_named(spec: Object, how: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(spec)))
    live = copy.deepcopy(spec)
    if how == "change":
        live[name] = {"other": "than any"}
    elif how == "remove":
        del live[name]
    else:
        name = "added"
        live[name] = "by hand"
    found = differences("DestinationRule a/b", rule(spec), rule(live))
    assert [item.path.split(".")[1].partition("[")[0] for item in found] == [name] * len(found)
    assert found


@settings(LAW, max_examples=100)
@given(SPECS, SPECS)
def test_a_merge_patch_with_a_whole_object_s_differences_is_that_object(a: Object, b: Object) -> None:
    """The patch that the test's cluster understands, so that its law is no accident of it."""

    def diff(a: Any, b: Any) -> Any:
        if not isinstance(a, dict) or not isinstance(b, dict):
            return b
        gone: dict[str, Any] = dict.fromkeys(a.keys() - b.keys())
        return gone | {name: diff(a.get(name), value) for name, value in b.items() if a.get(name) != value}

    assert merge_patch(a, diff(a, b)) == b

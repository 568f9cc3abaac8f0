import pytest

from sandbox.api.store import HISTORY, Store
from sandbox.core.cluster import ApiError, Object


def thing(name: str, namespace: str | None = "default", **more: object) -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


def test_one_counter_numbers_all_writes() -> None:
    store = Store()
    first = store.put("configmaps", thing("a"))
    second = store.put("secrets", thing("a"))
    assert int(second["metadata"]["resourceVersion"]) == int(first["metadata"]["resourceVersion"]) + 1


def test_lists_are_in_the_order_of_namespace_and_name() -> None:
    store = Store()
    for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
        store.put("pods", thing(name, namespace))
    listed = [(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in store.list("pods")]
    assert listed == [("a", "b"), ("a", "z"), ("b", "a")]
    assert [obj["metadata"]["name"] for obj in store.list("pods", "b")] == ["a"]


def test_changes_since_a_revision() -> None:
    store = Store()
    store.put("pods", thing("a"))
    seen = store.revision
    store.put("pods", thing("a", x=1))
    store.put("secrets", thing("other"))
    store.remove("pods", "default", "a")
    assert [(record.type, record.object.get("x")) for record in store.since("pods", seen)] == [
        ("MODIFIED", 1),
        ("DELETED", 1),
    ]


def test_a_removal_has_a_revision_of_its_own() -> None:
    store = Store()
    before = store.put("pods", thing("a"))["metadata"]["resourceVersion"]
    last = store.remove("pods", "default", "a")
    assert int(last["metadata"]["resourceVersion"]) == int(before) + 1


def test_what_is_forgotten_is_gone() -> None:
    store = Store()
    first = store.put("pods", thing("a"))["metadata"]["resourceVersion"]
    for number in range(HISTORY + 1):
        store.put("pods", thing("a", x=number))
    with pytest.raises(ApiError) as refusal:
        store.since("pods", int(first))
    assert (refusal.value.code, refusal.value.reason) == (410, "Expired")
    assert store.since("secrets", int(first)) == [], "the history of other kinds is not touched"


def test_revisions_of_an_earlier_process_are_gone() -> None:
    store = Store(first_revision=1000)
    with pytest.raises(ApiError, match="too old"):
        store.since("pods", 999)
    assert store.since("pods", 1000) == []


async def test_a_subscription_gets_its_kinds_only_and_an_end_with_the_kind() -> None:
    store = Store()
    changes = store.subscribe("gateways")
    store.put("pods", thing("a"))
    store.put("gateways", thing("g"))
    store.drop("gateways")
    record = await changes.next()
    assert record is not None
    assert (record.type, record.key) == ("ADDED", "gateways")
    assert await changes.next() is None

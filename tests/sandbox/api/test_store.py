import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.api.store import HISTORY, Store
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import manager_uid
from tests.kit.laws import LAW


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


def test_the_history_holds_once_what_a_write_leaves_as_it_is() -> None:
    store = Store()
    seen = store.revision

    def pod(phase: str) -> Object:
        return thing(
            "a", spec={"nodes": ["n"]}, status={"phase": phase, "conditions": [{"type": "x"}, {"at": phase}]}
        )

    for phase in ("Pending", "Running"):
        store.put("pods", pod(phase))
    first, second = (record.object for record in store.since("pods", seen))
    assert (first["status"], second["status"]) == (pod("Pending")["status"], pod("Running")["status"])
    assert second["spec"] is first["spec"]
    assert second["status"]["conditions"][0] is first["status"]["conditions"][0]


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


LABELS = st.dictionaries(st.sampled_from(("app", "version")), st.sampled_from("ab"), max_size=2)
OWNERS = st.lists(st.tuples(st.sampled_from(("u1", "u2")), st.booleans()), max_size=2)
CHANGES = st.lists(
    st.tuples(st.sampled_from(("a", "b", None)), st.sampled_from("xyz"), LABELS, OWNERS, st.booleans())
)


@settings(LAW, max_examples=100)
@given(changes=CHANGES, labels=LABELS, manager=st.sampled_from((None, "", "u1", "u2")))
def test_a_list_is_what_a_look_at_all_finds(
    changes: list[tuple[str | None, str, dict[str, str], list[tuple[str, bool]], bool]],
    labels: dict[str, str],
    manager: str | None,
) -> None:
    """And an observer has been told all of it."""
    store = Store()
    there: dict[tuple[str, str], Object] = {}
    observed: dict[tuple[str, str], Object] = {}

    def observer(old: Object | None, new: Object | None) -> None:
        for obj, keep in ((old, False), (new, True)):
            if obj is not None:
                at = (obj["metadata"]["namespace"] or "", obj["metadata"]["name"])
                assert observed.pop(at, None) is (obj if not keep else None)
                if keep:
                    observed[at] = obj

    for number, (namespace, name, given_labels, owners, stays) in enumerate(changes):
        if number == len(changes) // 2:
            store.observe("pods", observer)
        if stays:
            references = [{"uid": uid, "controller": controls} for uid, controls in owners]
            obj = thing(name, namespace)
            obj["metadata"] |= {"labels": given_labels, "ownerReferences": references}
            there[namespace or "", name] = store.put("pods", obj)
        elif there.pop((namespace or "", name), None) is not None:
            store.remove("pods", namespace, name)
    if changes:
        assert observed == there
    for home in (None, "a", "b"):
        assert store.list("pods", home, labels, manager) == [
            obj
            for (place, _), obj in sorted(there.items())
            if home in (None, place)
            and labels.items() <= obj["metadata"]["labels"].items()
            and manager in (None, manager_uid(obj))
        ]

"""The law of the index: it finds what looking at every selector finds, whatever came and went before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.cluster import Object
from sandbox.core.label_selectors import Selector, matches
from sandbox.core.selector_index import SelectorIndex
from tests.kit.laws import LAW

KEYS, VALUES = ("app", "version", "tier"), ("a", "b")
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
REQUIREMENT = st.fixed_dictionaries(
    {
        "key": st.sampled_from(KEYS),
        "operator": st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
        "values": st.lists(st.sampled_from(VALUES), max_size=2),
    }
)
SELECTORS = st.none() | st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(REQUIREMENT, max_size=2)}
)
PLACES = st.tuples(st.sampled_from(("one", "two")), st.sampled_from("abcd"))
CHANGES = st.lists(st.tuples(PLACES, st.booleans(), SELECTORS), max_size=20)


@settings(LAW, max_examples=100)
@given(changes=CHANGES, labels=LABELS)
def test_it_finds_what_a_look_at_all_finds(
    changes: list[tuple[tuple[str, str], bool, Selector | None]], labels: dict[str, str]
) -> None:
    index = SelectorIndex(lambda obj: obj["spec"]["selector"])
    there: dict[tuple[str, str], Object] = {}
    for place, stays, selector in changes:
        old = there.pop(place, None)
        new = {"metadata": dict(zip(("namespace", "name"), place, strict=True)), "spec": {"selector": selector}}
        if stays:
            there[place] = new
        if stays or old is not None:
            index(old, new if stays else None)
        for namespace in ("one", "two"):
            assert index.find(namespace, labels) == sorted(
                place
                for place, obj in there.items()
                if place[0] == namespace and matches(obj["spec"]["selector"], labels)
            )

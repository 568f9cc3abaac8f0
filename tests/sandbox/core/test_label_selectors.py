import pytest

from sandbox.core.cluster import ApiError
from sandbox.core.label_selectors import matches, parse, to_text


@pytest.mark.parametrize(
    ("selector", "labels", "fits"),
    [
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "2"}, False),
        ("a!=1", {}, True),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a notin (1,2)", {}, True),
        ("a notin (1,2)", {"a": "1"}, False),
        ("a=1,b", {"a": "1"}, False),
        ("example.org/part-of=x-y.z", {"example.org/part-of": "x-y.z"}, True),
        ("a=", {"a": ""}, True),
        ("", {"a": "1"}, True),
        ("in=1", {"in": "1"}, True),
    ],
)
def test_text(selector: str, labels: dict[str, str], fits: bool) -> None:
    assert matches(parse(selector), labels) is fits
    assert matches(parse(to_text(parse(selector))), labels) is fits, "as kubectl shows it, it is the same"


@pytest.mark.parametrize("selector", ["a in 1", "a=1;b", "=1", "a in (1"])
def test_text_that_cannot_be_parsed(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        parse(selector)


def test_selectors_as_text() -> None:
    assert to_text({"b": "2", "a": "1"}) == "a=1,b=2"
    expressions = [{"key": "tier", "operator": "NotIn", "values": ["x", "w"]}, {"key": "y", "operator": "Exists"}]
    assert to_text({"matchLabels": {"a": "1"}, "matchExpressions": expressions}) == "a=1,tier notin (w,x),y"
    assert to_text({}) == to_text(None) == ""


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not matches(None, {"a": "1"})
    assert matches({}, None)


@pytest.mark.parametrize(("operator", "value", "fits"), [("Gt", "1", True), ("Lt", "1", False), ("Gt", "x", False)])
def test_operators_of_node_affinity(operator: str, value: str, fits: bool) -> None:
    requirement = {"key": "size", "operator": operator, "values": [value]}
    assert matches({"matchExpressions": [requirement]}, {"size": "2"}) is fits

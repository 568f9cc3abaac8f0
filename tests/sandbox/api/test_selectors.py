import pytest

from sandbox.api.kinds import Registry
from sandbox.api.selectors import field_selector, label_selector
from sandbox.core.cluster import ApiError, Object

PODS = Registry().by_key("pods")


def labelled(**labels: str) -> Object:
    return {"metadata": {"name": "x", "labels": labels}}


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
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
def test_labels(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert label_selector(selector)(labelled(**labels)) is matches


@pytest.mark.parametrize("selector", ["a in 1", "a=1;b", "=1", "a in (1"])
def test_labels_that_cannot_be_parsed(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        label_selector(selector)


def test_fields() -> None:
    pod = {"metadata": {"name": "x", "namespace": "n"}, "spec": {"nodeName": "one"}, "status": {"phase": "Running"}}
    assert field_selector(PODS, "spec.nodeName=one,status.phase!=Failed")(pod)
    assert not field_selector(PODS, "metadata.name=y")(pod)
    assert field_selector(PODS, "status.podIP=")(pod), "what is not there is empty"


def test_fields_of_other_kinds_are_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.clusterIP"):
        field_selector(PODS, "spec.clusterIP=x")
    assert field_selector(PODS, "spec.colour=", ["spec.colour"])({"metadata": {}})

import pytest

from sandbox.api.kinds import Registry
from sandbox.api.read_requests import field_selector
from sandbox.core.cluster import ApiError

PODS = Registry().by_key("pods")


def test_field_selectors() -> None:
    pod = {"metadata": {"name": "x", "namespace": "n"}, "spec": {"nodeName": "one"}, "status": {"phase": "Running"}}
    assert field_selector(PODS, "spec.nodeName=one,status.phase!=Failed")(pod)
    assert not field_selector(PODS, "metadata.name=y")(pod)
    assert field_selector(PODS, "status.podIP=")(pod), "what is not there is empty"


def test_fields_of_other_kinds_are_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.clusterIP"):
        field_selector(PODS, "spec.clusterIP=x")

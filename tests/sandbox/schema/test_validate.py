"""What is refused, and in which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.schema.defaults import default
from sandbox.schema.validate import check
from tests.kit.cases import cases

from .objects import DEPLOYMENTS, PODS, RESOURCES, SOUND, deployment, pod, type_of


def built(of: str, case: Any) -> Object:
    """The object of a case."""
    if "object" in case:
        return case["object"]
    if "container" in case:
        return pod(containers=[{"name": "web", "image": "web:1", **case["container"]}])
    if "init" in case:
        return pod(initContainers=[{"name": "i", "image": "i", **case["init"]}])
    return SOUND[of](**case["spec"])


@cases(__file__, "validation")
def test_findings(of: str, case: Any) -> None:
    resource, obj, old = RESOURCES[of], built(of, case), case.get("old")
    if "was" in case:
        old = SOUND[of](**case["was"])
    for each in filter(None, (obj, old)):
        default(type_of(resource), each)
    found = []
    try:
        check(resource, type_of(resource), obj, old)
    except ApiError as error:
        found = [f"{cause['field']}: {cause['message']}" for cause in error.details["causes"]]
    assert len(found) == len(case["found"]), found
    for one, wanted in zip(found, case["found"], strict=True):
        assert one.startswith(wanted[:-3]) if wanted.endswith("...") else one == wanted


@pytest.mark.parametrize("key", SOUND)
def test_good_objects_are_good(key: str) -> None:
    obj, resource = SOUND[key](), RESOURCES[key]
    default(type_of(resource), obj)
    check(resource, type_of(resource), obj)
    check(resource, type_of(resource), obj, copy.deepcopy(obj))


def test_the_refusal_names_kind_group_name_and_field() -> None:
    obj = deployment(replicas=-1)
    default(type_of(DEPLOYMENTS), obj)
    with pytest.raises(ApiError) as caught:
        check(DEPLOYMENTS, type_of(DEPLOYMENTS), obj)
    finding = "Invalid value: -1: must be greater than or equal to 0"
    assert caught.value.message == f'Deployment.apps "web" is invalid: spec.replicas: {finding}'
    cause = {"reason": "FieldValueInvalid", "field": "spec.replicas", "message": finding}
    assert caught.value.details == {"name": "web", "group": "apps", "kind": "Deployment", "causes": [cause]}


def test_several_findings_are_listed() -> None:
    obj = deployment(replicas=-1, minReadySeconds=-1)
    default(type_of(DEPLOYMENTS), obj)
    with pytest.raises(ApiError, match=r'"web" is invalid: \[spec\.replicas: .*, spec\.minReadySeconds: .*\]'):
        check(DEPLOYMENTS, type_of(DEPLOYMENTS), obj)


def test_a_pod_that_was_changed_is_told_where() -> None:
    new, old = pod(restartPolicy="Never"), pod()
    for each in (new, old):
        default(type_of(PODS), each)
    with pytest.raises(ApiError, match=r"changed: spec\.restartPolicy"):
        check(PODS, type_of(PODS), new, old)

"""A value of the wrong type anywhere in a rule is refused by its path, as the CRD has it, before istiod's turn."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import ApiError, Object
from sandbox.mesh.supported_fields import SUPPORTED, _prefixes

from .field_examples import BASE
from .test_supported_fields import RESOURCES, put
from .webhook_world import WebhookCluster

FEW = {"PeerAuthentication": 3, "Sidecar": 2}
"""Kinds of which little may be of another type."""
TYPES = {"null": None, "boolean": True, "integer": 5, "string": "x", "object": {"x": 1}}


@pytest.fixture(scope="module")
def cluster() -> LocalCluster:
    made = WebhookCluster()
    made.configured()
    made.istiod_answers()
    return made


def refusal(cluster: LocalCluster, kind: str, spec: Any) -> str:
    """What is said of a rule, "" if it is fine (and then gone again)."""
    key = RESOURCES[kind]
    obj: Object = {"metadata": {"name": "r", "namespace": "default"}, "spec": spec}
    try:
        cluster.create(key, obj, manager="test")
    except ApiError as error:
        return error.message
    cluster.delete(key, "default", "r")
    return ""


@pytest.mark.parametrize("kind", SUPPORTED)
@pytest.mark.parametrize("wrong", TYPES)
def test_in_place_of_any_field_or_part(cluster: LocalCluster, kind: str, wrong: str) -> None:
    """Fields that may well be of this type are not refused, or for another reason; no value breaks anything."""
    refused = 0
    for path in sorted(_prefixes(kind)):
        spec = copy.deepcopy(BASE[kind])
        written = put(spec, kind, path, TYPES[wrong]).replace("[key]", ".key").replace("[8080]", ".8080")
        said = refusal(cluster, kind, spec)
        refused += f'{written}: Invalid value: "{wrong}"' in said or f"{written}[0]: Invalid value" in said
    assert refused >= FEW.get(kind, 4)
    assert f'spec: Invalid value: "{wrong}"' in refusal(cluster, kind, TYPES[wrong]) or wrong == "object"


@pytest.mark.parametrize(
    ("http", "path", "wanted", "found"),
    [
        ({"route": [{"destination": {"host": "a"}, "weight": "50"}]}, "route[0].weight", "integer", "string"),
        ({"timeout": 5}, "timeout", "string", "integer"),
        ({"headers": {"request": {"set": {"x": True}}}}, "headers.request.set.x", "string", "boolean"),
        ({"fault": {"abort": {"httpStatus": "500"}}}, "fault.abort.httpStatus", "integer", "string"),
        ({"fault": {"abort": {"percentage": 50}}}, "fault.abort.percentage", "object", "integer"),
        ({"retries": {"retryOn": 503}}, "retries.retryOn", "string", "integer"),
        ({"route": [{"destination": {"host": "a", "port": 80}}]}, "route[0].destination.port", "object", "integer"),
        ({"route": [None]}, "route[0]", "object", "null"),
        ({"match": [{"uri": "/x"}]}, "match[0].uri", "object", "string"),
        ({"match": {"uri": {"exact": "/x"}}}, "match", "array", "object"),
    ],
)
def test_it_says_where_and_which_type_it_must_be(
    cluster: LocalCluster, http: Object, path: str, wanted: str, found: str
) -> None:
    at = f"spec.http[0].{path}"
    assert refusal(cluster, "VirtualService", {"hosts": ["a"], "http": [http]}).startswith(
        'VirtualService.networking.istio.io "r" is invalid: '
        f'{at}: Invalid value: "{found}": {at} in body must be of type {wanted}: "{found}"'
    )


def test_changing_a_rule_takes_the_same_way(cluster: LocalCluster) -> None:
    key, obj = "virtualservices.networking.istio.io", {"metadata": {"name": "kept", "namespace": "default"}}
    cluster.create(key, {**obj, "spec": BASE["VirtualService"]}, manager="test")

    def change(live: Object) -> None:
        live["spec"]["http"][0]["timeout"] = 5

    with pytest.raises(ApiError, match=r"spec.http\[0\].timeout in body must be of type string"):
        cluster.edit(key, "default", "kept", change, manager="test")

    def spoil(live: Object) -> None:
        live["spec"]["http"][0]["timeout"] = "0s"

    with pytest.raises(ApiError, match="invalid timeout: duration must be greater than 1ms"):
        cluster.edit(key, "default", "kept", spoil, manager="test")

"""Kinds of Istio's that the mesh does nothing with: they come with the installation, and none of them gets in."""

from __future__ import annotations

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import ApiError
from sandbox.core.constants import CRDS
from sandbox.istioctl.analyzed_files import as_in_cluster, resolver
from sandbox.istioctl.manifests import crds, refused_crds
from sandbox.mesh import validation

# From shared facts of a real 1.31.1: `kubectl api-resources` for the four groups.
REAL = {
    *("trafficextensions.extensions.istio.io", "wasmplugins.extensions.istio.io"),
    *("destinationrules.networking.istio.io", "envoyfilters.networking.istio.io", "gateways.networking.istio.io"),
    *("proxyconfigs.networking.istio.io", "serviceentries.networking.istio.io", "sidecars.networking.istio.io"),
    *("virtualservices.networking.istio.io", "workloadentries.networking.istio.io"),
    *("workloadgroups.networking.istio.io", "authorizationpolicies.security.istio.io"),
    *("peerauthentications.security.istio.io", "requestauthentications.security.istio.io"),
    "telemetries.telemetry.istio.io",
}
REFUSED = [
    (crd["spec"]["names"]["plural"], crd["spec"]["group"], crd["spec"]["names"]["kind"]) for crd in refused_crds()
]


@pytest.fixture(scope="module")
def cluster() -> LocalCluster:
    made = LocalCluster()
    made.validation.append(validation.require_support)
    for crd in (*crds(), *refused_crds()):
        made.create(CRDS, crd, manager="test")
    return made


def test_an_installation_has_the_kinds_of_the_real_one() -> None:
    assert {crd["metadata"]["name"] for crd in (*crds(), *refused_crds())} == REAL


@pytest.mark.parametrize(("plural", "group", "kind"), REFUSED)
def test_what_the_mesh_does_nothing_with_is_refused_by_name(
    cluster: LocalCluster, plural: str, group: str, kind: str
) -> None:
    key = f"{plural}.{group}"
    assert cluster.list(key) == []
    with pytest.raises(ApiError) as refused:
        cluster.create(key, {"metadata": {"name": "one", "namespace": "default"}, "spec": {"a": 1}}, manager="test")
    assert refused.value.code == 403
    assert refused.value.message == f'{key} "one" is forbidden: {kind}: not supported by the sandbox'


def test_analyze_says_so_of_a_file() -> None:
    one = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "one"}}
    messages, _ = as_in_cluster({**one, "spec": {}}, "default", [], resolver(None))
    assert [message.code for message in messages] == ["IST0106"]
    assert "EnvoyFilter: not supported by the sandbox" in str(messages[0])

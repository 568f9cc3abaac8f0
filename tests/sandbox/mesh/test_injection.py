"""Which new pods get a sidecar, and what they look like then."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from workshop.sandbox.api.local import LocalCluster
from workshop.sandbox.cluster import ApiError
from workshop.sandbox.istioctl.manifests import webhooks
from workshop.sandbox.mesh import injection
from workshop.sandbox.mesh.annotations import unsupported

CONFIGURATIONS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"


def pod(labels: Mapping[str, str] | None = None, **spec: object) -> dict:
    metadata = {"name": "p", "namespace": "shop", "labels": dict(labels or {})}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec}}


def namespace(name: str = "shop", **labels: str) -> dict:
    return {"metadata": {"name": name, "labels": {key.replace("_", "-"): value for key, value in labels.items()}}}


@pytest.mark.parametrize(
    ("home", "labels", "wanted"),
    [
        (namespace(), {}, False),
        (namespace(), {"sidecar.istio.io/inject": "true"}, True),
        (namespace(istio_injection="enabled"), {}, True),
        (namespace(istio_injection="enabled"), {"sidecar.istio.io/inject": "false"}, False),
        (namespace(istio_injection="disabled"), {}, False),
        (namespace(istio_injection="disabled"), {"sidecar.istio.io/inject": "true"}, False),
        (namespace("kube-system", istio_injection="enabled"), {}, False),
    ],
)
def test_who_is_injected(home: dict, labels: dict, wanted: bool) -> None:
    assert injection.wanted(pod(labels), home) is wanted


def test_pods_on_the_hosts_network_and_those_with_a_proxy_are_left_alone() -> None:
    home = namespace(istio_injection="enabled")
    assert not injection.wanted(pod(hostNetwork=True), home)
    injected = pod()
    injection.inject(injected)
    assert not injection.wanted(injected, home)


def test_what_is_added() -> None:
    made = pod({"app": "reviews", "version": "v2"})
    injection.inject(made, {"hub": "example.org/istio", "tag": "1"})
    assert [container["name"] for container in made["spec"]["containers"]] == ["app", "istio-proxy"]
    assert made["spec"]["containers"][1]["image"] == "example.org/istio/proxyv2:1"
    assert [container["name"] for container in made["spec"]["initContainers"]] == ["istio-init"]
    labels, annotations = made["metadata"]["labels"], made["metadata"]["annotations"]
    assert labels["service.istio.io/canonical-name"] == "reviews"
    assert labels["service.istio.io/canonical-revision"] == "v2"
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert annotations["kubectl.kubernetes.io/default-container"] == "app"
    assert json.loads(annotations["sidecar.istio.io/status"])["containers"] == ["istio-proxy"]


def test_it_acts_on_new_pods_while_the_webhook_is_there_and_needs_istiod() -> None:
    cluster, runs = LocalCluster(), [True]
    cluster.admission.append(injection.hook(cluster, lambda: runs[0]))
    cluster.create("namespaces", namespace(istio_injection="enabled"), manager="test")
    before = cluster.create("pods", pod(), manager="test")
    assert len(before["spec"]["containers"]) == 1
    cluster.create(CONFIGURATIONS, webhooks.objects()[0], manager="test")
    after = pod()
    after["metadata"]["name"] = "q"
    assert len(cluster.create("pods", after, manager="test")["spec"]["containers"]) == 2
    changed = cluster.edit(
        "pods", "shop", "p", lambda obj: obj["metadata"].update(labels={"a": "b"}), manager="test"
    )
    assert changed is not None
    assert len(changed["spec"]["containers"]) == 1
    runs[0] = False
    after["metadata"]["name"] = "r"
    with pytest.raises(ApiError, match='no endpoints available for service "istiod"'):
        cluster.create("pods", after, manager="test")


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        ({"note": "x", "sidecar.istio.io/inject": "true", "sidecar.istio.io/unknownToIstio": "x"}, ""),
        ({"sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound"}, ""),
        ({"proxy.istio.io/config": 'proxyStatsMatcher:\n  inclusionRegexps: ["cluster.*"]'}, ""),
        ({"sidecar.istio.io/proxyCPU": "1"}, "annotation sidecar.istio.io/proxyCPU: not supported by the sandbox"),
        ({"proxy.istio.io/config": "concurrency: 2"}, "concurrency: not supported by the sandbox"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: {inclusion: []}"}, "unknown field 'inclusion'"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: {inclusionPrefixes: a}"}, "not a list of strings"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: [a]"}, "proxyStatsMatcher: unknown field"),
        ({"proxy.istio.io/config": "{"}, "proxy.istio.io/config: not YAML"),
        ({"proxy.istio.io/config": "- a"}, "proxy.istio.io/config: not a ProxyConfig"),
        ({"sidecar.istio.io/statsInclusionRegexps": "("}, "'(' is not a regular expression"),
    ],
)
def test_annotations_that_ask_for_what_there_is_not_are_refused(annotations: dict, why: str) -> None:
    said = unsupported(annotations)
    assert why in said
    assert bool(why) == bool(said)


def test_a_pod_with_such_an_annotation_is_not_made() -> None:
    cluster = LocalCluster()
    cluster.admission.append(injection.hook(cluster, lambda: True))
    cluster.create("namespaces", namespace(istio_injection="enabled"), manager="test")
    cluster.create(CONFIGURATIONS, webhooks.objects()[0], manager="test")
    refused = pod()
    refused["metadata"]["annotations"] = {"traffic.sidecar.istio.io/excludeOutboundPorts": "80"}
    with pytest.raises(ApiError, match="denied the request: injection failed: annotation traffic"):
        cluster.create("pods", refused, manager="test")

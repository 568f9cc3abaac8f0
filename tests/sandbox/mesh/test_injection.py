"""Which new pods get a sidecar, and what they look like then. The names and shapes are those of a real mesh
(shared/real/objects/pod-ratings.yaml)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.mesh import injection
from sandbox.mesh.istio_annotations import unsupported

from .webhook_world import WebhookCluster

MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
LABEL = "sidecar.istio.io/inject"


def pod(labels: Mapping[str, str] | None = None, home: str = "shop", **spec: object) -> Object:
    metadata = {"name": "p", "namespace": home, "labels": dict(labels or {})}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec}}


@pytest.fixture
def cluster() -> WebhookCluster:
    made = WebhookCluster()
    made.configured()
    made.istiod_answers()
    return made


def namespace(cluster: WebhookCluster, name: str = "shop", **labels: str) -> None:
    wanted = {key.replace("_", "-"): value for key, value in labels.items()}
    if cluster.find("namespaces", None, name) is None:
        cluster.create("namespaces", {"metadata": {"name": name}}, manager="test")
    cluster.edit("namespaces", None, name, lambda obj: obj["metadata"].update(labels=wanted), manager="test")


def containers(pod: Object, of: str = "containers") -> list[str]:
    return [container["name"] for container in pod["spec"].get(of) or ()]


@pytest.mark.parametrize(
    ("home", "name", "labels", "injected"),
    [
        ({}, "shop", {}, False),
        ({}, "shop", {LABEL: "true"}, True),
        ({}, "shop", {"istio.io/rev": "default"}, True),
        ({"istio_injection": "enabled"}, "shop", {}, True),
        ({"istio_injection": "enabled"}, "shop", {LABEL: "false"}, False),
        ({"istio_injection": "disabled"}, "shop", {}, False),
        ({"istio_injection": "disabled"}, "shop", {LABEL: "true"}, False),
        ({"istio.io/rev": "default"}, "shop", {}, True),
        ({"istio.io/rev": "other"}, "shop", {}, False),
        ({"istio_injection": "enabled"}, "kube-system", {}, False),
    ],
)
def test_who_is_injected(
    cluster: WebhookCluster, home: dict[str, str], name: str, labels: dict[str, str], injected: bool
) -> None:
    namespace(cluster, name, **home)
    made = cluster.create("pods", pod(labels, name), manager="test")
    assert containers(made, "initContainers") == (["istio-init", "istio-proxy"] if injected else [])


def test_pods_on_the_hosts_network_and_those_with_a_proxy_are_left_alone() -> None:
    assert not injection.wanted(pod(hostNetwork=True))
    for shape in ("containers", "initContainers"):
        assert not injection.wanted(pod(**{"containers": [], shape: [{"name": "istio-proxy"}]}))


def test_what_is_added() -> None:
    own = {"name": "prepare", "image": "app:1"}
    made = pod({"app": "reviews", "version": "v2"}, initContainers=[own], volumes=[{"name": "work"}])
    injection.inject(made, {"hub": "example.org/istio", "tag": "1"})
    assert containers(made) == ["app"]
    assert containers(made, "initContainers") == ["istio-init", "istio-proxy", "prepare"]
    proxy = made["spec"]["initContainers"][1]
    assert proxy["image"] == "example.org/istio/proxyv2:1"
    assert proxy["restartPolicy"] == "Always"
    assert proxy["startupProbe"] == {
        "failureThreshold": 600,
        "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
        "periodSeconds": 1,
        "timeoutSeconds": 3,
    }
    mounted = {mount["name"] for mount in proxy["volumeMounts"]}
    assert mounted == {volume["name"] for volume in made["spec"]["volumes"]} - {"work"}
    labels, annotations = made["metadata"]["labels"], made["metadata"]["annotations"]
    assert labels["service.istio.io/canonical-name"] == "reviews"
    assert labels["service.istio.io/canonical-revision"] == "v2"
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert annotations["kubectl.kubernetes.io/default-container"] == "app"
    assert annotations["sidecar.istio.io/status"] == (
        '{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["workload-socket",'
        '"credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token",'
        '"istiod-ca-cert","istio-ca-crl"],"imagePullSecrets":null,"revision":"default"}'
    )


def test_it_acts_on_new_pods_while_the_webhooks_are_there(cluster: WebhookCluster) -> None:
    namespace(cluster, istio_injection="enabled")
    tag = cluster.delete(MUTATING, None, "istio-revision-tag-default")
    assert tag
    before = cluster.create("pods", pod(), manager="test")
    assert not containers(before, "initContainers")
    cluster.create(MUTATING, {**tag, "metadata": {"name": "istio-revision-tag-default"}}, manager="test")
    changed = cluster.edit(
        "pods", "shop", "p", lambda obj: obj["metadata"].update(labels={"a": "b"}), manager="test"
    )
    assert changed
    assert not containers(changed, "initContainers")
    after = pod()
    after["metadata"]["name"] = "q"
    assert containers(cluster.create("pods", after, manager="test"), "initContainers")


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        ({"note": "x", "sidecar.istio.io/inject": "true", "sidecar.istio.io/unknownToIstio": "x"}, ""),
        ({"sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound"}, ""),
        ({"proxy.istio.io/config": 'proxyStatsMatcher:\n  inclusionRegexps: ["cluster.*"]'}, ""),
        ({"sidecar.istio.io/proxyCPU": "1"}, "annotation sidecar.istio.io/proxyCPU: not supported by the sandbox"),
        ({"proxy.istio.io/config": "concurrency: 1"}, ""),
        ({"proxy.istio.io/config": "concurrency:\nproxyStatsMatcher: {inclusionPrefixes: [cluster]}"}, ""),
        ({"proxy.istio.io/config": "concurrency: 0"}, ""),
        ({"proxy.istio.io/config": "concurrency: -1"}, "config: concurrency: -1: not one of 0 to 64"),
        ({"proxy.istio.io/config": "concurrency: 65"}, "config: concurrency: 65: not one of 0 to 64"),
        ({"proxy.istio.io/config": "concurrency: true"}, "concurrency: True is not a whole number"),
        ({"proxy.istio.io/config": "concurrency: '1'"}, "concurrency: '1' is not a whole number"),
        ({"proxy.istio.io/config": "drainDuration: 5s"}, "config: drainDuration: not supported by the sandbox"),
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


def test_a_pod_with_such_an_annotation_is_not_made(cluster: WebhookCluster) -> None:
    namespace(cluster, istio_injection="enabled")
    refused = pod()
    refused["metadata"]["annotations"] = {"traffic.sidecar.istio.io/excludeOutboundPorts": "80"}
    with pytest.raises(ApiError, match="denied the request: injection failed: annotation traffic"):
        cluster.create("pods", refused, manager="test")

"""Labels of Istio's metrics: cases/metric_labels.yaml, which says where its expectations come from."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.istioctl.manifests import crds
from sandbox.mesh import metric_loggers
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.metric_labels import LABELS, MetricLabels
from sandbox.mesh.registry import Proxy
from tests.kit.cases import cases

PODS: dict[str, tuple[str, str, dict[str, str]]] = {
    "client": ("asking", "client", {}),
    "web": ("shop", "web-v1", {"app": "web", "version": "v1"}),
    "plain": ("shop", "plain", {"app": "plain", "version": "v3"}),
    "gateway": ("asking", "gateway", {}),
}
ADDRESSES = {name: f"127.64.16.{number}" for number, name in enumerate(PODS, 8)}


@pytest.fixture(scope="module")
def found() -> MetricLabels:
    cluster = LocalCluster()

    def create(kind: str, name: str, namespace: str, spec: Object, labels: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        cluster.create(kind, {"metadata": metadata, "spec": spec}, manager="test")

    for crd in crds():
        cluster.create("customresourcedefinitions.apiextensions.k8s.io", crd, manager="test")
    for namespace in ("asking", "shop"):
        cluster.create("namespaces", {"metadata": {"name": namespace}}, manager="test")
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    web = {"clusterIP": "127.64.32.1", "selector": {"app": "web"}, "ports": [port]}
    create("services", "web", "shop", web, {})
    entry = {"hosts": ["api.example.com"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}
    create("serviceentries.networking.istio.io", "api", "shop", {**entry, "resolution": "DNS"}, {})
    labels = MetricLabels(cluster, KnownServices(cluster))
    for name, (namespace, pod, said) in PODS.items():

        def runs(obj: Object, address: str = ADDRESSES[name]) -> None:
            obj["status"] = {"phase": "Running", "podIP": address}

        names = ["istio-proxy"] if name == "gateway" else ["app", *(["istio-proxy"] if name != "plain" else [])]
        create("pods", pod, namespace, {"containers": [{"name": one, "image": one} for one in names]}, said)
        cluster.edit("pods", namespace, pod, runs, manager="test", subresource="status")
    return labels


@cases(__file__, "metric_labels")
def test_labels(found: MetricLabels, of: str, case: dict[str, Any]) -> None:
    namespace, pod, said = PODS[case["of"]]
    kind = "gateway" if case["of"] == "gateway" else "sidecar"
    account = "web" if case["of"] == "web" else "default"
    proxy = Proxy(kind, pod, namespace, ADDRESSES[case["of"]], said, account)  # type: ignore[arg-type]
    there = case.get("there", "")
    address = f"{ADDRESSES.get(there, there)}:8080" if there else ""
    tags = {"direction": "OUTBOUND", "cluster": "", "peer": address, "identity": "", "flags": ""}
    if not case.get("tcp"):
        tags |= {metric_loggers.CODE: "200", metric_loggers.GRPC: ""}
    given = dict(case["tags"])
    if given.get("cluster", "").startswith(("outbound|", "inbound|")):
        given["cluster"] = f"{proxy.id}/{given['cluster']}"
    labels = found.of(proxy, tags | given)
    assert {label: labels.get(label) for label in case["labels"]} == case["labels"]
    assert set(labels) <= set(LABELS)

"""What a proxy has been told and has counted, looked at with istioctl, kubectl and the workshop's own reader."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sandbox.server import launcher
from tests.kit.runs import Recorded
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh import proxy_stats
from workshop.runbook.errors import WorkshopError

from .test_istioctl import Sandbox

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: shop}
spec:
  selector: {app: httpbin}
  ports: [{name: http, port: 8000, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: httpbin}}
  template:
    metadata: {labels: {app: httpbin, version: v1}}
    spec: {containers: [{name: httpbin, image: docker.io/mccutchen/go-httpbin:v2.15.0}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata:
      labels: {app: client}
      annotations:
        proxy.istio.io/config: |
          proxyStatsMatcher:
            inclusionPrefixes: ["cluster.outbound"]
    spec: {containers: [{name: client, image: curlimages/curl, command: [sleep, infinity]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule, namespace: shop}
spec:
  host: httpbin
  subsets: [{name: v1, labels: {version: v1}}]
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: service, namespace: shop}
spec:
  hosts: [httpbin, outside.example]
  gateways: [mesh, gate]
  http:
  - match: [{uri: {prefix: /status}, port: 8000}, {uri: {exact: /get}}]
    route: [{destination: {host: httpbin, subset: v1}}]
  - route: [{destination: {host: httpbin, port: {number: 8000}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
SERVICE = "httpbin.shop.svc.cluster.local"


@pytest.fixture(scope="module")
def sandbox(own_sandbox: launcher.Running) -> Sandbox:
    sandbox = Sandbox(own_sandbox)
    sandbox("istioctl", "install", "-y")
    sandbox("kubectl", "apply", "-f", "-", stdin=OBJECTS)
    for name in ("httpbin", "client"):
        sandbox("kubectl", "rollout", "status", "-n", "shop", f"deployment/{name}", "--timeout=60s")
    return sandbox


def table(sandbox: Sandbox, *arguments: str) -> list[list[str]]:
    """The cells of each line; columns are at least five spaces apart (one in listeners' tables)."""
    return [line.split() for line in sandbox("istioctl", "proxy-config", *arguments).splitlines()]


def test_routes_say_which_virtual_service_they_are_of(sandbox: Sandbox) -> None:
    printed = sandbox("istioctl", "pc", "routes", "deploy/client.shop", "--name", "8000").splitlines()
    assert printed[0].split("  ")[0] == "NAME"
    assert printed[0].split() == ["NAME", "VHOST", "NAME", "DOMAINS", "MATCH", "VIRTUAL", "SERVICE"]
    rows = [line.split() for line in printed if f" {SERVICE}:8000 " in line]
    assert [row[-2:] for row in rows] == [[match, "service.shop"] for match in ("/status*", "/get", "/*")]
    assert {row[0] for row in rows} == {"8000"}
    shown = "httpbin.shop.svc.cluster.local., httpbin + 2 more..."  # as a real one shows it
    assert " ".join(rows[0][2:-2]) == shown
    gateway = table(sandbox, "route", "deploy/istio-ingressgateway", "-n", "istio-system")
    assert ["http.8080", f"{SERVICE}:8080", SERVICE, "/get", "service.shop"] in gateway
    assert table(sandbox, "r", "deploy/client", "-n", "shop", "--name=8000", "--verbose=false")[0] == [
        "NAME",
        "VIRTUAL",
        "HOSTS",
    ]
    (dumped,) = json.loads(
        sandbox("istioctl", "pc", "routes", "deploy/client.shop", "--name", "8000", "-o", "json")
    )
    (host,) = [one for one in dumped["virtualHosts"] if one["name"] == f"{SERVICE}:8000"]
    path = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/service"
    assert host["routes"][0]["metadata"] == {"filterMetadata": {"istio": {"config": path}}}
    assert host["routes"][0]["route"]["cluster"] == f"outbound|8000|v1|{SERVICE}"


def test_clusters_say_which_destination_rule_they_are_of(sandbox: Sandbox) -> None:
    assert table(sandbox, "clusters", "deployment/client", "-n", "shop", "--fqdn", "httpbin") == [
        ["SERVICE", "FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION", "RULE"],
        [SERVICE, "8000", "-", "outbound", "EDS", "rule.shop"],
        [SERVICE, "8000", "v1", "outbound", "EDS", "rule.shop"],
    ]
    assert len(table(sandbox, "cluster", "deploy/client.shop", "--subset", "v1", "--port=8000")) == 2
    assert len(table(sandbox, "c", "deploy/client.shop", "--direction", "inbound")) == 1
    every = table(sandbox, "clusters", "deploy/client.shop")
    assert ["PassthroughCluster", "-", "-", "-", "ORIGINAL_DST"] in every
    assert ["kubernetes.default.svc.cluster.local", "443", "-", "outbound", "EDS"] in every
    (dumped,) = json.loads(
        sandbox("istioctl", "pc", "clusters", "deploy/client.shop", "--subset", "v1", "-o", "json")
    )
    assert dumped["outlierDetection"]["consecutive5xx"] == 3
    assert dumped["altStatName"] == f"{dumped['name']};" == f"outbound|8000|v1|{SERVICE};"


def test_listeners_say_where_connections_go(sandbox: Sandbox) -> None:
    printed = table(sandbox, "listeners", "deploy/client.shop")
    address = "0.0.0.0"  # noqa: S104 - as shared/real/istioctl/proxy-config-listeners-*.txt have it
    assert printed[0] == ["ADDRESSES", "PORT", "MATCH", "DESTINATION"]
    assert [address, "15001", "Addr:", "*:8000", "Route:", "8000"] in printed
    assert [address, "15001", "ALL", "PassthroughCluster"] in printed
    assert table(sandbox, "l", "deploy/client.shop", "--verbose=false")[1] == [address, "15001", "HTTP+TCP"]
    assert len(table(sandbox, "listener", "deploy/client.shop", "--port", "1")) == 1
    gateway = table(sandbox, "listeners", "deploy/istio-ingressgateway.istio-system", "--port", "8080")
    assert gateway[1] == [address, "8080", "ALL", "Route:", "http.8080"]
    assert ["Inline", "Route:", "/healthz/ready"] in [
        row[-3:] for row in table(sandbox, "listeners", "deploy/istio-ingressgateway.istio-system")
    ]


def test_an_ejected_endpoint_has_failed_the_outlier_check_and_the_proxy_has_counted_why(
    sandbox: Sandbox, own_sandbox: launcher.Running, tmp_path: Path
) -> None:
    name = f"outbound|8000|v1|{SERVICE}"
    ask = ("endpoints", "deploy/client.shop", "--cluster", name)
    pod = sandbox(
        "kubectl", "get", "pod", "-n", "shop", "-l", "app=httpbin", "-o", "jsonpath={.items[0].status.podIP}"
    )
    head = ["ENDPOINT", "STATUS", "OUTLIER", "CHECK", "CLUSTER"]
    assert table(sandbox, *ask) == [head, [f"{pod}:8080", "HEALTHY", "OK", name]]
    kubectl = Kubectl(Path(sys.executable).parent / "kubectl", own_sandbox.kubeconfig, "primary", tmp_path)

    async def read() -> proxy_stats.Stats:
        return await proxy_stats.read(
            Recorded(kubectl), namespace="shop", workload="deploy/client", filter="httpbin"
        )

    before = asyncio.run(read())
    curl = "for i in 1 2 3 4 5; do curl -s -o /dev/null -w '%{http_code} ' httpbin:8000/status/500; done"
    done = sandbox("kubectl", "exec", "-n", "shop", "deploy/client", "-c", "client", "--", "sh", "-c", curl)
    assert done.split() == ["500", "500", "500", "503", "503"]
    assert table(sandbox, *ask) == [head, [f"{pod}:8080", "HEALTHY", "FAILED", name]]
    assert len(table(sandbox, *ask, "--status", "unhealthy")) == 1
    counted = (asyncio.run(read()) - before).of("httpbin", "v1")
    assert (counted.requests, dict(counted.answers)) == (3, {"5xx": 5})
    assert (counted.ejected, counted.ejections, counted.overflow, counted.unhealthy) == (1, 1, 0, 2)
    threads = proxy_stats.worker_threads(Recorded(kubectl), namespace="shop", workload="deploy/client")
    assert asyncio.run(threads) == 2
    assert sum(count for _, count in counted.latency) == 3
    status = ("kubectl", "exec", "-n", "shop", "deploy/client", "-c", "istio-proxy", "--", "pilot-agent", "request")
    text = sandbox(*status, "GET", "stats?filter=outlier_detection.ejections_active")
    assert f"cluster.{name};.outlier_detection.ejections_active: 1" in text.splitlines()

    with pytest.raises(WorkshopError, match="it has none of destinations") as missing:
        asyncio.run(proxy_stats.read(Recorded(kubectl), namespace="shop", workload="deploy/httpbin"))
    assert "annotation proxy.istio.io/config lacks proxyStatsMatcher: {" in missing.value.cause


def test_the_certificates_are_those_that_proxies_show_each_other(sandbox: Sandbox) -> None:
    """As shared/real/istioctl/proxy-config-secret-productpage.txt; a real istioctl asks with this mask."""
    dump = "config_dump?mask=dynamic_active_secrets,dynamic_warming_secrets"
    pod = ("-n", "shop", "deploy/client", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", dump)
    configs = json.loads(sandbox("kubectl", "exec", *pod))["configs"]
    secrets = [one for config in configs for one in config.get("dynamic_active_secrets", ())]
    told = {one["name"]: one["secret"] for one in secrets}
    chain = base64.b64decode(told["default"]["tls_certificate"]["certificate_chain"]["inline_bytes"])
    root = base64.b64decode(told["ROOTCA"]["validation_context"]["trusted_ca"]["inline_bytes"])
    own, authority = (x509.load_pem_x509_certificate(pem) for pem in (chain, root))
    own.verify_directly_issued_by(authority)
    (who,) = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert who.value == "spiffe://cluster.local/ns/shop/sa/default"
    in_namespace = ("configmap", "istio-ca-root-cert", "-n", "shop", "-o", r"jsonpath={.data.root-cert\.pem}")
    assert sandbox("kubectl", "get", *in_namespace) == root.decode()
    _, mine, trusted = table(sandbox, "secrets", "deploy/client.shop")
    assert mine[:6] == ["default", "Cert", "Chain", "ACTIVE", "true", f"{own.serial_number:x}"]
    assert trusted[:5] == ["ROOTCA", "CA", "ACTIVE", "true", f"{authority.serial_number:x}"]


def test_what_cannot_be_shown(sandbox: Sandbox) -> None:
    client = ("istioctl", "proxy-config")
    for status, arguments, words in (
        (1, ("routes", "nobody.shop"), 'pods "nobody" not found'),
        (1, ("routes", "deploy/nobody.shop"), 'deploy "nobody" not found in the "shop" namespace'),
        (64, ("routes", "statefulset/x"), "finds pods by pod, deployment, replicaset, service"),
        (64, ("routes",), "route requires pod name"),
        (64, ("routes", "deploy/client.shop", "-o", "xml"), 'output format "xml" not supported'),
        (64, ("clusters", "deploy/client.shop", "--port", "x"), "it is a number"),
        (64, ("log", "deploy/client.shop"), 'unsupported command "log"'),
        (1, ("routes", "deploy/plain.default"), "container istio-proxy is not valid for pod"),
    ):
        if "plain" in arguments[-1]:
            sandbox("kubectl", "create", "deployment", "plain", "--image=curlimages/curl", "--", "sleep", "9")
            sandbox("kubectl", "rollout", "status", "deployment/plain", "--timeout=60s")
        assert words in sandbox.fails(status, *client, *arguments)


def test_ports_that_only_the_real_istioctl_forwards(sandbox: Sandbox) -> None:
    """`version`, `proxy-config` and `x describe` of a real one forward 15014 of istiod and 15000 of proxies."""

    def through(port: int, where: str, namespace: str, *paths: str) -> list[tuple[int, Any]]:
        with sandbox.start("kubectl", "port-forward", "-n", namespace, where, f":{port}") as forwarding:
            try:
                assert forwarding.stdout is not None
                found = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", forwarding.stdout.readline())
                assert found
                return [answered(f"http://{found[1]}{path}") for path in paths]
            finally:
                forwarding.terminate()

    def answered(url: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
                text = answer.read().decode()
                return answer.status, json.loads(text) if text.startswith(("{", "[")) else text
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    version, (_, connected), (status, _) = through(
        15014, "deploy/istiod", "istio-system", "//version", "/debug/syncz", "/metrics"
    )
    assert version == (200, "1.31.1-sandbox-Clean")
    assert {(each["proxy_type"], each["istio_version"]) for each in connected} == {
        ("router", "1.31.1"),
        ("sidecar", "1.31.1"),
    }
    assert status == 404
    dump = "/config_dump?mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters"
    (_, clusters), (_, endpoints), (status, _) = through(
        15000, "deploy/client", "shop", dump, "/clusters?format=json", "/quitquitquit"
    )
    (config,) = clusters["configs"]
    names = [each["cluster"]["name"] for each in config["dynamic_active_clusters"]]
    assert "outbound|8000||httpbin.shop.svc.cluster.local" in names
    assert any("httpbin.shop" in each["name"] for each in endpoints["cluster_statuses"])
    assert status == 404


REFUSED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused, namespace: shop}
spec:
  hosts: [refused.example]
  gateways: [gate]
  http:
  - match: [{uri: {regex: "/a{2000}"}}]
    route: [{destination: {host: httpbin}}]
"""


def test_what_envoy_refuses_shows(sandbox: Sandbox, eventually: Callable[[Callable[[], Any]], Any]) -> None:
    """Only without the webhook does it come to that."""
    assert "error parsing regexp: invalid repetition size" in sandbox.fails(
        1, "kubectl", "apply", "-f", "-", stdin=REFUSED
    )

    def status(*flags: str) -> list[list[str]]:
        return [line.split() for line in sandbox("istioctl", "proxy-status", *flags).splitlines()]

    columns = ["NAME", "CLUSTER", "CDS", "EDS", "LDS", "RDS", "ISTIOD", "VERSION"]
    assert status("-v", "1")[0] == columns
    assert {tuple(row[2:6]) for row in status("--verbosity=1")[1:]} == {("SYNCED",) * 4}
    assert [row[-2:] for row in status()] == [["SUBSCRIBED", "TYPES"], *[["4", "(CDS,LDS,EDS,RDS)"]] * 3]
    assert sandbox.run("istioctl", "proxy-status").stderr == ""

    webhooks = json.loads(sandbox("kubectl", "get", "validatingwebhookconfigurations", "-o", "json"))
    names = [item["metadata"]["name"] for item in webhooks["items"]]
    sandbox("kubectl", "delete", "validatingwebhookconfigurations", *names)
    sandbox("kubectl", "apply", "-f", "-", stdin=REFUSED)
    eventually(lambda: "Refused by Envoy: configuration of" in sandbox.run("istioctl", "ps").stderr)
    found = {row[0].partition("-")[0]: row[2:6] for row in status("-v1")[1:]}
    assert found["istio"] == ["SYNCED", "SYNCED", "SYNCED", "ERROR"]
    assert found["client"] == found["httpbin"] == ["SYNCED"] * 4
    assert re.search(
        r"ADS:RDS: ACK ERROR istio-ingressgateway-\S+ Internal:invalid repetition size: \{2000\}",
        sandbox("kubectl", "logs", "-n", "istio-system", "deploy/istiod"),
    )
    sandbox("kubectl", "delete", "-f", "-", stdin=REFUSED)
    eventually(lambda: "Refused" not in sandbox.run("istioctl", "ps").stderr)
    assert "it is 0 or 1" in sandbox.fails(64, "istioctl", "proxy-status", "-v", "2")

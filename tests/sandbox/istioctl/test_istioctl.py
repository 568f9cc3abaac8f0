"""The whole command against a sandbox: from an empty cluster through install, analyze and injection, and back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.istioctl.manifests import crds, where_real_ports_lead
from sandbox.server import launcher
from tests.kit.workshop import Cluster

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: shop}
spec:
  selector: {app: hello}
  ports: [{name: web, port: 5000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: shop}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello, version: v1}}
    spec:
      containers: [{name: hello, image: docker.io/istio/examples-helloworld-v1:1.0}]
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [gate]
  http: [{route: [{destination: {host: hello}}]}]
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: there, namespace: shop}
spec:
  hosts: [there.example]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
"""
ELSEWHERE = """
apiVersion: v1
kind: Service
metadata: {name: gate, namespace: default}
spec:
  type: LoadBalancer
  selector: {istio: ingressgateway}
  ports: [{name: http2, port: 8080}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [there.example]}]
"""
VOLATILE = ("Event", "Lease", "Node", "ComponentStatus")


class Sandbox:
    """kubectl and istioctl of a sandbox's PATH."""

    def __init__(self, running: launcher.Running) -> None:
        self._running = running
        # Another sandbox has had this address, and what it served is in the user's cache.
        cache = {"KUBECACHEDIR": str(running.kubeconfig.parent.parent / "cache")}
        self._environment = {**os.environ, **cache, "KUBECONFIG": str(running.kubeconfig)}

    @property
    def samples(self) -> Path:
        return self._running.kubeconfig.parent / "samples"

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self._running.bin / argv[0]), *argv[1:]]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env=self._environment
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        command = [str(self._running.bin / argv[0]), *argv[1:]]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment
        )

    def __call__(self, *argv: str, stdin: str = "") -> str:
        done = self.run(*argv, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}{done.stdout}"
        return done.stdout

    def fails(self, status: int, *argv: str, stdin: str = "") -> str:
        done = self.run(*argv, stdin=stdin)
        assert done.returncode == status, f"{' '.join(argv)}: {done.stderr}{done.stdout}"
        return done.stderr

    def json(self, *argv: str) -> Any:
        return json.loads(self(*argv, "-o", "json"))

    def dump(self) -> list[Any]:
        """All objects of all kinds, but for what only says when they were written."""
        found = list(Cluster(self._running.kubeconfig, "primary").items(lambda kind: kind not in VOLATILE))
        for _, item in found:
            for stamp in ("resourceVersion", "managedFields"):
                item["metadata"].pop(stamp, None)
        return sorted(
            found, key=lambda of: (of[0], of[1]["metadata"].get("namespace", ""), of[1]["metadata"]["name"])
        )

    def codes(self, *arguments: str) -> list[str]:
        return [message["code"] for message in self.json("istioctl", "analyze", *arguments)]


@pytest.fixture(scope="module")
def sandbox(own_sandbox: launcher.Running) -> Sandbox:
    return Sandbox(own_sandbox)


def test_install_use_and_remove_leave_the_cluster_as_it_was(
    sandbox: Sandbox, tmp_path: Path, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    before = sandbox.dump()
    assert "safe to install" in sandbox("istioctl", "x", "precheck")
    assert "Istio is not present" in sandbox("istioctl", "version")
    assert 'resource type "virtualservices"' in sandbox.fails(1, "kubectl", "get", "virtualservices")

    printed = sandbox("istioctl", "install", "-y")
    assert printed.splitlines() == [
        "✔ Istio core installed",
        "✔ Istiod installed",
        "✔ Ingress gateways installed",
        "✔ Installation complete",
        "The ingress gateway's ports are 8080 and 8443: 80 and 443, which a real one has, "
        f"{where_real_ports_lead('here')}.",
    ]
    described = sandbox("kubectl", "describe", "service", "-n", "istio-system", "istio-ingressgateway")
    assert "8080 for http, 8443 for https: 80 and 443 are root's on this machine" in described
    versions = sandbox.json("istioctl", "version")
    assert versions["clientVersion"]["version"] == "1.31.1-sandbox"
    assert [plane["Info"]["version"] for plane in versions["meshVersion"]] == ["1.31.1"]
    installed = sandbox.dump()
    sandbox("istioctl", "install", "-y")
    assert sandbox.dump() == installed

    sandbox("kubectl", "apply", "-f", "-", stdin=NAMESPACE)
    sandbox("kubectl", "rollout", "status", "-n", "shop", "deployment/hello")
    assert sandbox.codes("-n", "shop") == ["IST0102", "IST0118"]
    sandbox("kubectl", "label", "namespace", "shop", "istio-injection=enabled")
    named = '{"spec": {"ports": [{"name": "http-web", "port": 5000}]}}'
    sandbox("kubectl", "patch", "service", "-n", "shop", "hello", "-p", named, "--type=merge")
    assert sandbox.codes("-n", "shop") == ["IST0103"]
    sandbox("kubectl", "rollout", "restart", "-n", "shop", "deployment/hello")
    sandbox("kubectl", "rollout", "status", "-n", "shop", "deployment/hello")
    # The old pod is there until it has ended.
    nothing = "✔ No validation issues found when analyzing namespace: shop.\n"
    eventually(lambda: sandbox.run("istioctl", "analyze", "-n", "shop").stderr == nothing)
    ready = "jsonpath={.items[*].status..ready}"
    eventually(lambda: sandbox("kubectl", "get", "pods", "-n", "shop", "-o", ready) == "true true true")
    assert sandbox("istioctl", "proxy-status").count("1.31.1") == 2

    sandbox("kubectl", "apply", "-f", "-", stdin=RULES)
    eventually(lambda: "Hello version: v1" in _through_the_gateway(sandbox))
    ask = ("pilot-agent", "request", "GET", "clusters")
    counted = sandbox("kubectl", "exec", "-n", "istio-system", "deploy/istio-ingressgateway", "--", *ask)
    assert re.search(r"outbound\|5000\|\|hello.shop.svc.cluster.local::[\d.:]+::rq_success::[1-9]", counted)
    more = "retries: {retryRemoteLocalities: true}"
    refused = sandbox.fails(
        1, "kubectl", "apply", "-f", "-", stdin=RULES.replace("http: [{", "http: [{" + more + ", ")
    )
    assert "spec.http[0].retries.retryRemoteLocalities: not supported by the sandbox" in refused
    refused = sandbox.fails(1, "kubectl", "apply", "-f", "-", stdin=RULES.replace("number: 80", 'number: "80"'))
    assert 'spec.servers[0].port.number in body must be of type integer: "string"' in refused
    twice = RULES.replace("http: [", "http: [{route: [{destination: {host: hello}}]}, ")
    warned = sandbox.run("kubectl", "apply", "--dry-run=server", "-f", "-", stdin=twice)
    why = "virtualService rule #1 not used (only the last rule can have no matches)"
    assert (warned.returncode, warned.stderr) == (0, f"Warning: {why}\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(RULES.replace("host: hello", "host: nobody"))
    done = sandbox.run("istioctl", "analyze", "-n", "shop", str(wrong))
    assert done.returncode == 79
    assert 'Error [IST0101] (VirtualService shop/hello) Referenced host not found: "nobody"' in done.stdout
    secured = tmp_path / "secured.yaml"
    tls = "protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: door-cert}"
    secured.write_text(RULES.replace("protocol: HTTP}", tls))
    assert sandbox.codes("-n", "shop", str(secured)) == ["IST0101"]
    sandbox("kubectl", "create", "secret", "generic", "-n", "istio-system", "door-cert", "--from-literal=a=b")
    assert sandbox.codes("-n", "shop", str(secured)) == []

    # Names outside are those of other clusters' Gateways, of which only the webhook knows.
    entry = tmp_path / "entry.yaml"
    entry.write_text(ENTRY)
    assert sandbox.codes("-n", "shop", str(entry)) == ["IST0106"]
    _name_a_gateway_of_the_other_cluster(sandbox)
    assert sandbox.codes("-n", "shop", str(entry)) == []

    removed = sandbox("istioctl", "uninstall", "--set", "profile=default", "--purge", "-y")
    assert removed.endswith("✔ Uninstall complete\n")
    sandbox("kubectl", "delete", "namespace", "shop", "istio-system")
    # As the real one does (shared/real/README.md): what istiod has written into namespaces is nobody's now.
    names = sandbox("kubectl", "get", "configmaps", "-n", "default", "-o", "jsonpath={.items[*].metadata.name}")
    assert names.split() == ["istio-ca-crl", "istio-ca-root-cert", "kube-root-ca.crt"]
    sandbox("kubectl", "delete", "configmaps", "-A", "-l", "istio.io/config=true")
    assert sandbox.dump() == before


def _name_a_gateway_of_the_other_cluster(sandbox: Sandbox) -> None:
    there = ("kubectl", "--context", "secondary")
    definitions = [crd for crd in crds() if crd["spec"]["names"]["kind"] == "Gateway"]
    sandbox(*there, "apply", "-f", "-", stdin=json.dumps(definitions[0]))
    sandbox(*there, "wait", "crd", definitions[0]["metadata"]["name"], "--for=condition=Established")
    sandbox(*there, "apply", "-f", "-", stdin=ELSEWHERE)
    address = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    sandbox(*there, "wait", "service/gate", f"--for={address}")


def _through_the_gateway(sandbox: Sandbox) -> str:
    """What the ingress gateway answers at the address that tutorials' commands find, "" while it does not."""
    service = ("kubectl", "get", "service", "-n", "istio-system", "istio-ingressgateway", "-o")
    host = sandbox(*service, "jsonpath={.status.loadBalancer.ingress[0].ip}")
    port = sandbox(*service, 'jsonpath={.spec.ports[?(@.name=="http2")].port}')
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/hello", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_what_it_does_not_do(sandbox: Sandbox) -> None:
    assert "unknown flag: --foo" in sandbox.fails(64, "istioctl", "install", "--foo")
    assert 'unsupported command "zipkin"' in sandbox.fails(64, "istioctl", "dashboard", "zipkin")
    assert "--purge must be set" in sandbox.fails(64, "istioctl", "uninstall", "-y")
    assert "no running Istio pods" in sandbox.fails(1, "istioctl", "proxy-status")
    assert 'context "nope" does not exist' in sandbox.fails(1, "istioctl", "version", "--context=nope")


def test_nothing_happens_without_a_yes(sandbox: Sandbox) -> None:
    done = sandbox.run("istioctl", "install", stdin="n\n")
    assert done.returncode == 1
    assert "Cancelled." in done.stdout
    assert sandbox.fails(1, "kubectl", "get", "namespace", "istio-system")


def test_a_profile_without_the_gateway_removes_the_gateway_of_one_with(sandbox: Sandbox) -> None:
    sandbox("istioctl", "install", "-y")
    sandbox("istioctl", "install", "-y", "--set", "profile=minimal")
    assert "istio-ingressgateway" not in sandbox("kubectl", "get", "deployments,services", "-n", "istio-system")
    sandbox("istioctl", "uninstall", "--purge", "-y")
    sandbox("kubectl", "delete", "namespace", "istio-system")


def test_a_dashboard_is_at_a_port_of_this_machine_until_it_is_interrupted(sandbox: Sandbox) -> None:
    """As the page has it (https://istio.io/latest/docs/tasks/observability/kiali/); what is printed, and that it
    goes to another port where that of the page is taken, are those of istioctl/pkg/dashboard/dashboard.go."""
    refused = "no pods found with selector app=kiali"
    assert refused in sandbox.fails(1, "istioctl", "dashboard", "kiali", "--browser=false")
    sandbox("kubectl", "create", "namespace", "istio-system")
    sandbox("kubectl", "apply", "-f", str(sandbox.samples / "addons" / "kiali.yaml"))
    sandbox("kubectl", "rollout", "status", "deployment/kiali", "-n", "istio-system")
    taken = sandbox.start("istioctl", "dashboard", "kiali", "--browser=false", "--address", "127.0.0.1")
    other = sandbox.start("istioctl", "d", "kiali", "--browser=false", "--address=127.0.0.1")
    try:
        for opened in (taken, other):
            assert opened.stdout is not None
            url = opened.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/kiali", url)
            assert opened.stdout.readline() == "skipping opening a browser\n"
            assert json.loads(fetched(f"{url}/api/status"))["status"]["Kiali state"] == "running"
        for opened in (taken, other):
            opened.send_signal(signal.SIGINT)
            assert opened.wait(timeout=60) == 0
    finally:
        for opened in (taken, other):
            opened.kill()
            opened.communicate()
    sandbox("kubectl", "delete", "namespace", "istio-system")


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own
        found: bytes = answer.read()
        return found


def test_what_is_not_ready_in_time_is_said(sandbox: Sandbox) -> None:
    unknown = ("--set", "values.global.hub=example.org/none", "--set", "hub=example.org/none")
    sandbox("istioctl", "install", "-y", *unknown)
    image = sandbox("kubectl", "get", "deployment", "-n", "istio-system", "istiod", "-o", "jsonpath={..image}")
    assert image == "example.org/none/pilot:1.31.1"
    nodes = sandbox("kubectl", "get", "nodes", "-o", "name").split()
    sandbox("kubectl", "cordon", *nodes)
    sandbox("kubectl", "delete", "pods", "-n", "istio-system", "-l", "app=istiod")
    refused = sandbox.fails(1, "istioctl", "install", "-y", "--readiness-timeout", "0s")
    assert "resources not ready after 0s" in refused
    sandbox("kubectl", "uncordon", *nodes)
    sandbox("istioctl", "uninstall", "--purge", "-y")
    sandbox("kubectl", "delete", "namespace", "istio-system")


def test_help_says_whose_it_is(sandbox: Sandbox) -> None:
    assert "sandbox's own istioctl" in sandbox("istioctl", "help")
    assert "--readiness-timeout" in sandbox("istioctl", "install", "--help")


RATINGS = """
apiVersion: v1
kind: Namespace
metadata: {name: ratingsapp}
---
apiVersion: v1
kind: Service
metadata: {name: ratings-api, namespace: ratingsapp}
spec: {selector: {app: ratings-api}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ratings-api, namespace: ratingsapp}
spec:
  replicas: 2
  selector: {matchLabels: {app: ratings-api}}
  template:
    metadata: {labels: {app: ratings-api}}
    spec: {containers: [{name: api, image: mccutchen/go-httpbin}]}
"""


def test_the_analyzers_findings_of_an_application_from_before_the_mesh_one_by_one(
    sandbox: Sandbox, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    sandbox("istioctl", "install", "-y")
    sandbox("kubectl", "apply", "-f", "-", stdin=RATINGS)
    sandbox("kubectl", "rollout", "status", "-n", "ratingsapp", "deployment/ratings-api", "--timeout=60s")

    def analyzed() -> list[str]:
        done = sandbox.run("istioctl", "analyze", "-n", "ratingsapp")
        assert done.returncode == 0
        return done.stdout.splitlines()

    named = "kubectl label namespace ratingsapp istio-injection"
    port = "Info [IST0118] (Service ratingsapp/ratings-api) Port name  (port: 80, targetPort: 8080) doesn't follow "
    assert analyzed() == [
        "Info [IST0102] (Namespace ratingsapp) The namespace is not enabled for Istio injection. "
        f"Run '{named}=enabled' to enable it, or '{named}=disabled' to explicitly mark it as "
        "not needing injection.",
        f"{port}the naming convention of Istio port.",
    ]
    sandbox("kubectl", "label", "namespace", "ratingsapp", "istio-injection=enabled")
    first, second, third = analyzed()
    for line in (first, second):
        assert line.startswith("Warning [IST0103] (Pod ratingsapp/ratings-api-")
        assert line.endswith(
            "is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload."
        )
    assert third.startswith(port)
    (only,) = [one for one in sandbox.json("istioctl", "analyze", "-n", "ratingsapp") if one["code"] == "IST0118"]
    assert (only["level"], only["origin"]) == ("Info", "Service ratingsapp/ratings-api")
    assert only["documentationUrl"].endswith("/ist0118/?ref=istioctl-analyze")
    assert "IST0103" in sandbox.codes("-A")
    renamed = '[{"op": "add", "path": "/spec/ports/0/name", "value": "http"}]'
    sandbox("kubectl", "patch", "service", "-n", "ratingsapp", "ratings-api", "--type=json", "-p", renamed)
    sandbox("kubectl", "rollout", "restart", "-n", "ratingsapp", "deployment/ratings-api")
    sandbox("kubectl", "rollout", "status", "-n", "ratingsapp", "deployment/ratings-api", "--timeout=60s")
    eventually(lambda: not analyzed())
    assert sandbox.json("istioctl", "analyze", "-n", "ratingsapp") == []
    nowhere = sandbox.run("istioctl", "analyze", "-n", "nowhere")
    assert (nowhere.returncode, nowhere.stderr) == (0, 'namespace "nowhere" not found\n')

"""Istiod scaled to 0, its Service deleted, its webhooks deleted: writes fail as the webhooks' `failurePolicy` says.

The webhooks are those of shared/real/objects/webhooks.yaml; the words are the API server's.
"""

from __future__ import annotations

import re

import pytest

from sandbox.server import launcher
from tests.kit.fixtures import Wait
from tests.sandbox.istioctl.test_istioctl import Sandbox

APPLICATION = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: shop}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec: {containers: [{name: hello, image: docker.io/istio/examples-helloworld-v1:1.0}]}
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello, namespace: shop}
spec:
  hosts: [hello]
  http: [{route: [{destination: {host: hello}, weight: 60}, {destination: {host: hello}, weight: -1}]}]
"""
INJECTOR = "namespace.sidecar-injector.istio.io"
POST = 'failed to call webhook: Post "https://istiod.istio-system.svc:443'
NO_ENDPOINTS, NO_SERVICE = 'no endpoints available for service "istiod"', 'service "istiod" not found'


def failed(webhook: str, path: str, why: str) -> str:
    return f'Internal error occurred: failed calling webhook "{webhook}": {POST}/{path}?timeout=10s": {why}'


@pytest.fixture(scope="module")
def sandbox(own_sandbox: launcher.Running) -> Sandbox:
    made = Sandbox(own_sandbox)
    made("istioctl", "install", "-y", "--set", "profile=minimal")
    made("kubectl", "apply", "-f", "-", stdin=APPLICATION)
    made("kubectl", "rollout", "status", "-n", "shop", "deployment/hello", "--timeout=60s")
    return made


@pytest.fixture(scope="module")
def away(sandbox: Sandbox, eventually: Wait) -> Sandbox:
    istiod = ("-n", "istio-system", "deployment/istiod")
    sandbox("kubectl", "scale", *istiod, "--replicas=0")
    endpoints = ("endpointslices", "-n", "istio-system", "-l", "kubernetes.io/service-name=istiod")
    eventually(
        lambda: not sandbox("kubectl", "get", *endpoints, "-o", "jsonpath={.items[*].endpoints[*].addresses}")
    )
    return sandbox


def test_istiod_scaled_to_0_a_rule_is_refused(away: Sandbox) -> None:
    said = away.fails(1, "kubectl", "apply", "-f", "-", stdin=RULE)
    assert failed("validation.istio.io", "validate", NO_ENDPOINTS) in said
    assert "(InternalError)" in said


def test_istiod_scaled_to_0_a_pod_is_refused_only_where_pods_are_injected(away: Sandbox, eventually: Wait) -> None:
    run = ("kubectl", "run", "one", "--image=busybox", "--restart=Never")
    said = away.fails(1, *run, "-n", "shop")
    assert said == f"Error from server (InternalError): {failed(INJECTOR, 'inject', NO_ENDPOINTS)}\n"
    away(*run, "-n", "default", "--dry-run=server")
    away(*run, "-n", "shop", "--labels=sidecar.istio.io/inject=false", "--dry-run=server")
    away("kubectl", "delete", "pod", "-n", "shop", "-l", "app=hello", "--wait=false")
    refused = failed(INJECTOR, "inject", NO_ENDPOINTS)
    events = ("events", "-n", "shop", "--field-selector=reason=FailedCreate")
    eventually(lambda: refused in away("kubectl", "get", *events, "-o", "jsonpath={.items[*].message}"))
    event = away.json("kubectl", "get", *events)["items"][0]
    assert event["message"] == f"Error creating: {refused}"
    assert (event["type"], event["involvedObject"]["kind"]) == ("Warning", "ReplicaSet")
    (deployment,) = away.json("kubectl", "get", "deployments", "-n", "shop")["items"]
    reasons = {one["type"]: one["reason"] for one in deployment["status"]["conditions"]}
    assert reasons["ReplicaFailure"] == "FailedCreate"


def test_service_istiod_deleted(away: Sandbox) -> None:
    service = away("kubectl", "get", "service", "-n", "istio-system", "istiod", "-o", "json")
    away("kubectl", "delete", "service", "-n", "istio-system", "istiod")
    assert failed("validation.istio.io", "validate", NO_SERVICE) in away.fails(
        1, "kubectl", "apply", "-f", "-", stdin=RULE
    )
    said = away.fails(1, "kubectl", "run", "one", "--image=busybox", "-n", "shop")
    assert failed(INJECTOR, "inject", NO_SERVICE) in said
    away("kubectl", "apply", "-f", "-", stdin=service)


def test_failure_policy_ignore_lets_pods_go_without_a_sidecar(away: Sandbox) -> None:
    configuration = ("mutatingwebhookconfigurations", "istio-revision-tag-default")
    for policy, made in (("Ignore", True), ("Fail", False)):
        patch = ",".join(
            f'{{"op": "replace", "path": "/webhooks/{i}/failurePolicy", "value": "{policy}"}}' for i in range(4)
        )
        away("kubectl", "patch", *configuration, "--type=json", "-p", f"[{patch}]")
        done = away.run("kubectl", "run", "one", "--image=busybox", "-n", "shop", "--dry-run=server", "-o", "yaml")
        assert (done.returncode == 0) == made
        assert "istio-proxy" not in done.stdout


def test_webhooks_deleted_nothing_is_injected_or_validated(away: Sandbox, eventually: Wait) -> None:
    """What the CRD's schema says holds all the same, and so does what the sandbox cannot do."""
    away("kubectl", "delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "--all")
    made = away("kubectl", "run", "one", "--image=busybox", "-n", "shop", "--dry-run=server", "-o", "yaml")
    assert "istio-proxy" not in made
    away("kubectl", "apply", "-f", "-", stdin=RULE)
    refused = away.fails(1, "kubectl", "apply", "-f", "-", stdin=RULE.replace("weight: 60", 'weight: "x"'))
    assert "must be of type integer" in refused
    unsupported = RULE.replace("http: [{", "http: [{mirror_percent: 5, ")
    refused = away.fails(1, "kubectl", "apply", "-f", "-", stdin=unsupported)
    assert "is forbidden: spec.http[0].mirror_percent: not supported by the sandbox" in refused
    away("kubectl", "scale", "-n", "istio-system", "deployment/istiod", "--replicas=1")
    away("istioctl", "install", "-y", "--set", "profile=minimal")
    away("kubectl", "rollout", "restart", "-n", "shop", "deployment/hello")
    away("kubectl", "rollout", "status", "-n", "shop", "deployment/hello", "--timeout=60s")
    eventually(lambda: re.search(r"^hello-\S+ +2/2 +Running", away("kubectl", "get", "pods", "-n", "shop"), re.M))
    said = away.fails(1, "kubectl", "annotate", "virtualservice", "-n", "shop", "hello", "note=1")
    assert 'admission webhook "validation.istio.io" denied the request' in said

"""kubectl creates, changes, rolls out and deletes, in both supported versions."""

from __future__ import annotations

import json

import pytest

from tests.kit.sandbox import Kubectl

from .inside import DEPLOYMENT, Eventually, Inside, header


def test_create_subcommands(inside: Inside) -> None:
    """They use typed clients, which send protobuf."""
    inside("create", "deployment", "made", "--image=pause", "--replicas=0", "--port=8080")
    inside("create", "configmap", "made", "--from-literal=a=1")
    inside("create", "secret", "generic", "made", "--from-literal=password=x")
    inside("create", "serviceaccount", "made")
    inside("create", "service", "nodeport", "made", "--tcp=80:http")
    inside("create", "role", "made", "--verb=get,list", "--resource=pods,deployments.apps")
    inside("create", "rolebinding", "made", "--role=made", f"--serviceaccount={inside.namespace}:made")
    inside("create", "poddisruptionbudget", "made", "--selector=app=made", "--min-available=50%")

    deployment = inside.json("get", "deployment", "made")
    assert deployment["spec"]["replicas"] == 0
    assert deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080
    assert inside.json("get", "secret", "made")["data"] == {"password": "eA=="}
    assert inside.json("get", "service", "made")["spec"]["ports"][0]["targetPort"] == "http"
    assert inside.json("get", "role", "made")["rules"][0]["resources"] == ["pods"]
    assert inside.json("get", "pdb", "made")["spec"]["minAvailable"] == "50%"
    assert header(inside("get", "rolebinding", "-o", "wide"))[-1] == "SERVICEACCOUNTS"


def test_autoscale(kubectl: Kubectl, namespace: str) -> None:
    """kubectl 1.32 does this by autoscaling/v1, which the sandbox does not serve."""
    inside = Inside(kubectl, namespace)
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu=80%")
    assert inside("get", "hpa", "web", "--no-headers").split()[:2] == ["web", "Deployment/web"]
    assert inside.json("get", "hpa", "web")["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


def test_create_with_a_generated_name(inside: Inside) -> None:
    obj = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}})
    first, second = (inside("create", "-f", "-", "-o", "name", stdin=obj).strip() for _ in range(2))
    assert first != second
    assert first.startswith("configmap/gen-")


def test_create_of_what_is_there(inside: Inside) -> None:
    inside("create", "configmap", "one")
    assert 'configmaps "one" already exists' in inside.fails("create", "configmap", "one")


def test_label_and_annotate(inside: Inside) -> None:
    inside("create", "configmap", "one")
    inside("label", "configmap", "one", "a=b")
    assert "already has a value" in inside.fails("label", "configmap", "one", "a=c")
    inside("label", "configmap", "one", "a=c", "--overwrite")
    inside("annotate", "configmap", "one", "note=some text")
    metadata = inside.json("get", "configmap", "one")["metadata"]
    assert metadata["labels"] == {"a": "c"}
    assert metadata["annotations"] == {"note": "some text"}
    inside("label", "configmap", "one", "a-")
    assert "labels" not in inside.json("get", "configmap", "one")["metadata"]


def test_set_image_and_scale(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("set", "image", "deployment/web", "web=pause:3.9")
    inside("set", "env", "deployment/web", "A=1")
    inside("set", "resources", "deployment/web", "--requests=cpu=10m")
    container = inside.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"][0]["value"]) == ("pause:3.9", "1")
    assert "scaled" in inside("scale", "deployment", "web", "--replicas=2", "--current-replicas=0")
    assert inside.json("get", "deployment", "web")["spec"]["replicas"] == 2
    assert "Expected replicas" in inside.fails("scale", "deploy", "web", "--replicas=3", "--current-replicas=0")
    assert inside.json("get", "deployment", "web", "--subresource=scale")["kind"] == "Scale"


def test_a_scale_is_decoded_as_every_kind_is(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    patch = ("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p")
    misspelt = inside.kubectl.run(f"--namespace={inside.namespace}", *patch, '{"spec": {"replica": 2}}')
    assert 'Warning: unknown field "spec.replica"' in misspelt.stderr
    assert "replicas" in inside.fails(*patch, '{"spec": {"replicas": "two"}}')
    assert "does not match the expected kind (Scale)" in inside.fails(*patch, '{"kind": "Wrong"}')
    assert "greater than or equal to 0" in inside.fails(*patch, '{"spec": {"replicas": -1}}')
    inside(*patch, '{"spec": {"replicas": 3}}')
    assert inside.json("get", "deployment", "web")["spec"]["replicas"] == 3


def test_delete(inside: Inside) -> None:
    inside("create", "configmap", "one")
    inside("create", "configmap", "two")
    assert 'configmap "one" deleted' in inside("delete", "configmap", "one", "--wait")
    assert 'configmaps "one" not found' in inside.fails("delete", "configmap", "one")
    assert inside("delete", "configmap", "one", "--ignore-not-found") == ""
    inside("label", "configmap", "two", "go=yes")
    assert "two" in inside("delete", "configmap", "-l", "go=yes")
    inside("create", "configmap", "three")
    inside("delete", "configmaps", "--all", "--wait=false")
    assert "three" not in inside("get", "configmaps", "-o", "name")


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_delete_cascades(inside: Inside, eventually: Eventually, cascade: str) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    eventually(lambda: inside("get", "replicasets", "-o", "name"))
    inside("delete", "deployment", "web", f"--cascade={cascade}")
    eventually(lambda: not inside("get", "replicasets", "-o", "name"))


def test_delete_leaves_orphans(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    eventually(lambda: inside("get", "replicasets", "-o", "name"))
    inside("delete", "deployment", "web", "--cascade=orphan")
    (left,) = inside.json("get", "replicasets")["items"]
    assert "ownerReferences" not in left["metadata"]


def test_finalizers(inside: Inside, eventually: Eventually) -> None:
    inside("create", "configmap", "one")
    inside("patch", "configmap", "one", "-p", '{"metadata":{"finalizers":["example.org/hold"]}}')
    inside("delete", "configmap", "one", "--wait=false")
    assert inside.json("get", "configmap", "one")["metadata"]["deletionTimestamp"]
    inside("patch", "configmap", "one", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert "NotFound" in inside.fails("get", "configmap", "one")


def test_rollouts(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    assert "successfully rolled out" in inside("rollout", "status", "deployment/web", "--timeout=60s")
    inside("set", "image", "deployment/web", "web=pause:3.2")
    inside("rollout", "status", "deployment/web", "--timeout=60s")
    history = inside("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.strip().splitlines()[-2:]] == ["1", "2"]
    assert "rolled back" in inside("rollout", "undo", "deployment/web")
    live = inside.json("get", "deployment", "web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "pause"
    assert "restarted" in inside("rollout", "restart", "deployment/web")
    assert "paused" in inside("rollout", "pause", "deployment/web")
    assert "resumed" in inside("rollout", "resume", "deployment/web")


def test_namespaces_are_emptied_before_they_go(either_kubectl: Kubectl, eventually: Eventually) -> None:
    name = "goes-away"
    either_kubectl("create", "namespace", name)
    either_kubectl("create", "-n", name, "-f", "-", stdin=DEPLOYMENT)
    either_kubectl("delete", "namespace", name, "--timeout=60s")
    assert "NotFound" in either_kubectl.fails("get", "namespace", name)
    assert not either_kubectl("get", "deployments", "-n", name, "-o", "name")


def test_expose(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("expose", "deployment", "web", "--port=80", "--target-port=8080")
    service = inside.json("get", "service", "web")
    assert service["spec"]["selector"] == {"app": "web"}
    assert header(inside("get", "service")) == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]

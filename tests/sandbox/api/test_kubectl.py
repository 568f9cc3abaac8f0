"""Every kubectl verb an attendee types, with both supported versions, against a running sandbox.

What makes pods run is tested with the node; here objects are read, written, watched and described.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.conftest import Kubectl

Eventually = Callable[[Callable[[], Any]], Any]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 0
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: pause
        ports:
        - containerPort: 8080
"""

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.org
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Hosts, type: string, jsonPath: .spec.hosts}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Size, type: integer, jsonPath: .spec.size, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is wanted of it.
            required: [hosts]
            properties:
              hosts: {type: array, items: {type: string}}
              size: {type: integer, minimum: 1}
              replicas: {type: integer}
              mode: {type: string, enum: [fast, slow], default: fast}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"""


def config_map(name: str, **data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


class Inside:
    """kubectl in one namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl, self.namespace = kubectl, namespace

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        return self.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def fails(self, *arguments: str, stdin: str = "") -> str:
        return self.kubectl.fails(f"--namespace={self.namespace}", *arguments, stdin=stdin)


@pytest.fixture
def inside(either_kubectl: Kubectl, namespace: str) -> Inside:
    return Inside(either_kubectl, namespace)


def header(table: str) -> list[str]:
    return re.split(r"\s{2,}", table.splitlines()[0].strip())


def test_version_and_discovery(either_kubectl: Kubectl) -> None:
    assert "Server Version: v1.36.1-sandbox" in either_kubectl("version")
    versions = either_kubectl("api-versions").split()
    assert {"v1", "apps/v1", "autoscaling/v2", "policy/v1"} <= set(versions)
    rows = either_kubectl("api-resources", "--no-headers").splitlines()
    assert any(row.split() == ["deployments", "deploy", "apps/v1", "true", "Deployment"] for row in rows)
    namespaced = either_kubectl("api-resources", "--namespaced=false", "-o", "name").split()
    assert "nodes" in namespaced
    assert "pods" not in namespaced
    assert either_kubectl("get", "--raw", "/readyz") == "ok"
    assert "is running at" in either_kubectl("cluster-info")


def test_get_in_all_forms(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    assert header(inside("get", "deployments")) == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    wide = inside("get", "deploy", "web", "-o", "wide")
    assert header(wide)[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide.splitlines()[1].split()[-3:] == ["web", "pause", "app=web"]
    assert inside.json("get", "deployment/web")["spec"]["replicas"] == 0
    assert yaml.safe_load(inside("get", "deployment", "web", "-o", "yaml"))["kind"] == "Deployment"
    assert inside("get", "deploy", "-o", "name").strip() == "deployment.apps/web"
    assert inside("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "pause"
    assert inside("get", "deploy", "-o", "custom-columns=N:.metadata.name").split() == ["N", "web"]
    assert inside("get", "deploy", "--show-labels").splitlines()[1].split()[-1] == "app=web"
    assert inside("get", "deploy", "-L", "app").splitlines()[1].split()[-1] == "web"
    assert "managedFields" in inside.json("get", "deploy", "web", "--show-managed-fields")["metadata"]
    assert inside("get", "deploy", "--no-headers", "-A", "-l", "app=web").split()[1] == "web"


def test_get_all_shows_every_kind_of_workload(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("create", "service", "clusterip", "web", "--tcp=80:8080")

    def shown() -> bool:
        names = inside("get", "all", "-o", "name").split()
        return {"deployment.apps/web", "service/web"} <= set(names) and any("replicaset" in name for name in names)

    eventually(shown)


def test_selectors(inside: Inside) -> None:
    for name, labels in (("a", "tier=one,x=1"), ("b", "tier=two"), ("c", "tier=three")):
        inside("create", "-f", "-", stdin=config_map(name))
        inside("label", "configmap", name, *labels.split(","))

    def names(*arguments: str) -> list[str]:
        found = inside("get", "configmaps", "-o", "name", *arguments).split()
        return [name.removeprefix("configmap/") for name in found if "kube-root-ca" not in name]

    assert names("-l", "tier=one") == ["a"]
    assert names("-l", "tier in (one,two)") == ["a", "b"]
    assert names("-l", "tier,tier notin (one,two)") == ["c"]
    assert names("-l", "tier,!x") == ["b", "c"]
    assert names("-l", "tier!=one,tier") == ["b", "c"]
    assert names("--field-selector=metadata.name=b") == ["b"]
    assert names("-l", "tier", "--sort-by=.metadata.labels.tier") == ["a", "c", "b"]
    assert "field label not supported: spec.nothing" in inside.fails(
        "get", "pods", "--field-selector=spec.nothing=x"
    )


def test_pages(inside: Inside) -> None:
    for number in range(7):
        inside("create", "configmap", f"page-{number}")
    names = inside("get", "configmaps", "--chunk-size=3", "-o", "name").split()
    assert len([name for name in names if "page-" in name]) == 7


def test_watch_shows_changes(inside: Inside, eventually: Eventually) -> None:
    inside("create", "configmap", "one")
    watching = inside.kubectl.start(
        *("get", "configmap", "one", "-w", "-n", inside.namespace, "--output-watch-events")
    )
    assert watching.stdout is not None
    try:
        lines = [watching.stdout.readline(), watching.stdout.readline()]
        inside("label", "configmap", "one", "a=b")
        lines.append(watching.stdout.readline())
        inside("delete", "configmap", "one")
        lines.append(watching.stdout.readline())
    finally:
        watching.kill()
        watching.wait()
    assert [line.split()[0] for line in lines] == ["EVENT", "ADDED", "MODIFIED", "DELETED"]


def test_describe(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 0", "replicas: 1"))
    inside("create", "service", "clusterip", "web", "--tcp=80:8080")
    text = eventually(
        lambda: shown if "ScalingReplicaSet" in (shown := inside("describe", "deployment", "web")) else ""
    )
    assert "Selector:               app=web" in text
    assert "8080/TCP" in inside("describe", "service", "web")
    assert "Active" in inside.kubectl("describe", "namespace", inside.namespace)
    assert "kube-root-ca.crt" in inside("describe", "configmap")
    assert "Name:" in inside("describe", "serviceaccount", "default")


def test_events(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("scale", "deployment", "web", "--replicas=1")
    eventually(lambda: "ScalingReplicaSet" in inside("get", "events"))
    assert header(inside("get", "events")) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    wide = ["SUBOBJECT", "SOURCE", "MESSAGE", "FIRST SEEN", "COUNT", "NAME"]
    assert header(inside("get", "events", "-o", "wide"))[4:] == wide
    assert "ScalingReplicaSet" in inside("events", "--for=deployment/web")
    assert "ScalingReplicaSet" in inside("get", "events.events.k8s.io")
    assert "Normal" in inside("get", "events", "--field-selector=involvedObject.kind=Deployment,type=Normal")
    noted = inside.json("get", "events.events.k8s.io", "--field-selector=reason=ScalingReplicaSet")
    assert noted["items"][0]["regarding"]["name"] == "web"


def test_apply_on_the_client_side(inside: Inside, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(DEPLOYMENT)
    assert "deployment.apps/web created" in inside("apply", "-f", str(file))
    assert "deployment.apps/web unchanged" in inside("apply", "-f", str(file))
    inside("scale", "deployment", "web", "--replicas=2")
    file.write_text(DEPLOYMENT.replace("image: pause", "image: pause:2").replace("\n  labels: {app: web}", "", 1))
    assert "deployment.apps/web configured" in inside("apply", "-f", str(file))
    live = inside.json("get", "deployment", "web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "pause:2"
    assert live["spec"]["replicas"] == 0
    assert "labels" not in live["metadata"], "what was applied before and is left out now goes"
    file.write_text(DEPLOYMENT.replace("replicas: 0", "replicaz: 0"))
    assert 'unknown field "spec.replicaz"' in inside.fails("apply", "-f", str(file))


def test_apply_prunes_and_views_what_was_applied(inside: Inside) -> None:
    inside("apply", "-f", "-", stdin=config_map("one", a="1"))
    assert 'a: "1"' in inside("apply", "view-last-applied", "configmap", "one")


def test_diff_and_dry_run(inside: Inside) -> None:
    inside("apply", "-f", "-", stdin=config_map("one", a="1"))
    assert inside("diff", "-f", "-", stdin=config_map("one", a="1")) == ""
    done = inside.kubectl.run("diff", "-n", inside.namespace, "-f", "-", stdin=config_map("one", a="2"))
    assert done.returncode == 1
    assert '+  a: "2"' in done.stdout
    assert "server dry run" in inside("apply", "--dry-run=server", "-f", "-", stdin=config_map("one", a="2"))
    assert "server dry run" in inside("create", "--dry-run=server", "-f", "-", stdin=config_map("two"))
    assert "server dry run" in inside("delete", "--dry-run=server", "configmap", "one")
    assert inside("label", "--dry-run=server", "configmap", "one", "x=y")
    assert inside.json("get", "configmap", "one")["data"] == {"a": "1"}
    assert "labels" not in inside.json("get", "configmap", "one")["metadata"]
    assert "NotFound" in inside.fails("get", "configmap", "two")


def test_apply_on_the_server_side(inside: Inside) -> None:
    first = ("apply", "--server-side", "--field-manager=one", "-f", "-")
    assert "serverside-applied" in inside(*first, stdin=config_map("shared", a="1", b="1"))
    refused = inside.fails(
        *("apply", "--server-side", "--field-manager=two", "-f", "-"), stdin=config_map("shared", a="2")
    )
    assert 'conflict with "one": .data.a' in refused
    forced = ("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-")
    inside(*forced, stdin=config_map("shared", a="2"))
    inside(*first, stdin=config_map("shared"))
    live = inside.json("get", "configmap", "shared", "--show-managed-fields")
    assert live["data"] == {"a": "2"}, "b was one's alone, a is two's by now"
    managers = {entry["manager"]: entry["operation"] for entry in live["metadata"]["managedFields"]}
    assert managers["two"] == "Apply"
    assert "server dry run" in inside(
        *("apply", "--server-side", "--dry-run=server", "-f", "-"), stdin=config_map("new", a="1")
    )
    odd = json.dumps({**json.loads(config_map("odd")), "nothing": 1})
    assert "nothing" in inside.fails("apply", "--server-side", "-f", "-", stdin=odd)


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


def test_patches_of_all_kinds(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    added = '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"pause"}]}}}}'
    inside("patch", "deployment", "web", "-p", added)
    containers = inside.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert sorted(container["name"] for container in containers) == ["side", "web"]

    inside("patch", "deployment", "web", "--type=merge", "-p", added)
    containers = inside.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["side"]

    operations = (
        '[{"op":"test","path":"/spec/replicas","value":0},{"op":"add","path":"/metadata/labels/x","value":"y"}]'
    )
    inside("patch", "deployment", "web", "--type=json", "-p", operations)
    assert inside.json("get", "deployment", "web")["metadata"]["labels"]["x"] == "y"
    assert "test" in inside.fails("patch", "deployment", "web", "--type=json", "-p", operations.replace(":0", ":9"))
    warned = inside.kubectl.run("patch", "deployment", "web", "-n", inside.namespace, "-p", '{"spec":{"foo":1}}')
    assert 'Warning: unknown field "spec.foo"' in warned.stderr
    inside("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":0}}')


def test_replace_honours_the_optimistic_lock(inside: Inside) -> None:
    inside("create", "configmap", "one")
    read = inside("get", "configmap", "one", "-o", "json")
    inside("label", "configmap", "one", "a=b")
    assert "the object has been modified" in inside.fails("replace", "-f", "-", stdin=read)
    fresh = inside("get", "configmap", "one", "-o", "json")
    assert "replaced" in inside("replace", "-f", "-", stdin=fresh.replace('"a": "b"', '"a": "c"'))
    assert "replaced" in inside("replace", "--force", "-f", "-", stdin=config_map("one"))


def test_set_image_and_scale(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("set", "image", "deployment/web", "web=pause:3")
    inside("set", "env", "deployment/web", "A=1")
    inside("set", "resources", "deployment/web", "--requests=cpu=10m")
    container = inside.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"][0]["value"]) == ("pause:3", "1")
    assert "scaled" in inside("scale", "deployment", "web", "--replicas=2", "--current-replicas=0")
    assert inside.json("get", "deployment", "web")["spec"]["replicas"] == 2
    assert "Expected replicas" in inside.fails("scale", "deploy", "web", "--replicas=3", "--current-replicas=0")
    assert inside.json("get", "deployment", "web", "--subresource=scale")["kind"] == "Scale"


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


def test_wait(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    assert "condition met" in inside("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    assert "condition met" in inside("wait", "--for=jsonpath={.spec.replicas}=0", "deployment/web", "--timeout=20s")
    assert "timed out" in inside.fails("wait", "--for=condition=Never", "deployment/web", "--timeout=300ms")
    waiting = inside.kubectl.start(
        *("wait", "--for=delete", "deployment/web", "-n", inside.namespace, "--timeout=20s")
    )
    inside("delete", "deployment", "web")
    assert waiting.wait(timeout=20) == 0
    assert "condition met" in inside.kubectl(
        "wait", "--for=jsonpath={.status.phase}=Active", f"namespace/{inside.namespace}", "--timeout=5s"
    )


def test_rollouts(inside: Inside, eventually: Eventually) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    assert "successfully rolled out" in inside("rollout", "status", "deployment/web", "--timeout=20s")
    inside("set", "image", "deployment/web", "web=pause:2")
    inside("rollout", "status", "deployment/web", "--timeout=20s")
    history = inside("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.strip().splitlines()[-2:]] == ["1", "2"]
    assert "rolled back" in inside("rollout", "undo", "deployment/web")
    live = inside.json("get", "deployment", "web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "pause"
    assert "restarted" in inside("rollout", "restart", "deployment/web")
    assert "paused" in inside("rollout", "pause", "deployment/web")
    assert "resumed" in inside("rollout", "resume", "deployment/web")


def test_explain(inside: Inside) -> None:
    assert "FIELD: replicas <integer>" in inside("explain", "deployment.spec.replicas")
    assert "containers\t<[]Container> -required-" in inside("explain", "pods.spec")
    assert "spec.template" not in inside("explain", "service", "--recursive")
    assert 'field "nothing" does not exist' in inside.fails("explain", "pods.nothing")


def test_auth(inside: Inside) -> None:
    assert inside("auth", "can-i", "create", "deployments").strip() == "yes"
    assert "*.*" in inside("auth", "can-i", "--list")
    assert "workshop" in inside("auth", "whoami")
    assert "impersonation is not supported" in inside.fails("get", "pods", "--as=somebody")


def test_custom_resources(inside: Inside) -> None:
    try:
        inside("apply", "-f", "-", stdin=CRD)
        inside("wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=5s")
        widget = {
            "apiVersion": "example.org/v1",
            "kind": "Widget",
            "metadata": {"name": "w"},
            "spec": {"hosts": ["a", "b"], "size": 3, "replicas": 1},
        }
        assert "created" in inside("apply", "-f", "-", stdin=json.dumps(widget))
        assert inside.json("get", "widget", "w")["spec"]["mode"] == "fast"
        table = inside("get", "wd", "-o", "wide")
        assert header(table) == ["NAME", "HOSTS", "READY", "SIZE", "AGE"]
        assert table.splitlines()[1].split()[:3] == ["w", '["a","b"]', "3"]
        status = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
        inside("patch", "widget", "w", "--subresource=status", "--type=merge", "-p", status)
        assert inside("get", "widgets", "--no-headers").split()[2] == "True"
        inside("scale", "widget", "w", "--replicas=4")
        assert inside.json("get", "widget", "w")["spec"]["replicas"] == 4
        assert "widget.example.org/w" in inside("get", "all", "-o", "name")
        assert "What is wanted of it." in inside("explain", "widget.spec")
        bad = {**widget, "spec": {"hosts": ["a"], "mode": "odd"}}
        assert "spec.mode" in inside.fails("apply", "-f", "-", stdin=json.dumps(bad))
        unknown = {**widget, "spec": {"hosts": ["a"], "colour": "red"}}
        assert 'unknown field "spec.colour"' in inside.fails("apply", "-f", "-", stdin=json.dumps(unknown))
        inside("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(widget))
        assert "Mode:" in inside("describe", "widget", "w")
    finally:
        inside.kubectl("delete", "crd", "widgets.example.org", "--ignore-not-found")
    # kubectl still remembers the kind; the API does not.
    assert "could not find the requested resource" in inside.fails("get", "widgets")


def test_namespaces_are_emptied_before_they_go(either_kubectl: Kubectl, eventually: Eventually) -> None:
    name = "goes-away"
    either_kubectl("create", "namespace", name)
    either_kubectl("create", "-n", name, "-f", "-", stdin=DEPLOYMENT)
    either_kubectl("delete", "namespace", name, "--timeout=20s")
    assert "NotFound" in either_kubectl.fails("get", "namespace", name)
    assert not either_kubectl("get", "deployments", "-n", name, "-o", "name")


def test_edit(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside("create", "-f", "-", stdin=config_map("one", a="1"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/a: "1"/a: "2"/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    assert "configmap/one edited" in inside("edit", "configmap", "one")
    assert inside.json("get", "configmap", "one")["data"] == {"a": "2"}


def test_expose(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    inside("expose", "deployment", "web", "--port=80", "--target-port=8080")
    service = inside.json("get", "service", "web")
    assert service["spec"]["selector"] == {"app": "web"}
    assert header(inside("get", "service")) == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]

"""kubectl applies, diffs, patches and edits, in both supported versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .inside import DEPLOYMENT, Inside, config_map, header

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
    additionalPrinterColumns:
    - {name: Hosts, type: string, jsonPath: .spec.hosts}
    - {name: Ready, type: string, jsonPath: .status.ready}
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


def test_apply_on_the_client_side(inside: Inside, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(DEPLOYMENT)
    assert "deployment.apps/web created" in inside("apply", "-f", str(file))
    assert "deployment.apps/web unchanged" in inside("apply", "-f", str(file))
    inside("scale", "deployment", "web", "--replicas=2")
    file.write_text(DEPLOYMENT.replace("image: pause", "image: pause:3.2").replace("\n  labels: {app: web}", "", 1))
    assert "deployment.apps/web configured" in inside("apply", "-f", str(file))
    live = inside.json("get", "deployment", "web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "pause:3.2"
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
        status = '{"status":{"ready":"True"}}'
        inside("patch", "widget", "w", "--subresource=status", "--type=merge", "-p", status)
        assert inside("get", "widgets", "--no-headers").split()[2] == "True"
        assert "could not find the requested resource" in inside.fails("scale", "widget", "w", "--replicas=4")
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


def test_edit(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside("create", "-f", "-", stdin=config_map("one", a="1"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/a: "1"/a: "2"/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    assert "configmap/one edited" in inside("edit", "configmap", "one")
    assert inside.json("get", "configmap", "one")["data"] == {"a": "2"}

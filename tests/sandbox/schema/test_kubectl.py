"""Schemas as a person meets them: through real kubectl, the newest and the oldest that is supported."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.kit.sandbox import Kubectl

from .objects import definition, deployment, service

FRUIT = {"apiVersion": "example.com/v1", "kind": "Fruit", "metadata": {"name": "apple"}}


def text(*objects: object) -> str:
    if len(objects) == 1:
        return json.dumps(objects[0])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def here(obj: dict[str, object]) -> dict[str, object]:
    """Without the namespace, so that -n decides."""
    metadata = {"name": obj["metadata"]["name"]}  # type: ignore[index]
    return {**obj, "metadata": metadata}


WEB = here(deployment(replicas=0))
WEB_SERVICE = here(service())


def test_explain(either_kubectl: Kubectl) -> None:
    said = either_kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "GROUP:      apps" in said
    assert "maxSurge\t<IntOrString>" in said
    assert "How many pods more than wanted" in said
    assert either_kubectl("explain", "deployment.spec.strategy").count("How pods are replaced.") == 1
    assert "strategy\t<DeploymentStrategy>\n    How pods are replaced." in either_kubectl(
        "explain", "deployment.spec"
    )
    assert "RollingUpdate" in either_kubectl("explain", "deployment", "--recursive")
    assert 'field "nothing" does not exist' in either_kubectl.fails("explain", "pod.spec.nothing")


def test_apply_diff_and_apply_again(either_kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace)
    assert "created" in either_kubectl("apply", *there, "-f-", stdin=text(WEB, WEB_SERVICE))
    again = either_kubectl("apply", *there, "-f-", stdin=text(WEB, WEB_SERVICE))
    assert again.split() == ["deployment.apps/web", "unchanged", "service/web", "unchanged"]
    assert either_kubectl("diff", *there, "-f-", stdin=text(WEB, WEB_SERVICE)) == ""
    changed = here(deployment(replicas=0, minReadySeconds=3))
    differs = either_kubectl.run("diff", *there, "-f-", stdin=text(changed))
    assert (differs.returncode, "+  minReadySeconds: 3" in differs.stdout) == (1, True)
    assert "configured" in either_kubectl("apply", *there, "-f-", stdin=text(changed))
    assert "configured" in either_kubectl("apply", *there, "-f-", stdin=text(WEB))
    assert "minReadySeconds" not in either_kubectl("get", *there, "deployment", "web", "-o", "yaml")


def test_server_side_apply_after_client_side_apply(either_kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace)
    either_kubectl("apply", *there, "-f-", stdin=text(WEB))
    server_side = ("apply", *there, "--server-side", "-f-")
    assert "serverside-applied" in either_kubectl(
        *server_side, stdin=text(here(deployment(replicas=0, paused=True)))
    )
    assert "serverside-applied" in either_kubectl(*server_side, stdin=text(WEB))
    live = either_kubectl.json("get", *there, "deployment", "web", "--show-managed-fields")
    assert "paused" not in live["spec"]
    assert "kubectl-client-side-apply" not in [each["manager"] for each in live["metadata"]["managedFields"]]
    other = (*server_side, "--field-manager=other")
    either_kubectl(*other, stdin=text(here(deployment(replicas=0, minReadySeconds=9))))
    said = either_kubectl.fails(*other, stdin=text(here(deployment(replicas=7))))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in said


def test_unknown_fields(either_kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace)
    wrong = text(here(deployment(replicas=0, foo=1)))
    assert either_kubectl.fails("apply", *there, "-f-", stdin=wrong).rstrip() == (
        'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be handled '
        'as a Deployment: strict decoding error: unknown field "spec.foo"'
    )
    warned = either_kubectl.run("apply", *there, "-f-", "--validate=warn", stdin=wrong)
    assert (warned.returncode, warned.stderr) == (0, 'Warning: unknown field "spec.foo"\n')
    ignored = either_kubectl.run("apply", *there, "-f-", "--validate=ignore", stdin=wrong)
    assert (ignored.returncode, ignored.stderr) == (0, "")


def test_invalid_objects(either_kubectl: Kubectl, namespace: str) -> None:
    said = either_kubectl.fails("create", "-n", namespace, "-f-", stdin=text(here(deployment(replicas=-1))))
    assert said.rstrip() == (
        'The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )


def test_patches(either_kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace, "deployment", "web")
    either_kubectl("create", "-n", namespace, "-f-", stdin=text(WEB))
    added = {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}}}
    either_kubectl("patch", *there, "-p", json.dumps(added))
    names = "jsonpath={.spec.template.spec.containers[*].name}"
    assert either_kubectl("get", *there, "-o", names) == "b web"
    either_kubectl("patch", *there, "--type=merge", "-p", json.dumps(added))
    assert either_kubectl("get", *there, "-o", names) == "b"
    operation = [{"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "c"}]
    either_kubectl("patch", *there, "--type=json", "-p", json.dumps(operation))
    assert either_kubectl("get", *there, "-o", names) == "c"
    said = either_kubectl.fails("patch", *there, "-p", '{"spec":{"replicas":"x"}}')
    assert 'is invalid: patch: Invalid value: {"spec":{"replicas":"x"}}: json: cannot unmarshal' in said


def test_edit(either_kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    either_kubectl("create", "-n", namespace, "-f-", stdin=text(WEB))
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/image: web:1/image: web:2/' \"$1\"\n")
    editor.chmod(0o755)
    command = either_kubectl.command("edit", "-n", namespace, "deployment", "web")
    done = subprocess.run(
        command,
        env={**os.environ, "KUBE_EDITOR": str(editor)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "deployment.apps/web edited" in done.stdout


def test_custom_kinds(either_kubectl: Kubectl, namespace: str) -> None:
    schema = {
        "type": "object",
        "description": "What a fruit is like.",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "green"], "default": "red"},
            "weight": {"type": "integer", "minimum": 1},
        },
    }
    there = ("-n", namespace)
    either_kubectl("apply", "-f-", stdin=text(definition(schema)))
    try:
        assert "What a fruit is like." in either_kubectl("explain", "fruits.spec")
        good = text(FRUIT | {"spec": {"weight": 1}})
        assert "created" in either_kubectl("apply", *there, "-f-", stdin=good)
        assert "unchanged" in either_kubectl("apply", *there, "-f-", stdin=good)
        assert either_kubectl("get", *there, "fruit", "apple", "-o", "jsonpath={.spec.colour}") == "red"
        assert "serverside-applied" in either_kubectl("apply", *there, "--server-side", "-f-", stdin=good)
        said = either_kubectl.fails("apply", *there, "-f-", stdin=text(FRUIT | {"spec": {"weight": 0}}))
        assert "spec.weight: Invalid value: 0: spec.weight in body should be greater than or equal to 1" in said
        said = either_kubectl.fails("apply", *there, "-f-", stdin=text(FRUIT | {"spec": {"size": 0}}))
        assert 'strict decoding error: unknown field "spec.size"' in said
    finally:
        either_kubectl("delete", "crd", "fruits.example.com")

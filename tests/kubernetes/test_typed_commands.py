"""What a person types, by a shell that it is typed into."""

from __future__ import annotations

import subprocess

from workshop.kubernetes.manifests import parse
from workshop.kubernetes.typed_commands import restart_commands, rollout_commands, with_context, with_stdin


def entry(address: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "entry", "namespace": "primary"},
        "data": {"address": address, "cost": r"$5 \n `date` $(date) $OTHER"},
    }


def printed(script: str) -> str:
    return subprocess.run(["/bin/sh"], input=script, text=True, capture_output=True, check=True).stdout


def test_objects_arrive_as_they_are() -> None:
    assert parse(printed(with_stdin("cat", [entry("$HOST")])), "") == [entry("$HOST")]


def test_only_the_variables_are_filled_in() -> None:
    typed = with_stdin("cat", [entry("$HOST")], ["HOST", "PORT"])
    assert parse(printed(f"HOST=10.0.0.1\n{typed}"), "") == [entry("10.0.0.1")]


def test_a_context_is_named_where_a_tool_is_called_and_nowhere_else() -> None:
    assert with_context("kubectl get pods", "second") == "kubectl --context second get pods"
    assert with_context("A=$(istioctl version)", "second") == "A=$(istioctl --context second version)"
    assert with_context("kubectl --context third get pods", "second") == "kubectl --context third get pods"
    assert with_context("curl -s http://kubectl ", "second") == "curl -s http://kubectl "
    document = with_stdin("kubectl apply -f -", [{"kind": "kubectl get"}])
    assert with_context(document, "second").count("--context") == 1


def test_deployments_are_restarted_by_namespace_and_waited_for() -> None:
    objects = [
        {"kind": kind, "metadata": {"name": name, "namespace": namespace}}
        for kind, namespace, name in (
            ("Deployment", "a", "one"),
            ("Service", "a", "one"),
            ("Deployment", "b", "two"),
            ("Deployment", "a", "three"),
        )
    ]
    assert list(restart_commands(objects)) == [
        "kubectl rollout restart deployment -n a one three",
        "kubectl rollout restart deployment -n b two",
    ]
    assert list(rollout_commands(objects))[1] == "kubectl rollout status -n b deployment/two"

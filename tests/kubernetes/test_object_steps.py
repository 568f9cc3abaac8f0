"""Steps against the sandbox: what they change, what they leave alone, what they take back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.runs import Recorded, manifests
from workshop.kubernetes.cluster_facts import look
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests, parse
from workshop.kubernetes.object_steps import apply, choice, label_namespaces, restart
from workshop.kubernetes.proofs import exec_check, shows
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT

WORKLOAD = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: NAMESPACE, labels: {app: ratings}}
spec:
  selector: {app: ratings}
  ports: [{name: http, port: 9080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ratings-v1, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: ratings}}
  template:
    metadata: {labels: {app: ratings}}
    spec:
      containers:
        - name: ratings
          image: ${ratings}
          ports: [{containerPort: 9080}]
          resources: {requests: {cpu: 100m}}
"""


@pytest.fixture
def run(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Recorded:
    own = "apiVersion: v1\nkind: Namespace\nmetadata: {name: own-NAMESPACE}\n"
    used = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAMESPACE}\n"
    texts = {"workload": WORKLOAD, "own": own, "used": used, "pulled": WORKLOAD.replace("${ratings}", "nobody/x")}
    return Recorded(
        kubectl, manifests(tmp_path, **{name: text.replace("NAMESPACE", namespace) for name, text in texts.items()})
    )


DEPLOY = apply("Deploy ratings", "workload.yaml")


async def found(run: Recorded, step: Step) -> list[tuple[str, str, Any, Any]]:
    run.facts.forget()
    return [(d.subject, d.path, d.wanted, d.found) for d in (await step.check(run)).differences]


async def test_applied_once_repaired_and_undone(run: Recorded, kubectl: Kubectl, namespace: str) -> None:
    """Drift is named, and only that is repaired; what a killed run applied is still waited for; undone is only what
    is ours."""
    service = (f"Service {namespace}/ratings", "", "present", ABSENT)
    subject, image = f"Deployment {namespace}/ratings-v1", "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3"
    assert await found(run, DEPLOY) == [service, (subject, "", "present", ABSENT)]
    assert (await run.converge(DEPLOY))[0] == "changed"
    deployment = (await look(run, [Place("Deployment", namespace)])).get("Deployment", namespace, "ratings-v1")
    assert deployment
    assert deployment["metadata"]["labels"]["workshop/lab"] == "istio.canary"
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"app": "ratings"}
    assert (await run.converge(DEPLOY))[0] == "unchanged"
    assert run.commands == [f"get pods,deployments.apps,services --namespace={namespace} -o json"]

    await kubectl.call("set", "image", "-n", namespace, "deployment/ratings-v1", "ratings=docker.io/x/pause:3.1")
    await kubectl.call("label", "-n", namespace, "deployment/ratings-v1", "mine=stays")
    path = "spec.template.spec.containers[ratings].image"
    drifted = await found(run, DEPLOY)
    assert (subject, path, image, "docker.io/x/pause:3.1") in drifted
    assert {where for _, where, _, _ in drifted} <= {path}
    await run.converge(DEPLOY)
    live = (await look(run, [Place("Deployment", namespace)])).get("Deployment", namespace, "ratings-v1")
    assert live
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert live["metadata"]["labels"]["mine"] == "stays"

    await kubectl.call("delete", "service", "ratings", "-n", namespace)
    assert await found(run, DEPLOY) == [service]
    assert (await run.converge(DEPLOY))[0] == "changed"

    await kubectl.call("delete", "pods", "-n", namespace, "--all", "--wait=false")
    await kubectl.apply(run.use(Manifests).load("istio.canary", "workload.yaml"))
    await run.converge(DEPLOY)
    live = await kubectl.get_json("deployment", "ratings-v1", "-n", namespace)
    assert live["status"]["availableReplicas"] == 1

    await kubectl.call("create", "configmap", "theirs", "-n", namespace)
    assert await run.take_back(DEPLOY) == "changed"
    snapshot = await look(run, [Place(kind, namespace) for kind in ("Deployment", "Pod", "ConfigMap")])
    assert snapshot.all("Deployment", namespace) == []
    assert snapshot.all("Pod", namespace) == []
    assert snapshot.get("ConfigMap", namespace, "theirs")
    assert await run.take_back(DEPLOY) == "unchanged"


async def test_what_does_not_start_is_said(run: Recorded, namespace: str) -> None:
    with pytest.raises(WorkshopError) as failed:
        await run.converge(apply("Deploy what nobody has", "pulled.yaml", seconds=1.5))
    assert "ratings-v1 0/1 (" in failed.value.came_back
    assert "ImagePull" in failed.value.came_back
    assert failed.value.next_command == run.use(Kubectl).typed(f"kubectl get pods -n {namespace}")


async def test_a_namespace_of_ours_goes_and_one_that_was_there_stays(
    run: Recorded, kubectl: Kubectl, namespace: str
) -> None:
    step = apply("Make namespaces", "own.yaml", "used.yaml")
    assert (await run.converge(step))[0] == "changed"
    assert await run.take_back(step) == "changed"
    names = (await kubectl.call("get", "namespaces", "-o", "name")).split()
    assert f"namespace/{namespace}" in names
    assert f"namespace/own-{namespace}" not in names


async def test_what_is_on_its_way_out_is_made_anew(run: Recorded, kubectl: Kubectl, namespace: str) -> None:
    await run.converge(DEPLOY)
    await kubectl.call("annotate", "service", "ratings", "-n", namespace, "old=yes")
    held = '{"metadata": {"finalizers": ["example.org/held"]}}'
    await kubectl.call("patch", "service", "ratings", "-n", namespace, "--type=merge", "-p", held)
    await kubectl.call("delete", "service", "ratings", "-n", namespace, "--wait=false")
    ((subject, path, _, _),) = await found(run, DEPLOY)
    assert (subject, path) == (f"Service {namespace}/ratings", "metadata.deletionTimestamp")
    released = '{"metadata": {"finalizers": null}}'
    await kubectl.call("patch", "service", "ratings", "-n", namespace, "--type=merge", "-p", released)
    await run.converge(DEPLOY)
    live = await kubectl.get_json("service", "ratings", "-n", namespace)
    assert "annotations" not in live["metadata"]


async def test_labels_of_namespaces(run: Recorded, kubectl: Kubectl, namespace: str) -> None:
    step = label_namespaces("Enable injection", namespace, labels={"istio-injection": "enabled"})
    subject, path = f"Namespace {namespace}", "metadata.labels[istio-injection]"
    assert await found(run, step) == [(subject, path, "enabled", ABSENT)]
    assert (await run.converge(step))[0] == "changed"
    assert (await run.converge(step))[0] == "unchanged"
    await kubectl.call("label", "namespace", namespace, "istio-injection=disabled", "--overwrite")
    assert await found(run, step) == [(subject, path, "enabled", "disabled")]
    assert await run.take_back(step) == "changed"
    assert await run.take_back(step) == "unchanged"
    live = await kubectl.get_json("namespace", namespace)
    assert live["metadata"]["labels"] == {"kubernetes.io/metadata.name": namespace}


async def test_labelling_a_namespace_that_is_not_there(run: Recorded) -> None:
    step = label_namespaces("Enable injection", "nowhere", labels={"a": "b"})
    assert await found(run, step) == [("Namespace nowhere", "", "present", ABSENT)]
    assert await run.take_back(step) == "unchanged"
    with pytest.raises(WorkshopError, match="nowhere"):
        await step.apply(run)


async def test_an_option_chooses_the_value(kubectl: Kubectl, namespace: str) -> None:
    step = label_namespaces(
        "Set it", namespace, labels={"istio-injection": choice("injection", "enabled", "disabled")}
    )
    assert "istio-injection=enabled" in step.explain(Recorded(kubectl)).commands[0]
    run = Recorded(kubectl, options={"injection": "disabled"})
    assert (await run.converge(step))[0] == "changed"
    with pytest.raises(UsageError, match="one of enabled, disabled"):
        await step.check(Recorded(kubectl, options={"injection": "maybe"}))


async def test_a_command_inside_a_pod_is_the_proof(run: Recorded, namespace: str) -> None:
    """One that does not come says what came instead."""
    proof = exec_check(
        "curl -sS http://ratings:9080/ratings/0",
        expect=r'"Reviewer1": ?(\d)',
        namespace=namespace,
        workload="deploy/ratings-v1",
        container="ratings",
    )
    nothing = shows(f"get services -n {namespace} -l app=nobody")
    step = apply("Deploy ratings", "workload.yaml", proofs=(shows(f"get service -n {namespace}"), nothing, proof))
    _, verdict = await run.converge(step)
    assert verdict
    assert (verdict.kind, verdict.reason) == ("pass", "deploy/ratings-v1 got: 5")
    (table,) = run.told
    assert table.splitlines()[0].split()[:2] == ["NAME", "TYPE"]
    assert step.explain(run).commands[-1] == proof.commands(run)[0]

    other = exec_check("echo no stars", "stars: 5", namespace, "deploy/ratings-v1", "ratings", seconds=0.5)
    with pytest.raises(WorkshopError) as failed:
        await other.prove(run)
    assert "no stars" in failed.value.came_back
    assert " exec -n " in failed.value.next_command


async def test_explain_shows_the_yaml_and_the_commands(run: Recorded, namespace: str) -> None:
    explained = DEPLOY.explain(run)
    first, *lines, last = explained.commands[0].splitlines()
    assert (first, last) == ("kubectl apply -f - <<'EOF'", "EOF")
    assert parse("\n".join(lines), "typed") == await DEPLOY.objects(run)
    assert explained.commands[1] == f"kubectl rollout status -n {namespace} deployment/ratings-v1"
    assert DEPLOY.explain_undo(run).commands[0].startswith("kubectl delete --ignore-not-found -f ")
    assert run.commands == []


async def test_a_restart_is_explained_as_one(run: Recorded, namespace: str) -> None:
    explained = restart("Restart ratings", "workload.yaml", ready="2/2").explain(run)
    assert explained.commands == (
        f"kubectl rollout restart deployment -n {namespace} ratings-v1",
        f"kubectl rollout status -n {namespace} deployment/ratings-v1",
    )

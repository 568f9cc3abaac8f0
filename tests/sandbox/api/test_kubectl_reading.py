"""kubectl reads, watches and describes what is there, in both supported versions."""

from __future__ import annotations

import yaml

from tests.kit.sandbox import Kubectl

from .inside import DEPLOYMENT, Eventually, Inside, config_map, header


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


def test_what_is_not_served_is_refused_by_name(inside: Inside) -> None:
    claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
    assert "the sandbox has no resourceclaims in resource.k8s.io/v1" in inside.fails("get", "--raw", claims)
    eviction = f"/api/v1/namespaces/{inside.namespace}/pods/web/eviction"
    assert "the sandbox has no pods/eviction" in inside.fails("get", "--raw", eviction)
    assert "the sandbox has no resource.k8s.io/v1" in inside.fails("get", "--raw", "/apis/resource.k8s.io/v1")
    older = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    assert "horizontalpodautoscalers in autoscaling/v1, only in autoscaling/v2" in inside.fails(
        "get", "--raw", older
    )


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
    assert "doesn't have a resource type" in inside.fails("get", "events.events.k8s.io")
    assert "Normal" in inside("get", "events", "--field-selector=involvedObject.kind=Deployment,type=Normal")


def test_wait(inside: Inside) -> None:
    inside("create", "-f", "-", stdin=DEPLOYMENT)
    assert "condition met" in inside("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    assert "condition met" in inside("wait", "--for=jsonpath={.spec.replicas}=0", "deployment/web", "--timeout=60s")
    assert "timed out" in inside.fails("wait", "--for=condition=Never", "deployment/web", "--timeout=300ms")
    waiting = inside.kubectl.start(
        *("wait", "--for=delete", "deployment/web", "-n", inside.namespace, "--timeout=60s")
    )
    inside("delete", "deployment", "web")
    assert waiting.wait(timeout=60) == 0
    assert "condition met" in inside.kubectl(
        "wait", "--for=jsonpath={.status.phase}=Active", f"namespace/{inside.namespace}", "--timeout=5s"
    )


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

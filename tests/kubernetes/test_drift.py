"""What differs from what is wanted, field by field and in words; and what somebody has added by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runs import SERVICE, Recorded, manifests
from workshop.kubernetes.cluster_facts import Snapshot
from workshop.kubernetes.drift import added, appended, describe, differences, without
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import parse
from workshop.kubernetes.object_steps import Apply, apply
from workshop.runbook.results import ABSENT, Difference


def deployment(**container: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "web", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "template": {"spec": pod}},
    }


def found(wanted: dict[str, Any], live: dict[str, Any] | None) -> list[tuple[str, Any, Any]]:
    return [(d.path, d.wanted, d.found) for d in differences("it", wanted, live)]


def test_what_the_cluster_adds_is_no_difference() -> None:
    live = deployment(image="a", terminationMessagePath="/dev/termination-log")
    live["metadata"] |= {"uid": "1", "labels": {"app": "web", "more": "x"}}
    live["spec"] |= {"strategy": {"type": "RollingUpdate"}}
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "b"})
    live["status"] = {"replicas": 1}
    assert found(deployment(image="a"), live) == []


def test_an_object_that_is_not_there() -> None:
    assert found(deployment(), None) == [("", "present", ABSENT)]


def test_fields_are_named_by_their_path() -> None:
    live = deployment(image="b")
    live["spec"]["replicas"] = 3
    live["metadata"]["labels"] = {}
    assert found(deployment(image="a"), live) == [
        ("metadata.labels.app", "web", ABSENT),
        ("spec.replicas", 1, 3),
        ("spec.template.spec.containers[web].image", "a", "b"),
    ]


def test_keys_with_dots_are_in_brackets() -> None:
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": {"workshop/lab": "a", "x.y": "b"}}}
    live: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    assert [path for path, _, _ in found(wanted, live)] == ["metadata.labels"]
    live["metadata"]["labels"] = {}
    assert [path for path, _, _ in found(wanted, live)] == [
        "metadata.labels[workshop/lab]",
        "metadata.labels[x.y]",
    ]


@pytest.mark.parametrize(
    ("wanted", "live"),
    [("100m", "0.1"), (0.1, "100m"), ("1", 1), ("64Mi", "67108864"), ("1G", "1000M"), ("1e3", "1k")],
)
def test_equal_quantities(wanted: object, live: object) -> None:
    resources = {"limits": {"cpu": wanted}}
    assert found(deployment(resources=resources), deployment(resources={"limits": {"cpu": live}})) == []


@pytest.mark.parametrize(("wanted", "live"), [("100m", "0.2"), ("64Mi", "64M"), ("lots", "many")])
def test_other_quantities(wanted: object, live: object) -> None:
    resources = {"limits": {"cpu": wanted}}
    assert found(deployment(resources=resources), deployment(resources={"limits": {"cpu": live}})) == [
        ("spec.template.spec.containers[web].resources.limits.cpu", wanted, live)
    ]


def test_quantities_are_only_that_where_resources_are() -> None:
    args = deployment(args=["1000m"])
    assert found(args, deployment(args=["1"])) == [("spec.template.spec.containers[web].args[0]", "1000m", "1")]


def test_a_port_is_the_same_as_number_and_as_text() -> None:
    wanted = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
    live = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": "8080"}]}}
    assert found(wanted, live) == []


def test_ports_are_told_apart_by_their_protocol() -> None:
    def service(*ports: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Service", "spec": {"ports": list(ports)}}

    udp, tcp = {"port": 53, "protocol": "UDP", "name": "dns"}, {"port": 53, "name": "dns-tcp"}
    assert found(service(udp, tcp), service({**tcp, "protocol": "TCP"}, udp)) == []
    assert found(service(tcp), service(udp)) == [("spec.ports[53]", tcp, ABSENT)]


def test_a_list_without_keys_has_one_length() -> None:
    assert found(deployment(args=["a"]), deployment(args=["a", "b"])) == [
        ("spec.template.spec.containers[web].args[1]", ABSENT, "b")
    ]
    assert found(deployment(args=["a", "b"]), deployment(args=["a"])) == [
        ("spec.template.spec.containers[web].args[1]", "b", ABSENT)
    ]


def test_what_is_empty_may_be_missing() -> None:
    assert found(deployment(env=[], securityContext={}), deployment()) == []


def test_true_is_not_one() -> None:
    assert found(deployment(stdin=True), deployment(stdin=1)) != []


def virtual_service(*http: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews"},
        "spec": {"hosts": ["reviews"], "http": list(http), **spec},
    }


def test_istio_specs_have_nothing_more() -> None:
    plain = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    delayed = {**plain, "fault": {"delay": {"fixedDelay": "7s"}}}
    assert found(virtual_service(plain), virtual_service(plain)) == []
    assert found(virtual_service(plain), virtual_service(delayed)) == [
        ("spec.http[0].fault", ABSENT, {"delay": {"fixedDelay": "7s"}})
    ]
    assert found(virtual_service(plain), virtual_service(delayed, plain)) == [
        ("spec.http[0].fault", ABSENT, {"delay": {"fixedDelay": "7s"}}),
        ("spec.http[1]", ABSENT, plain),
    ]
    assert found(virtual_service(plain), virtual_service(plain, gateways=["g"])) == [
        ("spec.gateways", ABSENT, ["g"])
    ]


def test_what_stands_behind_all_that_is_wanted_is_by_hand_and_no_difference() -> None:
    plain, more = {"route": [{"destination": {"host": "reviews"}}]}, {"directResponse": {"status": 418}}
    there = virtual_service(plain, more)
    assert found(virtual_service(plain), there) == []
    assert appended("V", virtual_service(plain), there) == (Difference("V", "spec.http[1]", ABSENT, more),)
    assert found(virtual_service(plain), virtual_service(more, plain)) != []
    assert appended("V", virtual_service(plain), virtual_service(more, plain)) == ()


def split(**weights: int) -> dict[str, Any]:
    return {"route": [{"destination": {"host": "reviews", "subset": s}, "weight": w} for s, w in weights.items()]}


def test_a_changed_split_is_told_by_subset() -> None:
    assert found(virtual_service(split(v1=50, v3=50)), virtual_service(split(v1=60, v3=40))) == [
        ("spec.http[0].route[v1].weight", 50, 60),
        ("spec.http[0].route[v3].weight", 50, 40),
    ]
    assert found(virtual_service(split(v1=50, v3=50)), virtual_service(split(v3=50, v2=50))) == [
        ("spec.http[0].route[v1]", split(v1=50)["route"][0], ABSENT),
        ("spec.http[0].route[v2]", ABSENT, split(v2=50)["route"][0]),
    ]


def test_destinations_that_subsets_do_not_tell_apart_are_told_by_position() -> None:
    twice = {"route": [*split(v1=50)["route"], *split(v1=50)["route"]]}
    assert [path for path, _, _ in found(virtual_service(split(v1=50)), virtual_service(twice))] == [
        "spec.http[0].route[1]"
    ]
    whole = {"route": [{"destination": {"host": "reviews"}, "weight": 100}]}
    assert [path for path, _, _ in found(virtual_service(split(v1=100)), virtual_service(whole))] == [
        "spec.http[0].route[0].destination.subset"
    ]


LIMIT = "spec.trafficPolicy.connectionPool.tcp.maxConnections"


@pytest.mark.parametrize(
    ("path", "wanted", "found", "said"),
    [
        (LIMIT, 1, 2, "has tcp.maxConnections 2, not 1"),
        (LIMIT, 1, ABSENT, "has no tcp.maxConnections"),
        (LIMIT, ABSENT, 2, "has tcp.maxConnections 2 as well"),
        ("spec.http[0].fault", ABSENT, {"delay": {}}, "has http[0].fault as well"),
        ("spec.http[0].fault", "none", {"delay": {}}, "has another http[0].fault"),
        ("metadata.labels[a.io/b]", "x", "y", "has metadata.labels[a.io/b] y, not x"),
        ("", "present", ABSENT, "is not there"),
        ("", ABSENT, "present", "is there as well"),
    ],
)
def test_what_is_found_and_what_is_wanted(path: str, wanted: Any, found: Any, said: str) -> None:
    assert describe([Difference("Kind a/b", path, wanted, found)]) == f"Kind a/b {said}"


def test_of_many_fields_some_are_named() -> None:
    many = [Difference("Kind a/b", f"data.{name}", 1, 2) for name in "abcde"]
    said = describe([*many, Difference("Kind a/c", "", ABSENT, "present")])
    assert said == (
        "Kind a/b has data.a 2, not 1, has data.b 2, not 1, has data.c 2, not 1, and 2 more; "
        "Kind a/c is there as well"
    )


OBJECTS = (
    f"{SERVICE}---"
    + """
apiVersion: v1
kind: ConfigMap
metadata: {name: ratings, namespace: NAMESPACE}
data: {stars: black}
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
          env: [{name: MODE, value: quick}]
          ports: [{containerPort: 9080}]
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
"""
)
POD = "spec.template.spec"
RATINGS = f"{POD}.containers[ratings]"
CURL = "docker.io/curlimages/curl:8.16.0"
IMAGE = "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3"


def patch(what: str, **spec: Any) -> tuple[str, ...]:
    return ("patch", what, "-p", json.dumps(spec))


def in_pods(**spec: Any) -> tuple[str, ...]:
    return patch("deployment/ratings-v1", spec={"template": {"spec": spec}})


def on_pods(**metadata: Any) -> tuple[str, ...]:
    return patch("deployment/ratings-v1", spec={"template": {"metadata": metadata}})


def limited(what: str) -> tuple[str, ...]:
    return ("set", "resources", "deployment/ratings-v1", f"--limits={what}")


TYPED: list[tuple[tuple[str, ...], str, str]] = [
    (("set", "env", "deployment/ratings-v1", "X=Y"), "Deployment", f"{RATINGS}.env[X]"),
    (
        limited("cpu=1"),
        "Deployment",
        f"{RATINGS}.resources.limits.cpu",
    ),
    (in_pods(containers=[{"name": "more", "image": IMAGE}]), "Deployment", f"{POD}.containers[more]"),
    (
        in_pods(containers=[{"name": "ratings", "ports": [{"containerPort": 9999}]}]),
        "Deployment",
        f"{RATINGS}.ports[9999]",
    ),
    (in_pods(containers=[{"name": "ratings", "args": ["--slow"]}]), "Deployment", f"{RATINGS}.args"),
    (in_pods(nodeSelector={"kubernetes.io/os": "linux"}), "Deployment", f"{POD}.nodeSelector[kubernetes.io/os]"),
    (in_pods(volumes=[{"name": "more", "emptyDir": {}}]), "Deployment", f"{POD}.volumes[more]"),
    (
        on_pods(annotations={"proxy.istio.io/config": "{}"}),
        "Deployment",
        "spec.template.metadata.annotations[proxy.istio.io/config]",
    ),
    (on_pods(labels={"version": "v9"}), "Deployment", "spec.template.metadata.labels.version"),
    (patch("service/ratings", spec={"ports": [{"name": "more", "port": 81}]}), "Service", "spec.ports[81]"),
    (patch("service/ratings", spec={"selector": {"version": "v9"}}), "Service", "spec.selector.version"),
    (patch("configmap/ratings", data={"more": "x"}), "ConfigMap", "data.more"),
]


async def test_what_is_typed_is_named_left_alone_and_no_change(
    kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    run = Recorded(kubectl, manifests(tmp_path, objects=OBJECTS.replace("NAMESPACE", namespace)))
    step = apply("Deploy ratings", "objects.yaml")
    assert isinstance(step, Apply)
    await run.converge(step)
    await kubectl.restart(namespace, ["ratings-v1"])  # leaves an annotation, and changes nothing
    for command, _, _ in TYPED:
        await kubectl.call(*command, "-n", namespace)
    # With no pods nothing has to become ready, which some of this would keep from it.
    await kubectl.call("scale", "-n", namespace, "deployment/ratings-v1", "--replicas=0")
    run.facts.forget()
    check = await step.check(run)
    names = {"Deployment": "ratings-v1"}
    expected = {(f"{kind} {namespace}/{names.get(kind, 'ratings')}", path) for _, kind, path in TYPED}
    assert {(item.subject, item.path) for item in check.added} == expected
    assert [item.path for item in check.differences if item.path.startswith("spec")] == ["spec.replicas"]
    await kubectl.apply(await step.objects(run))
    run.facts.forget()
    left = {(item.subject, item.path) for item in (await step.check(run)).added}
    # A Service's selector is merged as a whole: only where the Service is applied at all.
    assert left == expected - {(f"Service {namespace}/ratings", "spec.selector.version")}


async def test_a_second_container_is_ready_as_well_and_replaces_no_pod(
    kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    plain = OBJECTS.replace("NAMESPACE", namespace)
    run = Recorded(kubectl, manifests(tmp_path, objects=plain))
    step = apply("Deploy ratings", "objects.yaml", ready="1/1")
    await run.converge(step)
    await kubectl.call(
        *in_pods(containers=[{"name": "more", "image": CURL, "command": ["sleep", "1d"]}]), "-n", namespace
    )
    await kubectl.call("rollout", "status", "deployment/ratings-v1", "-n", namespace, "--timeout=60s")
    run.facts.forget()
    check = await step.check(run)
    assert (check.differences, len(check.added)) == ((), 1)
    await kubectl.call("set", "env", "deployment/ratings-v1", "MODE=slow", "-n", namespace)
    run.facts.forget()
    await run.converge(step)  # what differs is put right, and the pods that come of it are waited for
    run.facts.forget()
    assert [item.path for item in (await step.check(run)).added] == [f"{POD}.containers[more]"]


REAL = """
apiVersion: v1
kind: Service
metadata:
  annotations: {somebody.example.com/id: "1"}
  labels: {app: details, app.kubernetes.io/part-of: mesh-workshop, workshop/lab: istio.bookinfo}
  name: details
  namespace: bookinfo
spec:
  clusterIP: 10.96.11.63
  clusterIPs: [10.96.11.63]
  internalTrafficPolicy: Cluster
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  ports: [{name: http, port: 9080, protocol: TCP, targetPort: 9080, nodePort: 30080}]
  selector: {app: details}
  sessionAffinity: None
  type: ClusterIP
---
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations: {deployment.kubernetes.io/revision: "1"}
  generation: 1
  labels: {app: details, app.kubernetes.io/part-of: mesh-workshop, version: v1, workshop/lab: istio.bookinfo}
  name: details-v1
  namespace: bookinfo
spec:
  progressDeadlineSeconds: 600
  replicas: 1
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: details, version: v1}}
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}, type: RollingUpdate}
  template:
    metadata:
      annotations: {kubectl.kubernetes.io/restartedAt: "2026-11-28T03:16:43Z"}
      labels: {app: details, version: v1}
    spec:
      containers:
        - image: docker.io/istio/examples-bookinfo-details-v1:1.20.3
          imagePullPolicy: IfNotPresent
          name: details
          ports: [{containerPort: 9080, protocol: TCP}]
          resources: {}
          terminationMessagePath: /dev/termination-log
          terminationMessagePolicy: File
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      serviceAccount: bookinfo-details
      serviceAccountName: bookinfo-details
      terminationGracePeriodSeconds: 30
status: {availableReplicas: 1, conditions: [{status: "True", type: Available}], terminatingReplicas: 0}
"""
"""As a real Kubernetes 1.36.1 with Istio 1.31.1 had them (shared/real/objects/bookinfo-deploy-svc.yaml)."""


def test_what_a_real_cluster_makes_of_the_labs_objects_is_not_named() -> None:
    labs = Path(__file__).parents[2] / "labs" / "istio" / "bookinfo-details.yaml"
    wanted = {obj["kind"]: obj for obj in parse(labs.read_text(), "details")}
    live = parse(REAL, "real")
    snapshot = Snapshot(live, istio=True)
    for obj in live:
        assert added(wanted[obj["kind"]], snapshot) == ()


def test_of_a_namespace_s_labels_those_that_change_its_pods_are_named() -> None:
    def namespace(**labels: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bookinfo", "labels": labels}}

    found = {"istio.io/rev": "canary", "istio-injection": "enabled", "kubernetes.io/metadata.name": "bookinfo"}
    snapshot = Snapshot([namespace(**found, owner="me")], istio=True)
    assert [item.path for item in added(namespace(), snapshot)] == ["metadata.labels[istio.io/rev]"]


def rule(name: str, ours: bool, **spec: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "mesh-workshop", "workshop/lab": "istio.canary"} if ours else {}
    kind = "DestinationRule" if "host" in spec else "VirtualService"
    namespace, _, short = name.partition("/")
    metadata = {"name": short, "namespace": namespace, "labels": labels}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("ours", "beside", "named"),
    [
        ({"hosts": ["reviews"]}, {"hosts": ["reviews.bookinfo.svc.cluster.local"]}, True),
        ({"hosts": ["reviews"]}, {"hosts": ["ratings"]}, False),
        ({"hosts": ["*"], "gateways": ["door"]}, {"hosts": ["*"], "gateways": ["bookinfo/door"]}, True),
        ({"hosts": ["*"], "gateways": ["door"]}, {"hosts": ["*"], "gateways": ["another"]}, False),
        ({"hosts": ["reviews"]}, {"hosts": ["reviews"], "gateways": ["door"]}, False),
        ({"host": "reviews"}, {"host": "reviews"}, True),
        ({"host": "reviews"}, {"hosts": ["reviews"]}, False),
    ],
)
def test_somebody_s_own_rule_about_the_same_host_is_named(
    ours: dict[str, Any], beside: dict[str, Any], named: bool
) -> None:
    wanted, own = rule("bookinfo/reviews", True, **ours), rule("bookinfo/mine", False, **beside)
    others = rule("bookinfo/another", True, **ours)
    found = added(wanted, Snapshot([wanted, own, others], istio=True))
    assert [item.subject for item in found] == [f"{own['kind']} bookinfo/mine"] * named


@pytest.mark.parametrize("spec", [{"hosts": ["reviews"]}, {"host": "reviews"}])
def test_a_rule_about_a_service_of_ours_is_named(spec: dict[str, Any]) -> None:
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": "reviews"}},
    }
    own = rule("bookinfo/mine", False, **spec)
    found = added(service, Snapshot([service, own], istio=True))
    assert [item.subject for item in found] == [f"{own['kind']} bookinfo/mine"]


def test_in_the_mesh_a_rule_of_another_namespace_is_not_named() -> None:
    host = "reviews.bookinfo.svc.cluster.local"
    wanted, own = rule("bookinfo/reviews", True, hosts=["reviews"]), rule("default/mine", False, hosts=[host])
    assert added(wanted, Snapshot([wanted, own], istio=True)) == ()


def test_what_is_added_can_be_taken_away_by_the_path_that_names_it() -> None:
    containers = [{"name": "web", "env": [{"name": "A"}, {"name": "B"}]}, {"name": "mine"}]
    live = {
        "metadata": {"annotations": {"a/b": "1", "c": "2"}},
        "spec": {
            "template": {"spec": {"containers": containers}},
            "ports": [{"port": 80}, {"port": 81}],
            "x": [1, 2],
        },
    }
    paths = (
        "metadata.annotations[a/b]",
        "spec.template.spec.containers[web].env[B]",
        "spec.template.spec.containers[mine]",
        "spec.template.spec.containers[gone].env[B]",
        "spec.ports[81]",
        "spec.x[1]",
        "data.gone",
    )
    assert without(live, paths) == {
        "metadata": {"annotations": {"c": "2"}},
        "spec": {
            "template": {"spec": {"containers": [{"name": "web", "env": [{"name": "A"}]}]}},
            "ports": [{"port": 80}],
            "x": [1],
        },
    }
    assert len(containers) == 2

"""Which new pods get a sidecar, and what they look like then. The names and shapes are those of a real mesh
(shared/real/objects/pod-ratings.yaml)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.mesh import injection
from sandbox.mesh.istio_annotations import unsupported
from tests.kit.cases import content_of

from .webhook_world import WebhookCluster

CASES = Path(__file__).parent / "cases"
REAL: list[Object] = content_of(CASES / "injected_pods.yaml")
ANNOTATIONS: list[dict[str, Any]] = content_of(CASES / "sidecar_annotations.yaml")
MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
LABEL = "sidecar.istio.io/inject"


def pod(labels: Mapping[str, str] | None = None, home: str = "shop", **spec: object) -> Object:
    metadata = {"name": "p", "namespace": home, "labels": dict(labels or {})}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec}}


@pytest.fixture
def cluster() -> WebhookCluster:
    made = WebhookCluster()
    made.configured()
    made.istiod_answers()
    return made


def namespace(cluster: WebhookCluster, name: str = "shop", **labels: str) -> None:
    wanted = {key.replace("_", "-"): value for key, value in labels.items()}
    if cluster.find("namespaces", None, name) is None:
        cluster.create("namespaces", {"metadata": {"name": name}}, manager="test")
    cluster.edit("namespaces", None, name, lambda obj: obj["metadata"].update(labels=wanted), manager="test")


def containers(pod: Object, of: str = "containers") -> list[str]:
    return [container["name"] for container in pod["spec"].get(of) or ()]


@pytest.mark.parametrize(
    ("home", "name", "labels", "injected"),
    [
        ({}, "shop", {}, False),
        ({}, "shop", {LABEL: "true"}, True),
        ({}, "shop", {"istio.io/rev": "default"}, True),
        ({"istio_injection": "enabled"}, "shop", {}, True),
        ({"istio_injection": "enabled"}, "shop", {LABEL: "false"}, False),
        ({"istio_injection": "disabled"}, "shop", {}, False),
        ({"istio_injection": "disabled"}, "shop", {LABEL: "true"}, False),
        ({"istio.io/rev": "default"}, "shop", {}, True),
        ({"istio.io/rev": "other"}, "shop", {}, False),
        ({"istio_injection": "enabled"}, "kube-system", {}, False),
    ],
)
def test_who_is_injected(
    cluster: WebhookCluster, home: dict[str, str], name: str, labels: dict[str, str], injected: bool
) -> None:
    namespace(cluster, name, **home)
    made = cluster.create("pods", pod(labels, name), manager="test")
    assert containers(made, "initContainers") == (["istio-init", "istio-proxy"] if injected else [])


def test_pods_on_the_hosts_network_and_those_that_were_injected_are_left_alone() -> None:
    assert not injection.wanted(pod(hostNetwork=True))
    made = pod()
    assert injection.wanted(made)
    injection.inject(made)
    assert not injection.wanted(made)


def test_what_is_added() -> None:
    own = {"name": "prepare", "image": "app:1"}
    made = pod({"app": "reviews", "version": "v2"}, initContainers=[own], volumes=[{"name": "work"}])
    injection.inject(made, {"hub": "example.org/istio", "tag": "1"})
    assert containers(made) == ["app"]
    assert containers(made, "initContainers") == ["istio-init", "istio-proxy", "prepare"]
    proxy = made["spec"]["initContainers"][1]
    assert proxy["image"] == "example.org/istio/proxyv2:1"
    assert proxy["restartPolicy"] == "Always"
    assert proxy["startupProbe"] == {
        "failureThreshold": 600,
        "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
        "periodSeconds": 1,
        "timeoutSeconds": 3,
    }
    mounted = {mount["name"] for mount in proxy["volumeMounts"]}
    assert mounted == {volume["name"] for volume in made["spec"]["volumes"]} - {"work"}
    labels, annotations = made["metadata"]["labels"], made["metadata"]["annotations"]
    assert labels["service.istio.io/canonical-name"] == "reviews"
    assert labels["service.istio.io/canonical-revision"] == "v2"
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert annotations["kubectl.kubernetes.io/default-container"] == "app"
    assert annotations["sidecar.istio.io/status"] == (
        '{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["workload-socket",'
        '"credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token",'
        '"istiod-ca-cert","istio-ca-crl"],"imagePullSecrets":null,"revision":"default"}'
    )


NOT_OURS = {
    "spec.nodeName": "the scheduler's",
    "spec.preemptionPolicy": "an admission plugin's: there are no priorities here",
    "spec.priority": "the same",
    "spec.tolerations": "an admission plugin's: there are no taints here",
}
"""What of a real injected pod is not there in a pod that was just made, and why."""
API_ACCESS = "kube-api-access-"
"""The volume that an admission plugin mounts into every container; here there is none."""


def differences(real: Any, ours: Any, path: str = "") -> Iterator[str]:
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in real.keys() | ours.keys():
            below = f"{path}[{key}]" if "/" in key or "." in key else f"{path}.{key}".strip(".")
            yield from differences(real.get(key), ours.get(key), below)
    elif isinstance(real, list) and isinstance(ours, list):
        real = [one for one in real if not (isinstance(one, dict) and str(one.get("name")).startswith(API_ACCESS))]
        if len(real) != len(ours):
            yield f"{path}: {len(real)} and {len(ours)}"
        for index, (theirs, mine) in enumerate(zip(real, ours, strict=False)):
            yield from differences(theirs, mine, f"{path}[{index}]")
    elif real != ours and not (real in ([], None) and ours in ([], None)):
        yield path


def without_tokens(spec: Object) -> Object:
    """Lists that hold nothing but the token's mount are not there."""
    made = {key: value for key, value in spec.items() if key != "volumeMounts"}
    mounts = [one for one in spec.get("volumeMounts") or () if not one["name"].startswith(API_ACCESS)]
    return {**made, "volumeMounts": mounts} if mounts else made


def before_injection(real: Object) -> Object:
    """What the ReplicaSet wanted."""
    metadata, spec = real["metadata"], real["spec"]
    asked = ("proxy.istio.io/config", "sidecar.istio.io/statsInclusionPrefixes")
    labels = {key: value for key, value in metadata["labels"].items() if "istio.io" not in key}
    return {
        "metadata": {
            "generateName": metadata["generateName"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {key: metadata["annotations"][key] for key in asked if key in metadata["annotations"]},
            "ownerReferences": metadata["ownerReferences"],
        },
        "spec": {
            "containers": [without_tokens(one) for one in spec["containers"]],
            "serviceAccountName": spec["serviceAccountName"],
        },
    }


@pytest.mark.parametrize("real", REAL, ids=lambda real: str(real["metadata"]["labels"]["app"]))
def test_an_injected_pod_is_field_by_field_the_real_one(cluster: WebhookCluster, real: Object) -> None:
    namespace(cluster, real["metadata"]["namespace"], istio_injection="enabled")
    made = cluster.create("pods", before_injection(real), manager="test")
    ours = {"metadata": {key: made["metadata"][key] for key in real["metadata"]}, "spec": made["spec"]}
    theirs = {**real, "spec": {**real["spec"]}}
    for kind in ("containers", "initContainers"):
        theirs["spec"][kind] = [without_tokens(one) for one in real["spec"][kind]]
    assert set(differences(theirs, ours)) == NOT_OURS.keys()


def injected(annotations: Mapping[str, str] | None = None, **container: Any) -> Object:
    made = pod({"app": "web"})
    made["metadata"]["annotations"] = dict(annotations or {})
    made["spec"]["containers"][0] |= container
    injection.inject(made)
    return made


def variable(made: Object, name: str) -> str | None:
    found = {one["name"]: one.get("value") for one in made["spec"]["initContainers"][1]["env"]}
    return found.get(name)


def test_probes_go_through_the_agent() -> None:
    made = injected(
        ports=[{"name": "http", "containerPort": 8080}],
        readinessProbe={"httpGet": {"path": "/ok", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 2},
        livenessProbe={"tcpSocket": {"port": 9000}, "periodSeconds": 5},
        startupProbe={"exec": {"command": ["true"]}},
    )
    (app,) = made["spec"]["containers"]
    assert app["readinessProbe"] == {
        "httpGet": {"path": "/app-health/app/readyz", "port": 15020, "scheme": "HTTP"},
        "timeoutSeconds": 2,
    }
    assert app["livenessProbe"] == {
        "httpGet": {"path": "/app-health/app/livez", "port": 15020, "scheme": "HTTP"},
        "periodSeconds": 5,
    }
    assert app["startupProbe"] == {"exec": {"command": ["true"]}}
    assert variable(made, "ISTIO_KUBE_APP_PROBERS") == (
        '{"/app-health/app/livez":{"tcpSocket":{"port":9000}},'
        '"/app-health/app/readyz":{"httpGet":{"path":"/ok","port":8080,"scheme":"HTTP"},"timeoutSeconds":2}}'
    )


def test_probes_stay_as_they_are_where_that_is_asked_for() -> None:
    probe = {"httpGet": {"path": "/ok", "port": 8080}}
    made = injected({"sidecar.istio.io/rewriteAppHTTPProbers": "false"}, readinessProbe=dict(probe))
    assert made["spec"]["containers"][0]["readinessProbe"] == probe
    assert variable(made, "ISTIO_KUBE_APP_PROBERS") is None


def test_prometheus_is_sent_to_the_agent_who_asks_the_application() -> None:
    asked = {"prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/mine"}
    made = injected(asked)
    annotations = made["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == ("15020", "/stats/prometheus")
    said = variable(made, "ISTIO_PROMETHEUS_ANNOTATIONS")
    assert said == '{"scrape":"true","path":"/mine","port":"9100"}'
    alone = injected({**asked, "prometheus.istio.io/merge-metrics": "false"})
    assert alone["metadata"]["annotations"]["prometheus.io/port"] == "9100"
    assert variable(alone, "ISTIO_PROMETHEUS_ANNOTATIONS") is None


def test_a_gateway_is_what_the_template_of_that_name_says_and_the_pod_itself() -> None:
    """As istio 1.31, pkg/kube/inject/testdata/inject/gateway.yaml.injected, has it."""
    own = {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 7}, "env": [{"name": "A"}]}
    made = pod({"istio": "edge"}, containers=[own], securityContext={"fsGroup": 1})
    made["metadata"]["annotations"] = {"inject.istio.io/templates": "gateway"}
    injection.inject(made, {"hub": "example.org/istio", "tag": "1"})
    labels, annotations, spec = made["metadata"]["labels"], made["metadata"]["annotations"], made["spec"]
    (proxy,) = spec["containers"]
    assert "initContainers" not in spec
    assert proxy["image"] == "example.org/istio/proxyv2:1"
    assert proxy["args"][:2] == ["proxy", "router"]
    assert proxy["securityContext"] == {"runAsUser": 7, "runAsGroup": 1337}
    assert proxy["readinessProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"}
    assert {"A", "ISTIO_META_WORKLOAD_NAME"} < {one["name"] for one in proxy["env"]}
    sysctls = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    assert spec["securityContext"] == {"fsGroup": 1, "sysctls": sysctls}
    assert labels == {
        "istio": "edge",
        "service.istio.io/canonical-name": "p",
        "service.istio.io/canonical-revision": "latest",
    }
    assert json.loads(annotations["proxy.istio.io/overrides"]) == {
        "containers": [{key: own[key] for key in ("name", "securityContext", "env")}]
    }
    assert annotations["sidecar.istio.io/status"] == (
        '{"initContainers":null,"containers":["istio-proxy"],"volumes":["workload-socket","credential-socket",'
        '"workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token","istiod-ca-cert"],'
        '"imagePullSecrets":null,"revision":"default"}'
    )
    assert "kubectl.kubernetes.io/default-container" not in annotations


def test_programs_beside_a_gateway_stand_before_it() -> None:
    probe = {"httpGet": {"path": "/ok", "port": 8080}}
    made = pod(containers=[{"name": "istio-proxy", "image": "auto"}, {"name": "app", "readinessProbe": probe}])
    made["metadata"]["annotations"] = {"inject.istio.io/templates": "gateway"}
    injection.inject(made)
    app, proxy = made["spec"]["containers"]
    assert (app["name"], proxy["name"]) == ("app", "istio-proxy")
    assert app["readinessProbe"]["httpGet"]["path"] == "/app-health/app/readyz"
    assert made["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "app"


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_what_a_pod_says_of_its_sidecar_is_laid_over_it(kind: str) -> None:
    """https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection, and of native
    sidecars pkg/kube/inject (RunTemplate)."""
    own = {
        "name": "istio-proxy",
        "image": "auto",
        "resources": {"requests": {"cpu": "123m"}},
        "volumeMounts": [{"mountPath": "/etc/certs", "name": "certs"}],
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
    }
    app, asked = {"name": "app", "image": "app:1"}, {"certs": {"emptyDir": {}}}
    lists = {"containers": [app], "initContainers": [], kind: [app, own] if kind == "containers" else [own]}
    made = pod(**lists, volumes=[{"name": "certs", **asked["certs"]}])
    injection.inject(made)
    assert containers(made) == ["app"]
    assert containers(made, "initContainers") == ["istio-init", "istio-proxy"]
    proxy = made["spec"]["initContainers"][1]
    assert proxy["image"] == "docker.io/istio/proxyv2:1.31.1"
    assert proxy["restartPolicy"] == "Always"
    assert proxy["resources"]["requests"] == {"cpu": "123m", "memory": "128Mi"}
    assert proxy["lifecycle"] == own["lifecycle"]
    assert {"certs", "istio-envoy"} < {mount["name"] for mount in proxy["volumeMounts"]}
    assert list(json.loads(made["metadata"]["annotations"]["proxy.istio.io/overrides"])) == ["initContainers"]


OWNERS = [
    (
        {"kind": "Job", "name": "tick-29931996"},
        "batch/v1",
        "kubernetes://apis/batch/v1/namespaces/shop/cronjobs/tick",
    ),
    ({"kind": "Job", "name": "pi"}, "batch/v1", "kubernetes://apis/batch/v1/namespaces/shop/jobs/pi"),
    ({"kind": "ReplicaSet", "name": "own"}, "apps/v1", "kubernetes://apis/apps/v1/namespaces/shop/replicasets/own"),
]


@pytest.mark.parametrize(("owner", "version", "said"), OWNERS)
def test_the_proxy_is_told_whose_it_is(owner: Object, version: str, said: str) -> None:
    made = pod()
    reference = {**owner, "apiVersion": version, "controller": True, "uid": "u"}
    made["metadata"] |= {"generateName": f"{owner['name']}-", "ownerReferences": [reference]}
    injection.inject(made)
    assert variable(made, "ISTIO_META_OWNER") == said
    name = said.rpartition("/")[2]
    assert variable(made, "ISTIO_META_WORKLOAD_NAME") == name
    assert made["metadata"]["labels"]["service.istio.io/canonical-name"] == name


OBEYED = [case for case in ANNOTATIONS if "pod" in case]


@pytest.mark.parametrize("case", OBEYED, ids=lambda case: " ".join(case["annotations"]))
def test_an_annotation_is_obeyed(case: dict[str, Any]) -> None:
    made = injected(case["annotations"])
    redirection, proxy = made["spec"]["initContainers"]
    places = {"proxy": proxy, "init": redirection, "spec": made["spec"]}
    for path, wanted in case["pod"].items():
        found: Any = places
        for step in path.split("."):
            found = found[int(step)] if step.lstrip("-").isdecimal() else found.get(step)
        if isinstance(found, list) and isinstance(wanted, dict) and "has" in wanted:
            assert wanted["has"] in found
        else:
            assert found == wanted


def test_it_acts_on_new_pods_while_the_webhooks_are_there(cluster: WebhookCluster) -> None:
    namespace(cluster, istio_injection="enabled")
    tag = cluster.delete(MUTATING, None, "istio-revision-tag-default")
    assert tag
    before = cluster.create("pods", pod(), manager="test")
    assert not containers(before, "initContainers")
    cluster.create(MUTATING, {**tag, "metadata": {"name": "istio-revision-tag-default"}}, manager="test")
    changed = cluster.edit(
        "pods", "shop", "p", lambda obj: obj["metadata"].update(labels={"a": "b"}), manager="test"
    )
    assert changed
    assert not containers(changed, "initContainers")
    after = pod()
    after["metadata"]["name"] = "q"
    assert containers(cluster.create("pods", after, manager="test"), "initContainers")


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        ({"note": "x", "sidecar.istio.io/inject": "true", "sidecar.istio.io/unknownToIstio": "x"}, ""),
        ({"sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound"}, ""),
        ({"proxy.istio.io/config": 'proxyStatsMatcher:\n  inclusionRegexps: ["cluster.*"]'}, ""),
        ({"proxy.istio.io/config": "concurrency: 1"}, ""),
        ({"proxy.istio.io/config": "concurrency:\nproxyStatsMatcher: {inclusionPrefixes: [cluster]}"}, ""),
        ({"proxy.istio.io/config": "concurrency: 0"}, ""),
        ({"proxy.istio.io/config": "concurrency: -1"}, "config: concurrency: -1: not one of 0 to 64"),
        ({"proxy.istio.io/config": "concurrency: 65"}, "config: concurrency: 65: not one of 0 to 64"),
        ({"proxy.istio.io/config": "concurrency: true"}, "concurrency: True is not a whole number"),
        ({"proxy.istio.io/config": "concurrency: '1'"}, "concurrency: '1' is not a whole number"),
        ({"proxy.istio.io/config": "drainDuration: 5s"}, "config: drainDuration: not supported by the sandbox"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: {inclusion: []}"}, "unknown field 'inclusion'"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: {inclusionPrefixes: a}"}, "not a list of strings"),
        ({"proxy.istio.io/config": "proxyStatsMatcher: [a]"}, "proxyStatsMatcher: unknown field"),
        ({"proxy.istio.io/config": "{"}, "proxy.istio.io/config: not YAML"),
        ({"proxy.istio.io/config": "- a"}, "proxy.istio.io/config: not a ProxyConfig"),
        ({"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}, ""),
        ({"proxy.istio.io/config": "holdApplicationUntilProxyStarts: 1"}, "1 is not true or false"),
        ({"sidecar.istio.io/statsInclusionRegexps": "("}, "'(' is not a regular expression"),
        *((case["annotations"], case.get("why", "")) for case in ANNOTATIONS),
    ],
)
def test_annotations_that_ask_for_what_there_is_not_are_refused(annotations: dict, why: str) -> None:
    said = unsupported(annotations)
    assert why in said
    assert bool(why) == bool(said)


def test_a_pod_with_such_an_annotation_is_not_made(cluster: WebhookCluster) -> None:
    namespace(cluster, istio_injection="enabled")
    refused = pod()
    refused["metadata"]["annotations"] = {"sidecar.istio.io/bootstrapOverride": "mine"}
    with pytest.raises(ApiError, match="denied the request: injection failed: annotation sidecar"):
        cluster.create("pods", refused, manager="test")

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.core.cluster import Object
from sandbox.schema.defaults import default

from .objects import DEPLOYMENTS, PODS, RESOURCES, SERVICES, custom, deployment, fruit, pod, service


def defaulted(resource: Any, obj: Object) -> Any:
    default(resource, obj)
    once = copy.deepcopy(obj)
    default(resource, obj)
    assert obj == once, "defaulting again changes nothing"
    return obj


def test_a_deployment() -> None:
    spec = defaulted(DEPLOYMENTS, deployment())["spec"]
    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    pods = spec["template"]["spec"]
    assert pods["restartPolicy"] == "Always"
    assert pods["dnsPolicy"] == "ClusterFirst"
    assert pods["schedulerName"] == "default-scheduler"
    assert pods["terminationGracePeriodSeconds"] == 30
    assert pods["securityContext"] == {}
    (container,) = pods["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"] == {}


def test_zero_is_a_value_where_it_means_something() -> None:
    spec = defaulted(DEPLOYMENTS, deployment(replicas=0, revisionHistoryLimit=0))["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (0, 0)
    probe = {"httpGet": {"port": 80}, "timeoutSeconds": 0, "initialDelaySeconds": 0}
    obj = pod(containers=[{"name": "a", "image": "a", "livenessProbe": probe}])
    defaulted(PODS, obj)
    assert probe["timeoutSeconds"] == 1
    assert probe["initialDelaySeconds"] == 0
    assert probe["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert (probe["periodSeconds"], probe["failureThreshold"], probe["successThreshold"]) == (10, 3, 1)


def test_recreate_gets_no_rolling_update() -> None:
    spec = defaulted(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("host:5000/web", "Always"),
        ("host:5000/web:1", "IfNotPresent"),
        ("web@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_from_the_tag(image: str, policy: str) -> None:
    obj = defaulted(PODS, pod(containers=[{"name": "a", "image": image}]))
    assert obj["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_pod() -> None:
    obj = defaulted(
        PODS,
        pod(
            volumes=[{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}],
            containers=[
                {"name": "a", "image": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1"}}}
            ],
        ),
    )
    spec = obj["spec"]
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "c", "defaultMode": 420}},
    ]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "1"}
    assert spec["serviceAccount"] == spec["serviceAccountName"] == "default"
    assert spec["enableServiceLinks"] is True


def test_a_service() -> None:
    spec = defaulted(SERVICES, service())["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["sessionAffinity"] == "None"
    assert spec["internalTrafficPolicy"] == "Cluster"
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert "externalTrafficPolicy" not in spec
    spec = defaulted(SERVICES, service(type="LoadBalancer"))["spec"]
    assert spec["externalTrafficPolicy"] == "Cluster"
    assert spec["allocateLoadBalancerNodePorts"] is True
    spec = defaulted(SERVICES, service(sessionAffinity="ClientIP"))["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_an_autoscaler() -> None:
    spec = {"maxReplicas": 3, "scaleTargetRef": {}, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 1}}}
    defaulted(RESOURCES["horizontalpodautoscalers.autoscaling"], {"spec": spec})
    assert spec["minReplicas"] == 1
    assert spec["metrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }
    ]
    behavior: Any = spec["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 1
    assert behavior["scaleUp"]["policies"][0] == {"type": "Pods", "value": 4, "periodSeconds": 15}


def test_webhooks_bindings_and_definitions() -> None:
    webhook: Object = {"rules": [{}], "clientConfig": {"service": {}}}
    defaulted(RESOURCES["mutatingwebhookconfigurations.admissionregistration.k8s.io"], {"webhooks": [webhook]})
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["timeoutSeconds"] == 10
    assert webhook["reinvocationPolicy"] == "Never"
    assert webhook["rules"] == [{"scope": "*"}]
    assert webhook["clientConfig"] == {"service": {"port": 443}}
    binding: Object = {"roleRef": {"kind": "Role"}, "subjects": [{"kind": "User"}, {"kind": "ServiceAccount"}]}
    defaulted(RESOURCES["rolebindings.rbac.authorization.k8s.io"], binding)
    group = "rbac.authorization.k8s.io"
    assert binding["roleRef"]["apiGroup"] == group
    assert binding["subjects"] == [{"kind": "User", "apiGroup": group}, {"kind": "ServiceAccount"}]
    crd: Object = {"spec": {"names": {"kind": "Fruit", "plural": "fruits"}}}
    defaulted(RESOURCES["customresourcedefinitions.apiextensions.k8s.io"], crd)
    assert crd["spec"]["names"]["singular"] == "fruit"
    assert crd["spec"]["names"]["listKind"] == "FruitList"
    assert crd["spec"]["conversion"] == {"strategy": "None"}


def test_custom_defaults_reach_into_lists_and_maps_and_replace_null() -> None:
    item = {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
    resource, kind = custom(
        {
            "type": "object",
            "properties": {
                "colour": {"type": "string", "default": "red"},
                "maybe": {"type": "string", "nullable": True, "default": "x"},
                "inner": {"default": {}, **item},
                "list": {"type": "array", "items": item},
                "map": {"type": "object", "additionalProperties": item},
            },
        }
    )
    obj = fruit({"colour": None, "maybe": None, "list": [{}, {"size": 2}], "map": {"a": {}}})
    default(resource, obj, kind)
    assert obj["spec"] == {
        "colour": "red",
        "maybe": None,
        "inner": {"size": 1},
        "list": [{"size": 1}, {"size": 2}],
        "map": {"a": {"size": 1}},
    }

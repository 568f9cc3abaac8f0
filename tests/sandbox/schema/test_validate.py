"""What is refused, and in which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.schema.defaults import default
from sandbox.schema.validate import check

from .objects import DEPLOYMENTS, PODS, RESOURCES, SERVICES, deployment, pod, service

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def findings(resource: Resource, obj: Object, old: Object | None = None) -> list[str]:
    """What `check` says, as `field: message`."""
    default(resource, obj)
    if old is not None:
        default(resource, old)
    try:
        check(resource, obj, old)
    except ApiError as error:
        return [f"{cause['field']}: {cause['message']}" for cause in error.details["causes"]]
    return []


@pytest.mark.parametrize(("resource", "obj"), [(DEPLOYMENTS, deployment()), (PODS, pod()), (SERVICES, service())])
def test_good_objects_are_good(resource: Resource, obj: Object) -> None:
    assert findings(resource, copy.deepcopy(obj)) == []
    assert findings(resource, copy.deepcopy(obj), copy.deepcopy(obj)) == []


def test_the_refusal_names_kind_group_name_and_field() -> None:
    obj = deployment(replicas=-1)
    default(DEPLOYMENTS, obj)
    with pytest.raises(ApiError) as caught:
        check(DEPLOYMENTS, obj)
    message = (
        'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    assert caught.value.message == message
    assert caught.value.details == {
        "name": "web",
        "group": "apps",
        "kind": "Deployment",
        "causes": [
            {
                "reason": "FieldValueInvalid",
                "field": "spec.replicas",
                "message": "Invalid value: -1: must be greater than or equal to 0",
            }
        ],
    }


def test_several_findings_are_listed() -> None:
    obj = deployment(replicas=-1, minReadySeconds=-1)
    default(DEPLOYMENTS, obj)
    with pytest.raises(ApiError, match=r'"web" is invalid: \[spec\.replicas: .*, spec\.minReadySeconds: .*\]'):
        check(DEPLOYMENTS, obj)


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ({"selector": None}, "spec.selector: Required value"),
        ({"template": {"metadata": {"labels": {"app": "web"}}}}, "spec.template.spec.containers: Required value"),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: '
            "`selector` does not match template `labels`",
        ),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        (
            {"strategy": {"type": "Turn"}},
            'spec.strategy.type: Unsupported value: "Turn": supported values: "Recreate", "RollingUpdate"',
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "200%"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ),
    ],
)
def test_deployments(spec: Any, finding: str) -> None:
    assert findings(DEPLOYMENTS, deployment(**spec)) == [finding]


def test_a_selector_is_for_ever() -> None:
    new = deployment(selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]})
    assert findings(DEPLOYMENTS, new, deployment()) == [
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Exists"}]}: field is immutable'
    ]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"name": "Web"}, f'spec.containers[0].name: Invalid value: "Web": {LABEL}'),
        ({"image": ""}, "spec.containers[0].image: Required value"),
        (
            {"ports": [{"containerPort": 70000}]},
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: "
            "must be between 1 and 65535, inclusive",
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            'spec.containers[0].ports[1].name: Duplicate value: "a"',
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a-much-too-long-name"}]},
            'spec.containers[0].ports[0].name: Invalid value: "a-much-too-long-name": '
            "must be no more than 15 bytes",
        ),
        (
            {"ports": [{"containerPort": 1, "protocol": "HTTP"}]},
            'spec.containers[0].ports[0].protocol: Unsupported value: "HTTP": '
            'supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {"volumeMounts": [{"name": "none", "mountPath": "/x"}]},
            'spec.containers[0].volumeMounts[0].name: Not found: "none"',
        ),
        ({"readinessProbe": {}}, "spec.containers[0].readinessProbe: Required value: must specify a handler type"),
        (
            {"livenessProbe": {"exec": {}, "successThreshold": 2}},
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"resources": {"limits": {"cpu": "100m"}, "requests": {"cpu": 1}}},
            'spec.containers[0].resources.requests: Invalid value: "1": '
            "must be less than or equal to cpu limit of 100m",
        ),
        (
            {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            'spec.containers[0].env[0].valueFrom: Invalid value: "": '
            "may not be specified when `value` is not empty",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}}]},
            'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": '
            "error converting fieldPath: field label not supported",
        ),
    ],
)
def test_containers(change: Any, finding: str) -> None:
    assert findings(PODS, pod(containers=[{"name": "web", "image": "web:1", **change}])) == [finding]


def test_pods() -> None:
    twice = [{"name": "a", "image": "a"}, {"name": "a", "image": "a"}]
    assert findings(PODS, pod(containers=twice)) == ['spec.containers[1].name: Duplicate value: "a"']
    volume = {"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}
    assert findings(PODS, pod(volumes=[volume])) == [
        "spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type"
    ]
    (finding,) = findings(PODS, pod(restartPolicy="Never"), pod())
    assert finding.startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
    )
    assert "changed: spec.restartPolicy" in finding
    assert (
        findings(
            PODS, pod(containers=[{"name": "web", "image": "web:2", "imagePullPolicy": "IfNotPresent"}]), pod()
        )
        == []
    )
    assert findings(PODS, pod(nodeName="node"), pod()) == []
    assert findings(PODS, pod(containers=[*pod()["spec"]["containers"], {"name": "b", "image": "b"}]), pod()) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        (
            {"ports": [{"port": 0, "targetPort": 1}]},
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2}]}, "spec.ports[1].name: Required value"),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            'spec.ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}',
        ),
        (
            {"ports": [{"port": 1, "targetPort": "Not_a_name"}]},
            'spec.ports[0].targetPort: Invalid value: "Not_a_name": '
            "must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            {"ports": [{"port": 1, "nodePort": 30000}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {"type": "Ingress"},
            'spec.type: Unsupported value: "Ingress": '
            'supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
        ),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            {"type": "LoadBalancer", "clusterIP": "None"},
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services",
        ),
        (
            {"externalTrafficPolicy": "Local"},
            'spec.externalTrafficPolicy: Invalid value: "Local": '
            "may only be set for externally-accessible services",
        ),
    ],
)
def test_services(spec: Any, finding: str) -> None:
    assert findings(SERVICES, service(**spec)) == [finding]


def test_an_address_once_given_stays() -> None:
    old, new = service(clusterIP="127.64.128.1"), service(clusterIP="127.64.128.2")
    assert findings(SERVICES, new, old) == [
        'spec.clusterIPs[0]: Invalid value: "127.64.128.2": may not change once set'
    ]


def test_names_labels_and_annotations() -> None:
    obj = service()
    obj["metadata"]["name"] = "1web"
    (finding,) = findings(SERVICES, obj)
    assert finding.startswith('metadata.name: Invalid value: "1web": a DNS-1035 label must consist of')
    config: Object = {"kind": "ConfigMap", "metadata": {"name": "My_Config"}}
    (finding,) = findings(RESOURCES["configmaps"], config)
    assert finding.startswith('metadata.name: Invalid value: "My_Config": a lowercase RFC 1123 subdomain must')
    config = {"metadata": {"name": "c", "labels": {"a b": "x", "c": "d e"}, "annotations": {"/x": "y"}}}
    found = findings(RESOURCES["configmaps"], config)
    assert [each.split(":")[0] for each in found] == ["metadata.labels"] * 2 + ["metadata.annotations"]
    role = {"kind": "Role", "metadata": {"name": "system:a"}, "rules": []}
    assert findings(RESOURCES["roles.rbac.authorization.k8s.io"], role) == []


def test_config_maps_and_secrets() -> None:
    config: Object = {"metadata": {"name": "c"}, "data": {"a/b": "x"}, "binaryData": {"c": ""}}
    (finding,) = findings(RESOURCES["configmaps"], config)
    assert finding.startswith('data[a/b]: Invalid value: "a/b": a valid config key must consist of')
    old: Object = {"metadata": {"name": "c"}, "immutable": True, "data": {"a": "1"}}
    new: Object = {"metadata": {"name": "c"}, "immutable": True, "data": {"a": "2"}}
    assert findings(RESOURCES["configmaps"], new, old) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    secret: Object = {"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.crt": ""}}
    assert findings(RESOURCES["secrets"], secret) == ["data[tls.key]: Required value"]


def test_roles_and_bindings() -> None:
    role: Object = {"kind": "Role", "metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""]}]}
    assert findings(RESOURCES["roles.rbac.authorization.k8s.io"], role) == [
        "rules[0].resources: Required value: resource rules must supply at least one resource"
    ]
    role["rules"] = [{"apiGroups": [""], "resources": ["pods"]}]
    assert findings(RESOURCES["roles.rbac.authorization.k8s.io"], role) == ["rules[0].verbs: Required value"]

    def binding(name: str) -> Object:
        reference = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        return {"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": reference}

    resource = RESOURCES["clusterrolebindings.rbac.authorization.k8s.io"]
    (finding,) = findings(resource, binding("a"), binding("b"))
    assert finding.endswith("cannot change roleRef")
    obj = binding("a") | {"subjects": [{"kind": "ServiceAccount", "name": "x"}]}
    assert findings(resource, obj) == ["subjects[0].namespace: Required value"]


def test_autoscalers_and_budgets() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler: Object = {
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 2},
    }
    assert findings(RESOURCES["horizontalpodautoscalers.autoscaling"], scaler) == [
        "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"
    ]
    budget: Object = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": "150%"}}
    found = findings(RESOURCES["poddisruptionbudgets.policy"], budget)
    assert found[0].endswith("minAvailable and maxUnavailable cannot be both set")
    assert found[1:] == ['spec.maxUnavailable: Invalid value: "150%": must not be greater than 100%']


def test_webhooks() -> None:
    webhook = {
        "name": "short",
        "clientConfig": {},
        "sideEffects": "Some",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 31,
    }
    resource = RESOURCES["validatingwebhookconfigurations.admissionregistration.k8s.io"]
    assert findings(resource, {"metadata": {"name": "w"}, "webhooks": [webhook]}) == [
        'webhooks[0].name: Invalid value: "short": '
        "should be a domain with at least three segments separated by dots",
        "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
    ]


PROBE = {"tcpSocket": {"port": 1}}
ONLY_SIDECARS = "Forbidden: may not be set for init containers without restartPolicy=Always"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"restartPolicy": "Always", "startupProbe": PROBE, "readinessProbe": PROBE, "livenessProbe": PROBE}, []),
        (
            {"restartPolicy": "Sometimes"},
            ['restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'],
        ),
        ({"startupProbe": PROBE}, [f"startupProbe: {ONLY_SIDECARS}"]),
        ({"readinessProbe": PROBE, "restartPolicy": "Never"}, [f"readinessProbe: {ONLY_SIDECARS}"]),
        ({"livenessProbe": PROBE}, [f"livenessProbe: {ONLY_SIDECARS}"]),
        ({"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}, [f"lifecycle: {ONLY_SIDECARS}"]),
    ],
)
def test_what_only_a_sidecar_among_the_init_containers_may_have(fields: Object, said: list[str]) -> None:
    """Kubernetes 1.36.1's words (pkg/apis/core/validation; the policies of KEP-5307)."""
    obj = pod(initContainers=[{"name": "i", "image": "i", **fields}])
    assert findings(PODS, obj) == [f"spec.initContainers[0].{one}" for one in said]

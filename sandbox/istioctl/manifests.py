"""The objects that `install` creates, by component, in the order in which they are applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from importlib import resources
from typing import Any

from sandbox.core.cluster import Object
from sandbox.istioctl.install_options import Options
from sandbox.mesh.istio import (
    CONTAINER,
    HEALTH_PATH,
    HEALTH_PORT,
    INJECTOR,
    ISTIO_NAMESPACE,
    ISTIOD,
    METRICS_PORT,
    NAMESPACE_LABEL,
    POD_LABEL,
    REVISION_LABEL,
    VERSION,
)

COMPONENT_LABEL = "operator.istio.io/component"


class Component(Enum):
    BASE = "Base"
    PILOT = "Pilot"
    INGRESS = "IngressGateways"
    EGRESS = "EgressGateways"


def _owned(obj: Object, component: Component) -> Object:
    """With the labels by which istioctl knows its own."""
    labels = obj["metadata"].setdefault("labels", {})
    labels.update(
        {
            COMPONENT_LABEL: component.value,
            "operator.istio.io/managed": "Reconcile",
            "operator.istio.io/version": VERSION,
            "install.operator.istio.io/owning-resource": "unknown",
            "release": "istio",
        }
    )
    return obj


def _named(
    api_version: str, kind: str, name: str, *, labels: dict[str, str] | None = None, **fields: Any
) -> Object:
    """An object of Istio's namespace."""
    metadata: Object = {"name": name, "namespace": ISTIO_NAMESPACE, "labels": dict(labels or {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _cluster_wide(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    metadata: Object = {"name": name, "labels": {"app": "istiod"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _autoscaler(deployment: str, labels: dict[str, str]) -> Object:
    """From one to five replicas at 80 % of the requested CPU."""
    return _named(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        deployment,
        labels=labels,
        spec={
            "maxReplicas": 5,
            "minReplicas": 1,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    )


def _disruption_budget(name: str, labels: dict[str, str]) -> Object:
    spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    return _named("policy/v1", "PodDisruptionBudget", name, labels=labels, spec=spec)


def _service_port(name: str, port: int, target: int | None = None) -> Object:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target or port}


KINDS = (
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("v1", "ServiceAccount"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)
"""Kinds of what is installed, in the order of removal: first the webhooks, which need a running istiod."""


def components(chosen: Options) -> Iterator[tuple[Component, list[Object]]]:
    """Components that are switched on, each with its objects."""
    if chosen.pilot:
        base = [*crds(), *_reader()]
        yield Component.BASE, [_owned(obj, Component.BASE) for obj in base]
        pilot = [*_istiod_permissions(), *_control_plane(chosen), *webhook_configurations()]
        yield Component.PILOT, [_owned(obj, Component.PILOT) for obj in pilot]
    if chosen.egress:
        yield Component.EGRESS, [_owned(obj, Component.EGRESS) for obj in _egress(chosen)]
    if chosen.ingress:
        yield Component.INGRESS, [_owned(obj, Component.INGRESS) for obj in _ingress(chosen)]


def crds() -> list[Object]:
    """Those of the kinds the sandbox's mesh knows, from packaged data (see tools/extract_istio_schema.py)."""
    text = (resources.files(__package__) / "data" / "crds.json").read_text(encoding="utf-8")
    return [_crd(packed) for packed in json.loads(text)]


def _crd(packed: Object) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{packed['names']['plural']}.{packed['group']}", "labels": packed["labels"]},
        "spec": {
            "group": packed["group"],
            "names": packed["names"],
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": packed["schema"]},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": packed["columns"],
                }
                for index, version in enumerate(packed["versions"])
            ],
        },
    }


_ISTIOD_SELECTOR = {"app": "istiod", "istio": "pilot"}
_ISTIOD_LABELS = {**_ISTIOD_SELECTOR, "istio.io/rev": "default"}
_MESH_CONFIG = """\
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
rootNamespace: istio-system
trustDomain: cluster.local
"""


def _control_plane(chosen: Options) -> list[Object]:
    values = json.dumps(
        {"global": {"hub": chosen.hub, "tag": chosen.tag, "istioNamespace": ISTIO_NAMESPACE}}, indent=2
    )

    def config_map(name: str, **data: str) -> Object:
        return _named("v1", "ConfigMap", name, labels={"istio.io/rev": "default"}, data=data)

    return [
        config_map("istio", mesh=_MESH_CONFIG, meshNetworks="networks: {}"),
        config_map(INJECTOR, values=values),
        config_map("values", **{"merged-values": values}),
        _istiod_deployment(chosen),
        _istiod_service("istiod", _ISTIOD_LABELS, _ISTIOD_SELECTOR),
        _istiod_service(
            "istiod-revision-tag-default",
            {**_ISTIOD_LABELS, "istio.io/tag": "default"},
            {"app": "istiod", "istio.io/rev": "default"},
        ),
        _autoscaler("istiod", _ISTIOD_LABELS),
        _disruption_budget("istiod", _ISTIOD_SELECTOR),
    ]


def _istiod_service(name: str, labels: dict[str, str], selector: dict[str, str]) -> Object:
    ports = [
        _service_port("grpc-xds", 15010),
        _service_port("https-dns", 15012),
        _service_port("https-webhook", 443, 15017),
        _service_port("http-monitoring", 15014),
    ]
    return _named("v1", "Service", name, labels=labels, spec={"ports": ports, "selector": selector})


def _istiod_deployment(chosen: Options) -> Object:
    container = {
        "name": "discovery",
        "image": f"{chosen.hub}/pilot:{chosen.tag}",
        "args": [
            *("discovery", "--monitoringAddr=:15014", "--log_output_level=default:info"),
            *("--domain", "cluster.local", "--keepaliveMaxServerConnectionAge", "30m"),
        ],
        "ports": [
            {"containerPort": port, "protocol": "TCP", "name": name}
            for port, name in (
                (8080, "http-debug"),
                (15010, "grpc-xds"),
                (15012, "tls-xds"),
                (15017, "https-webhooks"),
            )
        ],
        "env": [
            {"name": "REVISION", "value": "default"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "SERVICE_ACCOUNT", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
        ],
        "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    labels = {**_ISTIOD_LABELS, POD_LABEL: "false"}
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": "istiod", "containers": [container]}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}}
    spec = {"strategy": strategy, "selector": {"matchLabels": _ISTIOD_SELECTOR}, "template": template}
    return _named("apps/v1", "Deployment", "istiod", labels=_ISTIOD_LABELS, spec=spec)


_API = "admissionregistration.k8s.io/v1"
_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_NOTHING = {"matchLabels": {"istio.io/deactivated": "never-match"}}
_RULE_GROUPS = ("security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io")
_REVISION = "default"


def webhook_configurations() -> list[Object]:
    return [
        _configuration(_MUTATING, INJECTOR, _injectors(active=False)),
        _configuration(_MUTATING, "istio-revision-tag-default", _injectors(active=True), tag=True),
        _configuration(
            _VALIDATING,
            f"istio-validator-{ISTIOD[0]}",
            [_validator("rev.validation.istio.io", _expression(REVISION_LABEL, "In", _REVISION))],
        ),
        _configuration(
            _VALIDATING,
            "istiod-default-validator",
            [_validator("validation.istio.io", _expression(REVISION_LABEL, "DoesNotExist"))],
            tag=True,
        ),
    ]


def _configuration(kind: str, name: str, webhooks: list[Object], *, tag: bool = False) -> Object:
    made = _cluster_wide(_API, kind, name, webhooks=webhooks)
    made["metadata"]["labels"] |= {REVISION_LABEL: _REVISION, **({"istio.io/tag": "default"} if tag else {})}
    return made


def _validator(name: str, of_rule: Object) -> Object:
    rule = {
        "apiGroups": list(_RULE_GROUPS),
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["*"],
    }
    return _webhook(name, "/validate", rule, objectSelector={"matchExpressions": [of_rule]})


def _injectors(*, active: bool) -> list[Object]:
    """By the namespace's label or the pod's, for injection as such or for the default revision."""
    not_refused = _expression(POD_LABEL, "NotIn", "false")
    selectors = {
        "rev.namespace": (
            [_expression(REVISION_LABEL, "In", _REVISION), _expression(NAMESPACE_LABEL, "DoesNotExist")],
            [not_refused],
        ),
        "rev.object": (
            [_expression(REVISION_LABEL, "DoesNotExist"), _expression(NAMESPACE_LABEL, "DoesNotExist")],
            [not_refused, _expression(REVISION_LABEL, "In", _REVISION)],
        ),
        "namespace": ([_expression(NAMESPACE_LABEL, "In", "enabled")], [not_refused]),
        "object": (
            [_expression(NAMESPACE_LABEL, "DoesNotExist"), _expression(REVISION_LABEL, "DoesNotExist")],
            [_expression(POD_LABEL, "In", "true"), _expression(REVISION_LABEL, "DoesNotExist")],
        ),
    }
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    return [
        _webhook(
            f"{name}.sidecar-injector.istio.io",
            "/inject",
            rule,
            namespaceSelector={"matchExpressions": of_namespace} if active else _NOTHING,
            objectSelector={"matchExpressions": of_pod} if active else _NOTHING,
        )
        for name, (of_namespace, of_pod) in selectors.items()
    ]


def _expression(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _webhook(name: str, path: str, rule: Object, **fields: Any) -> Object:
    namespace, service = ISTIOD
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": service, "namespace": namespace, "path": path, "port": 443}},
        "failurePolicy": "Fail",
        "rules": [rule],
        "sideEffects": "None",
        **fields,
    }


def _ingress(chosen: Options) -> list[Object]:
    spec: Object = {"type": chosen.ingress_type}
    if chosen.ingress_address:
        spec["loadBalancerIP"] = chosen.ingress_address
    ports = [
        _service_port("status-port", HEALTH_PORT),
        _service_port("http2", 8080, 8080),
        _service_port("https", 8443, 8443),
    ]
    return _gateway("istio-ingressgateway", chosen, {**spec, "ports": ports}, chosen.ingress_annotations)


def _egress(chosen: Options) -> list[Object]:
    ports = [_service_port("http2", 80, 8080), _service_port("https", 443, 8443)]
    return _gateway("istio-egressgateway", chosen, {"type": "ClusterIP", "ports": ports}, {})


def _gateway(name: str, chosen: Options, service: Object, annotations: dict[str, str]) -> list[Object]:
    labels = {"app": name, "istio": name.removeprefix("istio-")}
    account = f"{name}-service-account"
    front = _named("v1", "Service", name, labels=labels, spec={**service, "selector": labels})
    if annotations:
        front["metadata"]["annotations"] = dict(annotations)
    secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}]
    return [
        _named("v1", "ServiceAccount", account, labels=labels),
        *_role(f"{name}-sds", account, labels, secrets),
        _named("apps/v1", "Deployment", name, labels=labels, spec=_gateway_deployment(chosen, account, labels)),
        front,
        _autoscaler(name, labels),
        _disruption_budget(name, labels),
    ]


def _gateway_deployment(chosen: Options, account: str, labels: dict[str, str]) -> Object:
    ports = (HEALTH_PORT, 8080, 8443)
    container = {
        "name": CONTAINER,
        "image": f"{chosen.hub}/proxyv2:{chosen.tag}",
        "args": [
            *("proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"),
            *("--proxyLogLevel=warning", "--log_output_level=default:info"),
        ],
        "ports": [
            *({"containerPort": port, "protocol": "TCP"} for port in ports),
            {"containerPort": METRICS_PORT, "protocol": "TCP", "name": "http-envoy-prom"},
        ],
        "readinessProbe": {
            "httpGet": {"path": HEALTH_PATH, "port": HEALTH_PORT, "scheme": "HTTP"},
            "periodSeconds": 2,
            "failureThreshold": 30,
        },
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "INSTANCE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2000m", "memory": "1024Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    template = {
        "metadata": {
            "labels": {
                **labels,
                "istio.io/rev": "default",
                "service.istio.io/canonical-name": labels["app"],
                "service.istio.io/canonical-revision": "latest",
                POD_LABEL: "false",
            }
        },
        "spec": {"serviceAccountName": account, "containers": [container]},
    }
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}}
    return {"strategy": strategy, "selector": {"matchLabels": labels}, "template": template}


_RBAC = "rbac.authorization.k8s.io"
_V1 = f"{_RBAC}/v1"
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete"]


def _reader() -> list[Object]:
    """For other clusters' control planes, which read this one's services."""
    name = f"istio-reader-clusterrole-{ISTIO_NAMESPACE}"
    rules = [
        _rule([""], ["endpoints", "pods", "services", "nodes", "namespaces", "secrets"], _READ),
        _rule(["networking.istio.io"], ["*"], _READ),
        _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
    ]
    return [
        _named("v1", "ServiceAccount", "istio-reader-service-account", labels={"app": "istio-reader"}),
        _cluster_wide(_V1, "ClusterRole", name, rules=rules),
        _cluster_binding(name, "istio-reader-service-account"),
    ]


def _istiod_permissions() -> list[Object]:
    name = f"istiod-clusterrole-{ISTIO_NAMESPACE}"
    rules = [
        _rule(
            ["admissionregistration.k8s.io"], ["mutatingwebhookconfigurations"], ["get", "list", "watch", "patch"]
        ),
        _rule(
            ["admissionregistration.k8s.io"],
            ["validatingwebhookconfigurations"],
            ["get", "list", "watch", "update"],
        ),
        _rule(["networking.istio.io"], ["*"], _WRITE),
        _rule(["apiextensions.k8s.io"], ["customresourcedefinitions"], _READ),
        _rule([""], ["pods", "nodes", "services", "namespaces", "endpoints", "secrets"], _READ),
        _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
        _rule([""], ["configmaps"], _WRITE),
    ]
    local = [
        _rule([""], ["configmaps", "secrets"], _WRITE),
        _rule(["coordination.k8s.io"], ["leases"], ["get", "create", "update", "patch"]),
    ]
    gateways = f"istiod-gateway-controller-{ISTIO_NAMESPACE}"
    of_gateways = [
        _rule(["apps"], ["deployments"], _WRITE),
        _rule(["autoscaling"], ["horizontalpodautoscalers"], _WRITE),
        _rule(["policy"], ["poddisruptionbudgets"], _WRITE),
        _rule([""], ["services", "serviceaccounts"], _WRITE),
    ]
    labels = {"app": "istiod"}
    return [
        _named("v1", "ServiceAccount", "istiod", labels=labels),
        _cluster_wide(_V1, "ClusterRole", name, rules=rules),
        _cluster_binding(name, "istiod"),
        _cluster_wide(_V1, "ClusterRole", gateways, rules=of_gateways),
        _cluster_binding(gateways, "istiod"),
        *_role("istiod", "istiod", labels, local),
    ]


def _role(name: str, account: str, labels: dict[str, str], rules: list[Object]) -> list[Object]:
    """A role in Istio's namespace and its binding to a service account there."""
    return [
        _named(_V1, "Role", name, labels=labels, rules=rules),
        _named(
            _V1,
            "RoleBinding",
            name,
            labels=labels,
            roleRef={"apiGroup": _RBAC, "kind": "Role", "name": name},
            subjects=[_subject(account)],
        ),
    ]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _cluster_binding(name: str, account: str) -> Object:
    role_ref = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
    return _cluster_wide(_V1, "ClusterRoleBinding", name, roleRef=role_ref, subjects=[_subject(account)])


def _subject(account: str) -> Object:
    return {"kind": "ServiceAccount", "name": account, "namespace": ISTIO_NAMESPACE}

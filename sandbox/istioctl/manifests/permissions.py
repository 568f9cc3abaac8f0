"""Service accounts, roles and bindings of the control plane."""

from __future__ import annotations

from typing import Any

from sandbox.istioctl.manifests.common import Object, cluster_wide, named
from sandbox.mesh.version import ISTIO_NAMESPACE

_RBAC = "rbac.authorization.k8s.io"
_V1 = f"{_RBAC}/v1"
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete"]


def reader() -> list[Object]:
    """For other clusters' control planes, which read this one's services."""
    name = f"istio-reader-clusterrole-{ISTIO_NAMESPACE}"
    rules = [
        _rule([""], ["endpoints", "pods", "services", "nodes", "namespaces", "secrets"], _READ),
        _rule(["networking.istio.io"], ["*"], _READ),
        _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
    ]
    return [
        named("v1", "ServiceAccount", "istio-reader-service-account", labels={"app": "istio-reader"}),
        cluster_wide(_V1, "ClusterRole", name, rules=rules),
        _cluster_binding(name, "istio-reader-service-account"),
    ]


def istiod() -> list[Object]:
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
        named("v1", "ServiceAccount", "istiod", labels=labels),
        cluster_wide(_V1, "ClusterRole", name, rules=rules),
        _cluster_binding(name, "istiod"),
        cluster_wide(_V1, "ClusterRole", gateways, rules=of_gateways),
        _cluster_binding(gateways, "istiod"),
        *role("istiod", "istiod", labels, local),
    ]


def role(name: str, account: str, labels: dict[str, str], rules: list[Object]) -> list[Object]:
    """A role in Istio's namespace and its binding to a service account there."""
    return [
        named(_V1, "Role", name, labels=labels, rules=rules),
        named(
            _V1,
            "RoleBinding",
            name,
            labels=labels,
            roleRef={"apiGroup": _RBAC, "kind": "Role", "name": name},
            subjects=[_subject(account)],
        ),
    ]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _cluster_binding(name: str, account: str) -> Object:
    role_ref = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
    return cluster_wide(_V1, "ClusterRoleBinding", name, roleRef=role_ref, subjects=[_subject(account)])


def _subject(account: str) -> Object:
    return {"kind": "ServiceAccount", "name": account, "namespace": ISTIO_NAMESPACE}

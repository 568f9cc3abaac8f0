"""What all installed objects have in common: their component, by label, so that `uninstall` finds them again."""

from __future__ import annotations

from enum import Enum
from typing import Any

from sandbox.mesh.version import ISTIO_NAMESPACE, VERSION

Object = dict[str, Any]

COMPONENT_LABEL = "operator.istio.io/component"


class Component(Enum):
    BASE = "Base"
    PILOT = "Pilot"
    INGRESS = "IngressGateways"
    EGRESS = "EgressGateways"


def owned(obj: Object, component: Component) -> Object:
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


def named(api_version: str, kind: str, name: str, *, labels: dict[str, str] | None = None, **fields: Any) -> Object:
    """An object of Istio's namespace."""
    metadata: Object = {"name": name, "namespace": ISTIO_NAMESPACE, "labels": dict(labels or {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def cluster_wide(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    metadata: Object = {"name": name, "labels": {"app": "istiod"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def autoscaler(deployment: str, labels: dict[str, str]) -> Object:
    """From one to five replicas at 80 % of the requested CPU."""
    return named(
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


def disruption_budget(name: str, labels: dict[str, str]) -> Object:
    spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    return named("policy/v1", "PodDisruptionBudget", name, labels=labels, spec=spec)


def service_port(name: str, port: int, target: int | None = None) -> Object:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target or port}

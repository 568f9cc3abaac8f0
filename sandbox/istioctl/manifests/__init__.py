"""The objects that `install` creates, by component, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.istioctl.crds import crds
from sandbox.istioctl.manifests import control_plane, gateways, permissions, webhooks
from sandbox.istioctl.manifests.common import Component, owned
from sandbox.istioctl.options import Options

Object = dict[str, Any]

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
        base = [*crds(), *permissions.reader()]
        yield Component.BASE, [owned(obj, Component.BASE) for obj in base]
        pilot = [*permissions.istiod(), *control_plane.objects(chosen), *webhooks.objects()]
        yield Component.PILOT, [owned(obj, Component.PILOT) for obj in pilot]
    if chosen.egress:
        yield Component.EGRESS, [owned(obj, Component.EGRESS) for obj in gateways.egress(chosen)]
    if chosen.ingress:
        yield Component.INGRESS, [owned(obj, Component.INGRESS) for obj in gateways.ingress(chosen)]

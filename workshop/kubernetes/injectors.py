"""Webhooks that add to pods as they are created: which ones are asked, and why a pod came without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workshop.kubernetes.kubectl import Kubectl

Object = dict[str, Any]


def injects(configurations: Iterable[Object], namespace: Object, pod: Object) -> bool:
    """Whether a MutatingWebhookConfiguration asks for a new pod like this one in that namespace."""
    return any(
        "pods" in rule["resources"]
        and selects(webhook.get("namespaceSelector", {}), _labels(namespace))
        and selects(webhook.get("objectSelector", {}), _labels(pod))
        for configuration in configurations
        for webhook in configuration.get("webhooks", ())
        for rule in webhook.get("rules", ())
    )


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """As a label selector does (metav1.LabelSelector)."""
    holds: dict[str, Callable[[Object], bool]] = {
        "In": lambda one: labels.get(one["key"]) in one["values"],
        "NotIn": lambda one: labels.get(one["key"]) not in one["values"],
        "Exists": lambda one: one["key"] in labels,
        "DoesNotExist": lambda one: one["key"] not in labels,
    }
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    return equal and all(holds[one["operator"]](one) for one in selector.get("matchExpressions", ()))


async def not_injected(kubectl: Kubectl, pod: Object) -> tuple[str, str]:
    """Why a pod is there without what should have been injected, and what to type."""
    name = pod["metadata"]["namespace"]
    found = await kubectl.get_items("mutatingwebhookconfigurations.admissionregistration.k8s.io,namespaces")
    configurations = [obj for obj in found if obj["kind"] == "MutatingWebhookConfiguration"]
    namespaces = [obj for obj in found if obj["kind"] == "Namespace" and obj["metadata"]["name"] == name]
    if not any(injects(configurations, namespace, pod) for namespace in namespaces):
        why = (
            f"the injector is missing: no MutatingWebhookConfiguration asks for new pods of namespace {name}, "
            "because it was deleted or the namespace lacks its label"
        )
        return why, kubectl.typed("kubectl get mutatingwebhookconfigurations")
    why = f"the injector was missing, or not asked, when this pod of namespace {name} was created"
    return why, kubectl.typed(f"kubectl rollout restart deployment -n {name}")


def _labels(obj: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = obj["metadata"].get("labels", {})
    return labels

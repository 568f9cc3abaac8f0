"""The webhook configurations: while they are there, pods are injected and rules are validated."""

from __future__ import annotations

from typing import Any

from workshop.sandbox.mesh.injection import CONFIGURATION, NAMESPACE_LABEL, POD_LABEL, REVISION_LABEL
from workshop.sandbox.mesh.validation import WEBHOOK
from workshop.sandbox.mesh.version import ISTIO_NAMESPACE

from .common import Object, cluster_wide

_API = "admissionregistration.k8s.io/v1"


def objects() -> list[Object]:
    return [
        cluster_wide(_API, "MutatingWebhookConfiguration", CONFIGURATION, webhooks=_injectors()),
        cluster_wide(
            _API, "ValidatingWebhookConfiguration", f"istio-validator-{ISTIO_NAMESPACE}", webhooks=[_validator()]
        ),
    ]


def _validator() -> Object:
    rule = {
        "apiGroups": ["networking.istio.io"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["*"],
    }
    return _webhook(WEBHOOK, "/validate", [rule])


def _injectors() -> list[Object]:
    """By the namespace's label or the pod's, for injection as such or for the default revision."""
    not_refused = _expression(POD_LABEL, "NotIn", "false")
    selectors = {
        "rev.namespace": (
            [_expression(REVISION_LABEL, "In", "default"), _expression(NAMESPACE_LABEL, "DoesNotExist")],
            [not_refused],
        ),
        "rev.object": (
            [_expression(REVISION_LABEL, "DoesNotExist"), _expression(NAMESPACE_LABEL, "DoesNotExist")],
            [not_refused, _expression(REVISION_LABEL, "In", "default")],
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
            [rule],
            namespaceSelector={"matchExpressions": of_namespace},
            objectSelector={"matchExpressions": of_pod},
        )
        for name, (of_namespace, of_pod) in selectors.items()
    ]


def _expression(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _webhook(name: str, path: str, rules: list[Object], **fields: Any) -> Object:
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "istiod", "namespace": ISTIO_NAMESPACE, "path": path, "port": 443}},
        "failurePolicy": "Fail",
        "rules": rules,
        "sideEffects": "None",
        **fields,
    }

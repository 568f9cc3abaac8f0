"""The webhook configurations: while they are there, pods are injected and rules are validated.

Those of the revision as such are there beside those of its tag `default`, which everything goes by that names no
revision. While that tag is there, the revision's injector is switched off: its selectors match nothing.
"""

from __future__ import annotations

from typing import Any

from sandbox.istioctl.manifests.common import Object, cluster_wide
from sandbox.mesh.injection import CONFIGURATION, NAMESPACE_LABEL, POD_LABEL, REVISION_LABEL
from sandbox.mesh.version import ISTIOD

_API = "admissionregistration.k8s.io/v1"
_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_NOTHING = {"matchLabels": {"istio.io/deactivated": "never-match"}}
_RULES = ("security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io")
_REVISION = "default"


def objects() -> list[Object]:
    return [
        _configuration(_MUTATING, CONFIGURATION, _injectors(active=False)),
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
    made = cluster_wide(_API, kind, name, webhooks=webhooks)
    made["metadata"]["labels"] |= {REVISION_LABEL: _REVISION, **({"istio.io/tag": "default"} if tag else {})}
    return made


def _validator(name: str, of_rule: Object) -> Object:
    rule = {
        "apiGroups": list(_RULES),
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

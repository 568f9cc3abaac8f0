"""What istiod's validating webhook refuses (rules that make no sense, and what the sandbox does not support) or
warns of.

In force while a ValidatingWebhookConfiguration of Istio's is there, as with the real one; also when no istiod
runs, for a rule that was not looked at must never get in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from workshop.sandbox.cluster import Admission, ApiError, Cluster, Object

from . import (
    destination_rule_validation,
    gateway_validation,
    service_entry_validation,
    virtual_service_validation,
    virtual_service_warnings,
)
from .support import SUPPORTED, unsupported

GROUP = "networking.istio.io"
WEBHOOK = "validation.istio.io"


def hook(cluster: Cluster) -> Callable[[Admission], None]:
    """A validation hook for `cluster`."""

    def validate(admission: Admission) -> None:
        kind = admission.resource.kind
        if admission.resource.group != GROUP or kind not in SUPPORTED or admission.operation == "DELETE":
            return
        if not any(_is_istio(found) for found in cluster.list(_CONFIGURATIONS)):
            return
        problems = list(find_problems(kind, admission.object))
        if problems:
            raise refusal(problems)
        if kind == "VirtualService":
            admission.warnings += virtual_service_warnings.find_warnings(admission.object["spec"])

    return validate


_CONFIGURATIONS = "validatingwebhookconfigurations.admissionregistration.k8s.io"


def _is_istio(configuration: Object) -> bool:
    return any(webhook["name"].endswith(WEBHOOK) for webhook in configuration.get("webhooks") or [])


def refusal(problems: list[str]) -> ApiError:
    """In istiod's words: one problem on the line, several as a list."""
    listed = problems[0]
    if len(problems) > 1:
        listed = f"{len(problems)} errors occurred:\n" + "".join(f"\t* {problem}\n" for problem in problems)
    message = f'admission webhook "{WEBHOOK}" denied the request: configuration is invalid: {listed}'
    return ApiError(400, "BadRequest", message)


def find_problems(kind: str, obj: Object) -> Iterator[str]:
    """Everything that is wrong with a rule (an object with a `spec`)."""
    spec = obj.get("spec") or {}
    yield from unsupported(kind, spec)
    namespace = obj["metadata"].get("namespace") or "default"
    of_kind = {
        "Gateway": gateway_validation.find_problems,
        "VirtualService": virtual_service_validation.find_problems,
        "DestinationRule": destination_rule_validation.find_problems,
        "ServiceEntry": service_entry_validation.find_problems,
    }
    yield from of_kind[kind](spec, namespace)

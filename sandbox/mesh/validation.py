"""What istiod's validating webhook refuses (rules that make no sense, and what the sandbox does not support) or
warns of.

Whether it is asked, its configuration in the cluster decides, as with the real one. What the sandbox does not
support is refused also when it is not asked (`require_support`): nothing that would be ignored may get in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from sandbox.api import admission_webhooks as webhooks
from sandbox.api import api_errors
from sandbox.core.cluster import Admission, ApiError, Object
from sandbox.mesh import (
    destination_rule_validation,
    gateway_validation,
    security_validation,
    service_entry_validation,
    sidecar_validation,
    telemetry_validation,
    virtual_service_validation,
)
from sandbox.mesh.authorization import DRY_RUN
from sandbox.mesh.gateway_names import Resolve
from sandbox.mesh.supported_fields import SUPPORTED, unsupported
from sandbox.mesh.unreachable_rules import find_unreachable

GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io")
"""Of the rules."""
ISTIO_GROUPS = "istio.io"
"""What the names of all groups of Istio's end with."""


def validate(admission: Admission, webhook: str, resolve: Resolve = lambda name: None) -> None:
    """What istiod answers at `/validate`. `resolve` knows names that are not of the cluster."""
    if not _is_rule(admission):
        return
    kind = admission.resource.kind
    problems = list(find_problems(kind, admission.object, resolve))
    if problems:
        raise refusal(webhook, problems)
    admission.warnings += find_warnings(kind, admission.object)


def find_warnings(kind: str, obj: Object) -> Iterator[str]:
    """Of a rule with which nothing is wrong."""
    spec = obj.get("spec") or {}
    if kind == "VirtualService":
        yield from virtual_service_validation.find_warnings(spec)
        yield from (f"virtualService {what}" for _, what in find_unreachable(spec))
    elif kind == "DestinationRule":
        yield from destination_rule_validation.find_warnings(spec)
    elif kind == "Sidecar":
        yield from sidecar_validation.find_warnings(spec, obj["metadata"].get("namespace") or "default")
    elif kind == "Telemetry":
        yield from telemetry_validation.find_warnings(spec)
    elif kind in security_validation.KINDS:
        yield from security_validation.find_warnings(kind, spec)


def require_support(admission: Admission) -> None:
    """A validation hook. Raises ApiError Forbidden for a rule that the sandbox would not do all of."""
    if admission.operation == "DELETE":
        return
    if not _is_rule(admission):
        if admission.resource.group.endswith(f".{ISTIO_GROUPS}"):
            raise api_errors.kind_refused(admission.resource, admission.object["metadata"]["name"])
        return
    refused = next(iter(unsupported(admission.resource.kind, admission.object.get("spec") or {})), None)
    if refused is not None:
        message = f'{admission.resource.key} "{admission.object["metadata"]["name"]}" is forbidden: {refused}'
        raise ApiError(403, "Forbidden", message)


def _is_rule(admission: Admission) -> bool:
    return admission.resource.group in GROUPS and admission.resource.kind in SUPPORTED


def refusal(webhook: str, problems: list[str]) -> ApiError:
    """In istiod's words: one problem on the line, several as a list."""
    listed = problems[0]
    if len(problems) > 1:
        listed = f"{len(problems)} errors occurred:\n" + "".join(f"\t* {problem}\n" for problem in problems)
    return webhooks.denied(webhook, f"configuration is invalid: {listed}")


def find_problems(kind: str, obj: Object, resolve: Resolve = lambda name: None) -> Iterator[str]:
    """Everything that is wrong with a rule (an object with a `spec`). `resolve` knows names that are not of the
    cluster."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    if kind not in SUPPORTED:
        yield f"{kind}: not supported by the sandbox"
        return
    if kind != "AuthorizationPolicy" and DRY_RUN in (metadata.get("annotations") or {}):
        whose = f"{metadata.get('namespace') or 'default'}/{metadata.get('name', '')}"
        yield f"{whose} has unsupported annotation {DRY_RUN}, please remove the annotation"
        return
    refused = list(unsupported(kind, spec))
    if refused:
        # What would be missing without it is not wrong: what is said of the rest could only mislead.
        yield from refused
        return
    if kind in security_validation.KINDS:
        yield from security_validation.find_problems(kind, obj)
        return
    namespace = metadata.get("namespace") or "default"
    of_kind: dict[str, Callable[[Object, str], Iterator[str]]] = {
        "Gateway": gateway_validation.find_problems,
        "VirtualService": virtual_service_validation.find_problems,
        "DestinationRule": destination_rule_validation.find_problems,
        "ServiceEntry": partial(service_entry_validation.find_problems, resolve=resolve),
        "Sidecar": sidecar_validation.find_problems,
        "Telemetry": telemetry_validation.find_problems,
    }
    yield from of_kind[kind](spec, namespace)

"""Rules of roles, of their bindings and of webhook configurations."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, duplicate, required, unsupported
from sandbox.schema.selector_rules import selector

_RBAC = "rbac.authorization.k8s.io"


def role(obj: Object, old: Object | None) -> Iterator[Cause]:
    namespaced = obj.get("kind") == "Role"
    for i, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{i}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                yield bad_value(f"{path}.nonResourceURLs", rule["nonResourceURLs"], detail)
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                yield bad_value(f"{path}.nonResourceURLs", rule["nonResourceURLs"], detail)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def binding(obj: Object, old: Object | None) -> Iterator[Cause]:
    reference = obj["roleRef"]
    if reference.get("apiGroup") != _RBAC:
        yield unsupported("roleRef.apiGroup", reference.get("apiGroup"), [_RBAC])
    kinds = ["ClusterRole", "Role"] if obj.get("kind") == "RoleBinding" else ["ClusterRole"]
    if reference.get("kind") not in kinds:
        yield unsupported("roleRef.kind", reference.get("kind"), kinds)
    if old is not None and reference != old["roleRef"]:
        yield bad_value("roleRef", reference, "cannot change roleRef")
    for i, subject in enumerate(obj.get("subjects") or ()):
        path, kind = f"subjects[{i}]", subject.get("kind")
        if kind == "ServiceAccount":
            if wrong := names.subdomain(subject.get("name", "")):
                yield bad_value(f"{path}.name", subject.get("name", ""), wrong)
            if obj.get("kind") == "ClusterRoleBinding" and not subject.get("namespace"):
                yield required(f"{path}.namespace")
        elif kind not in ("User", "Group"):
            yield unsupported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"])


def webhooks(obj: Object, old: Object | None) -> Iterator[Cause]:
    seen: set[str] = set()
    for i, webhook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{i}]", webhook["name"]
        if wrong := names.subdomain(name):
            yield bad_value(f"{path}.name", name, wrong)
        elif name.count(".") < 2:
            detail = "should be a domain with at least three segments separated by dots"
            yield bad_value(f"{path}.name", name, detail)
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
        client = webhook["clientConfig"]
        if ("url" in client) == ("service" in client):
            yield required(f"{path}.clientConfig", "exactly one of url or service is required")
        if webhook["sideEffects"] not in ("None", "NoneOnDryRun"):
            yield unsupported(f"{path}.sideEffects", webhook["sideEffects"], ["None", "NoneOnDryRun"])
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            detail = "the timeout value must be between 1 and 30 seconds"
            yield bad_value(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], detail)
        for key in ("namespaceSelector", "objectSelector"):
            yield from selector(webhook.get(key) or {}, f"{path}.{key}")

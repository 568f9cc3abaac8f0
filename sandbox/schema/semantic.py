"""Rules beyond an object's shape: names, selectors, ports, what may not change.

Every object's metadata is checked here; each kind has its rules in `workload_rules`, `service_rules`,
`access_rules`, `config_rules` and `custom_rules`. They run after defaults were filled in and the shape was
found good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandbox.core.cluster import Object, Resource
from sandbox.schema import access_rules, config_rules, custom_rules, names, service_rules, workload_rules
from sandbox.schema.findings import Cause, bad_value, required, too_long
from sandbox.schema.selector_rules import labels
from sandbox.schema.types import Type

Rule = Callable[[Object, Object | None], Iterator[Cause]]

_RULES: dict[str, Rule] = {
    "configmaps": config_rules.config_map,
    "customresourcedefinitions.apiextensions.k8s.io": custom_rules.definition,
    "clusterrolebindings.rbac.authorization.k8s.io": access_rules.binding,
    "clusterroles.rbac.authorization.k8s.io": access_rules.role,
    "deployments.apps": workload_rules.deployment,
    "horizontalpodautoscalers.autoscaling": workload_rules.autoscaler,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": access_rules.webhooks,
    "poddisruptionbudgets.policy": workload_rules.disruption_budget,
    "pods": workload_rules.pod,
    "replicasets.apps": workload_rules.replica_set,
    "rolebindings.rbac.authorization.k8s.io": access_rules.binding,
    "roles.rbac.authorization.k8s.io": access_rules.role,
    "secrets": config_rules.secret,
    "services": service_rules.service,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": access_rules.webhooks,
}
_NAMES: dict[str, Callable[[str], str | None]] = {
    "clusterrolebindings.rbac.authorization.k8s.io": names.path_segment,
    "clusterroles.rbac.authorization.k8s.io": names.path_segment,
    "namespaces": names.label,
    "rolebindings.rbac.authorization.k8s.io": names.path_segment,
    "roles.rbac.authorization.k8s.io": names.path_segment,
    "services": names.label_1035,
}
_ANNOTATIONS_LIMIT = 256 * 1024


def semantic(
    resource: Resource, obj: Object, old: Object | None = None, crd_type: Type | None = None
) -> list[Cause]:
    """Findings on the meaning of `obj`, and on what it changes of `old`."""
    causes = list(_metadata(resource, obj.get("metadata") or {}))
    rule = _RULES.get(resource.key) if crd_type is None else None
    if rule is not None:
        causes += rule(obj, old)
    return causes


def _metadata(resource: Resource, metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name", "")
    well_formed = _NAMES.get(resource.key, names.subdomain)
    if wrong := well_formed(name):
        yield bad_value("metadata.name", name, wrong)
    yield from labels(metadata.get("labels") or {}, "metadata.labels")
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        size += len(key) + len(value)
        if wrong := names.qualified_name(key.lower()):
            yield bad_value("metadata.annotations", key, wrong)
    if size > _ANNOTATIONS_LIMIT:
        yield too_long("metadata.annotations", _ANNOTATIONS_LIMIT)
    for finalizer in metadata.get("finalizers") or ():
        if wrong := names.qualified_name(finalizer):
            yield bad_value("metadata.finalizers", finalizer, wrong)
    for i, owner in enumerate(metadata.get("ownerReferences") or ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield required(f"metadata.ownerReferences[{i}].{key}")

"""Whether an object is one its kind allows; the findings are 422 Invalid, in Kubernetes' words.

First the shape: required fields and enumerations of built-in kinds, the schema of custom ones. Then, of a good
shape with its defaults filled in, what the values mean to each other: names, selectors, ports, what may not
change. Every object's metadata is checked here; each kind has its rules in `kind_rules` or `custom_kinds`. A status
is the cluster's own and not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from sandbox.core.cluster import Object, Resource
from sandbox.core.constants import CRDS
from sandbox.schema import custom_kinds, job_rules, kind_rules, names, types
from sandbox.schema.findings import Cause, invalid, required, too_long, unsupported, well_formed
from sandbox.schema.types import LIST, MAP, OBJECT, Type

Rule = Callable[[Object, Object | None], Iterator[Cause]]

_RULES: dict[str, Rule] = {
    "configmaps": kind_rules.config_map,
    CRDS: custom_kinds.definition,
    "clusterrolebindings.rbac.authorization.k8s.io": kind_rules.binding,
    "clusterroles.rbac.authorization.k8s.io": kind_rules.role,
    "cronjobs.batch": job_rules.cron_job,
    "deployments.apps": kind_rules.deployment,
    "horizontalpodautoscalers.autoscaling": kind_rules.autoscaler,
    "jobs.batch": job_rules.job,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": kind_rules.webhooks,
    "poddisruptionbudgets.policy": kind_rules.disruption_budget,
    "pods": kind_rules.pod,
    "replicasets.apps": kind_rules.replica_set,
    "rolebindings.rbac.authorization.k8s.io": kind_rules.binding,
    "roles.rbac.authorization.k8s.io": kind_rules.role,
    "secrets": kind_rules.secret,
    "services": kind_rules.service,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": kind_rules.webhooks,
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
_MAY_BE_MISSING = {("io.k8s.api.discovery.v1.EndpointSlice", "endpoints")}
"""Required in the published schema, but not by Kubernetes."""


def check(resource: Resource, kind: Type, obj: Object, old: Object | None = None) -> None:
    """Raises ApiError Invalid with every finding. `old` is the live object of an update."""
    # Rules may rely on what is required to be there, and on its type.
    causes = validate(kind, obj) or _by_rules(resource, kind, obj, old)
    if causes:
        raise invalid(resource, obj.get("metadata", {}).get("name", ""), causes)


def validate(kind: Type, obj: Object) -> list[Cause]:
    """Findings on the object's shape: required fields, enumerations, a CRD's schema."""
    return list(_walk(obj, kind, "") if kind.schema is None else custom_kinds.findings(obj, kind.schema))


_UNCHECKED = ("status", "managedFields")


class _Plan(NamedTuple):
    """What to look at in objects of one type; most fields need no look."""

    required: tuple[str, ...]
    enums: dict[str, tuple[str, ...]]
    below: dict[str, Type]


@cache
def _plan(kind: Type) -> _Plan:
    below = types.leading_to(kind, lambda one: bool(_required(one) or _enums(one)), _UNCHECKED)
    return _Plan(_required(kind), _enums(kind), below)


def _required(kind: Type) -> tuple[str, ...]:
    return tuple(key for key in kind.required if (kind.name, key) not in _MAY_BE_MISSING)


def _enums(kind: Type) -> dict[str, tuple[str, ...]]:
    return {key: field.enum for key, field in kind.fields.items() if field.enum}


def _walk(value: Any, kind: Type, path: str) -> Iterator[Cause]:
    if kind.form == OBJECT:
        plan = _plan(kind)
        prefix = f"{path}." if path else ""
        for key in plan.required:
            if value.get(key) in (None, "", []):
                yield required(prefix + key)
        for key, known in plan.enums.items():
            found = value.get(key)
            for i, each in enumerate(found) if isinstance(found, list) else [(-1, found)]:
                if each and each not in known:
                    yield unsupported(prefix + key + (f"[{i}]" if i >= 0 else ""), each, known)
        for key, inner in plan.below.items():
            below = value.get(key, {} if prefix + key == "spec" else None)  # no spec is an empty one
            if below is not None:
                yield from _walk(below, inner, prefix + key)
    elif kind.form == LIST and kind.element is not None:
        for i, item in enumerate(value):
            yield from _walk(item, kind.element, f"{path}[{i}]")
    elif kind.form == MAP and kind.element is not None:
        for key, item in value.items():
            yield from _walk(item, kind.element, f"{path}[{key}]")


def _by_rules(resource: Resource, kind: Type, obj: Object, old: Object | None) -> list[Cause]:
    """Findings on the meaning of `obj`, and on what it changes of `old`."""
    causes = list(_metadata(resource, obj.get("metadata") or {}))
    rule = _RULES.get(resource.key) if kind.schema is None else None
    if rule is not None:
        causes += rule(obj, old)
    return causes


def _metadata(resource: Resource, metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name", "")
    yield from well_formed("metadata.name", name, _NAMES.get(resource.key, names.subdomain))
    yield from names.labels(metadata.get("labels") or {}, "metadata.labels")
    annotations = metadata.get("annotations") or {}
    yield from names.annotation_keys(annotations, "metadata.annotations")
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield too_long("metadata.annotations", _ANNOTATIONS_LIMIT)
    for finalizer in metadata.get("finalizers") or ():
        yield from well_formed("metadata.finalizers", finalizer, names.qualified_name)
    for i, owner in enumerate(metadata.get("ownerReferences") or ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield required(f"metadata.ownerReferences[{i}].{key}")

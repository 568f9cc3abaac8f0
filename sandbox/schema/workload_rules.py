"""Rules of pods and of what makes them or counts on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.container_rules import containers
from sandbox.schema.findings import Cause, bad_value, forbidden, required, unsupported
from sandbox.schema.selector_rules import labels, selector, selects

_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from containers(obj["spec"], "spec")
    if old is not None:
        yield from _pod_change(obj["spec"], old["spec"])


def _pod_change(new: Object, old: Object) -> Iterator[Cause]:
    if new == old:
        return
    for kind in ("containers", "initContainers"):
        if len(new.get(kind) or ()) != len(old.get(kind) or ()):
            yield forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    added = [each for each in old.get("tolerations") or () if each not in (new.get("tolerations") or ())]
    if added:
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    changed = sorted(
        key
        for key in {**new, **old}
        if _fixed(key, new.get(key)) != _fixed(key, old.get(key))
        and not (key == "nodeName" and not old.get(key))  # binding it to a node
    )
    if changed:
        what = ", ".join(f"spec.{key}" for key in changed)
        yield forbidden("spec", f"pod updates may not change fields other than {_MAY_CHANGE}\nchanged: {what}\n")


def _fixed(key: str, value: Any) -> Any:
    """The part of a pod's field that may not change."""
    if key in ("containers", "initContainers"):
        return [{inner: each[inner] for inner in each if inner != "image"} for each in value or ()]
    return None if key in ("tolerations", "activeDeadlineSeconds") else value


def deployment(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    yield from _replicated(spec, old)
    yield from _strategy(spec.get("strategy") or {})
    yield from not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield bad_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def replica_set(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _replicated(obj["spec"], old)
    yield from not_negative(obj["spec"], "spec", "minReadySeconds")


def _replicated(spec: Object, old: Object | None) -> Iterator[Cause]:
    """Replicas of a pod template that a selector finds again."""
    yield from not_negative(spec, "spec", "replicas")
    found = spec["selector"]
    wrong = list(selector(found, "spec.selector"))
    yield from wrong
    if not found.get("matchLabels") and not found.get("matchExpressions"):
        yield bad_value("spec.selector", found, "empty selector is invalid for deployment")
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    given = metadata.get("labels") or {}
    if not wrong and not selects(found, given):
        yield bad_value("spec.template.metadata.labels", given, "`selector` does not match template `labels`")
    yield from labels(given, "spec.template.metadata.labels")
    for key in metadata.get("annotations") or ():
        if message := names.qualified_name(key.lower()):
            yield bad_value("spec.template.metadata.annotations", key, message)
    pods = template.get("spec")
    if pods is None:
        yield required("spec.template.spec.containers")
    else:
        yield from containers(pods, "spec.template.spec")
        if pods.get("restartPolicy") != "Always":
            yield unsupported("spec.template.spec.restartPolicy", pods.get("restartPolicy"), ["Always"])
        if "activeDeadlineSeconds" in pods:
            detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
            yield forbidden("spec.template.spec.activeDeadlineSeconds", detail)
    if old is not None and old["spec"].get("selector") != found:
        yield bad_value("spec.selector", found, "field is immutable")


def not_negative(obj: Object, path: str, *keys: str) -> Iterator[Cause]:
    for key in keys:
        if (obj.get(key) or 0) < 0:
            yield bad_value(f"{path}.{key}", obj[key], "must be greater than or equal to 0")


def _strategy(strategy: Object) -> Iterator[Cause]:
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden("spec.strategy.rollingUpdate", detail)
        return
    path = "spec.strategy.rollingUpdate"
    amounts = {key: (rolling or {}).get(key, "25%") for key in ("maxUnavailable", "maxSurge")}
    for key, value in amounts.items():
        if wrong := names.count_or_percent(value):
            yield bad_value(f"{path}.{key}", value, wrong)
            return
    if all(int(str(value).rstrip("%")) == 0 for value in amounts.values()):
        detail = "may not be 0 when `maxSurge` is 0"
        yield bad_value(f"{path}.maxUnavailable", amounts["maxUnavailable"], detail)
    yield from _at_most_all(amounts["maxUnavailable"], f"{path}.maxUnavailable")


def _at_most_all(value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and re.fullmatch(r"\d+%", value) and int(value[:-1]) > 100:
        yield bad_value(path, value, "must not be greater than 100%")


def autoscaler(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if least < 1:
        yield bad_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield bad_value("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield bad_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for i, metric in enumerate(spec.get("metrics") or ()):
        kind = metric.get("type", "")
        source = kind[:1].lower() + kind[1:]
        if source not in metric:
            detail = f"must populate information for {source} metric source type"
            yield required(f"spec.metrics[{i}].{source}", detail)


def disruption_budget(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield bad_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for key in ("minAvailable", "maxUnavailable"):
        if key in spec:
            if wrong := names.count_or_percent(spec[key]):
                yield bad_value(f"spec.{key}", spec[key], wrong)
            yield from _at_most_all(spec[key], f"spec.{key}")
    yield from selector(spec.get("selector") or {}, "spec.selector")

"""Label selectors as objects carry them (metav1.LabelSelector)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.core.cluster import Object


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether all requirements hold. No selector selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(requirement_holds(one, labels) for one in selector.get("matchExpressions") or ())


def selects(selector: Mapping[str, Any] | None, obj: Object) -> bool:
    return matches(selector, obj["metadata"].get("labels"))


def requirement_holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One `matchExpressions` entry; the operators of node affinity are among them."""
    key, operator = requirement["key"], requirement["operator"]
    values: list[str] = requirement.get("values") or []
    value = labels.get(key)
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt":
            try:
                here, there = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return here > there if operator == "Gt" else here < there
    return False

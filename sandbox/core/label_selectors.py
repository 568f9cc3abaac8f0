"""Label selectors: as objects carry them (metav1.LabelSelector), and as text (`kubectl -l`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.core.cluster import ApiError, Object

Selector = Mapping[str, Any]

_TERM = re.compile(
    r"""\s*(?:
        (?P<key>[A-Za-z0-9_./\-]+)\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<left>[A-Za-z0-9_./\-]+)\s*(?P<operator>==|!=|=)\s*(?P<right>[A-Za-z0-9_.\-]*)
      | (?P<absent>!)?\s*(?P<present>[A-Za-z0-9_./\-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def parse(text: str) -> Selector:
    """From text. Raises ApiError for one that cannot be parsed."""
    requirements: list[Selector] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            why = f"unable to parse requirement: {text[position:]!r} in selector {text!r}"
            raise ApiError(400, "BadRequest", why)
        requirements.append(_requirement(match))
        position = match.end()
    return {"matchExpressions": requirements}


def _requirement(match: re.Match[str]) -> Selector:
    if match["set"]:
        values = [value.strip() for value in match["values"].split(",")]
        return {"key": match["key"], "operator": "In" if match["set"] == "in" else "NotIn", "values": values}
    if match["operator"]:
        operator = "NotIn" if match["operator"] == "!=" else "In"
        return {"key": match["left"], "operator": operator, "values": [match["right"]]}
    return {"key": match["present"], "operator": "DoesNotExist" if match["absent"] else "Exists"}


def to_text(selector: Selector | None) -> str:
    """A selector, or a plain map of labels, as `kubectl -l` takes it; empty for one that selects everything."""
    selector = selector or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        selector = {"matchLabels": selector}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], ",".join(sorted(one.get("values") or ()))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        parts.append(forms.get(one["operator"], key))
    return ",".join(parts)


def matches(selector: Selector | None, labels: Mapping[str, str] | None) -> bool:
    """Whether all requirements hold. No selector selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(requirement_holds(one, labels) for one in selector.get("matchExpressions") or ())


def required(selector: Selector) -> dict[str, str]:
    """Labels that everything it selects has, with their values. Of two values of one label the last counts."""
    found = dict(selector.get("matchLabels") or {})
    for one in selector.get("matchExpressions") or ():
        if one["operator"] == "In" and len(one.get("values") or ()) == 1:
            found[one["key"]] = one["values"][0]
    return found


def selects(selector: Selector | None, obj: Object) -> bool:
    return matches(selector, obj["metadata"].get("labels"))


def requirement_holds(requirement: Selector, labels: Mapping[str, str]) -> bool:
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

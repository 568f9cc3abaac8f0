"""Label and field selectors as `kubectl -l` and `--field-selector` send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.api import errors
from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import at

Match = Callable[[Object], bool]

_LABEL = re.compile(
    r"""\s*(?:
        (?P<key>[A-Za-z0-9_./\-]+)\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<left>[A-Za-z0-9_./\-]+)\s*(?P<operator>==|!=|=)\s*(?P<right>[A-Za-z0-9_.\-]*)
      | (?P<absent>!)?\s*(?P<present>[A-Za-z0-9_./\-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)

_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {
            *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"),
            *("spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"),
        }
    ),
    "events": frozenset(
        {
            *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion")),
            *("involvedObject.resourceVersion", "involvedObject.fieldPath"),
            *("reason", "reportingComponent", "source", "type"),
        }
    ),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "secrets": frozenset({"type"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
    "replicasets.apps": frozenset({"status.replicas"}),
}
_EVERYWHERE = frozenset({"metadata.name", "metadata.namespace"})


def label_selector(text: str) -> Match:
    """Raises ApiError for a selector that cannot be parsed."""
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    position = 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise errors.bad_request(f"unable to parse requirement: {text[position:]!r} in selector {text!r}")
        tests.append(_label_test(match))
        position = match.end()
    return lambda obj: _all_pass(tests, obj["metadata"].get("labels") or {})


def _all_pass(tests: Iterable[Callable[[Mapping[str, str]], bool]], labels: Mapping[str, str]) -> bool:
    return all(test(labels) for test in tests)


def _label_test(match: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    if match["set"]:
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match["operator"]:
        key, value = match["left"], match["right"]
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    key, present = match["present"], not match["absent"]
    return lambda labels: (key in labels) == present


def field_selector(resource: Resource, text: str, selectable: Iterable[str] = ()) -> Match:
    """`selectable` are a CRD's own fields. Raises ApiError for any other field."""
    known = _FIELDS.get("events" if resource.kind == "Event" else resource.key, frozenset()) | set(selectable)
    tests: list[tuple[list[str], str, bool]] = []
    for term in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term)
        if match is None:
            raise errors.bad_request(f"invalid field selector: {text!r}; cannot parse {term!r}")
        field, operator, value = match.groups()
        if field not in known | _EVERYWHERE:
            raise errors.bad_request(f"field label not supported: {field}")
        tests.append((field.split("."), value, operator != "!="))
    return lambda obj: all((_field(obj, path) == value) == equal for path, value, equal in tests)


def _field(obj: Object, path: list[str]) -> str:
    if path == ["source"]:
        path = ["source", "component"]
    value: Any = at(obj, *path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path[-1] in ("unschedulable", "hostNetwork") else "0" if path[-1] == "replicas" else ""
    return str(value)

"""Rows of custom objects, by their CRD's additionalPrinterColumns, and the JSONPath these are written in.

The path is Kubernetes' own dialect (a leading dot, `\\.` in a name), which no library of JSONPath reads: they know
the standard's `$` (RFC 9535) and are many times the size of the few lines here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.api.tables import Column, Layout, age, created
from sandbox.core.cluster import Object
from sandbox.core.objects import at, name_of

_STEP = re.compile(
    r"""
    \.(?P<field>[A-Za-z0-9_\-/]+(?:\\\.[A-Za-z0-9_\-/]+)*)
  | \[['"](?P<quoted>[^'"]+)['"]\]
  | \[(?P<index>-?\d+)\]
  | (?P<all>\[\*\])
  | \[\?\(\s*@\.(?P<key>[A-Za-z0-9_.\-]+)\s*(?P<operator>==|!=)\s*(?P<literal>"[^"]*"|'[^']*'|[\w.\-]+)\s*\)\]
    """,
    re.VERBOSE,
)

_Step = Callable[[Any], list[Any]]


def layout_of_custom(crd: Object, version: str) -> Layout:
    served = next(entry for entry in crd["spec"]["versions"] if entry["name"] == version)
    extra = served.get("additionalPrinterColumns")
    if extra is None:
        return Layout([Column("Name"), Column("Age", "date")], lambda obj: [name_of(obj), created(obj)])
    found = [
        Column(entry["name"], entry["type"], bool(entry.get("priority")), entry.get("description", ""))
        for entry in extra
    ]
    paths = [(JsonPath(entry["jsonPath"]), entry["type"]) for entry in extra]
    return Layout(
        [Column("Name"), *found],
        lambda obj: [name_of(obj), *(_cell(path.values(obj), kind) for path, kind in paths)],
    )


def _cell(values: list[Any], kind: str) -> Any:
    """One value as itself, a structure as JSON; nothing where there is nothing."""
    if not values or values[0] is None:
        return None
    value = values[0]
    if kind == "date":
        return age(value) if isinstance(value, str) else "<invalid>"
    if kind in ("integer", "number", "boolean"):
        return value if isinstance(value, int | float) else None
    return " ".join(one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in values)


class JsonPath:
    """Fields, indices, `[*]`, and filters such as `[?(@.type=="Ready")]`. Raises ValueError for anything else."""

    def __init__(self, text: str) -> None:
        self._steps: list[_Step] = []
        position = 0
        while position < len(text):
            match = _STEP.match(text, position)
            if match is None:
                raise ValueError(f"unsupported JSONPath at position {position}: {text}")
            self._steps.append(_step(match))
            position = match.end()

    def values(self, value: Any) -> list[Any]:
        """All that the path leads to in `value`."""
        found = [value]
        for step in self._steps:
            found = [inner for outer in found for inner in step(outer)]
        return found


def _step(match: re.Match[str]) -> _Step:
    if field := match["field"] or match["quoted"]:
        name = field.replace("\\.", ".")
        return lambda value: [value[name]] if isinstance(value, dict) and name in value else []
    if match["index"] is not None:
        index = int(match["index"])
        return lambda value: value[index : index + 1 or None] if isinstance(value, list) else []
    if match["all"]:
        return _all
    key, literal, equal = match["key"].split("."), match["literal"].strip("\"'"), match["operator"] == "=="
    return lambda value: [item for item in _all(value) if (_text(at(item, *key)) == literal) == equal]


def _all(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)

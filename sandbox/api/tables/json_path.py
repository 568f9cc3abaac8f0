"""The JSONPath of printer columns: fields, indices, `[*]`, and filters such as `[?(@.type=="Ready")]`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_STEP = re.compile(
    r"""
    \.(?P<field>[A-Za-z0-9_\-/]+(?:\\\.[A-Za-z0-9_\-/]+)*)
  | \[['"](?P<quoted>[^'"]+)['"]\]
  | \[(?P<index>-?\d+)\]
  | (?P<all>\[\*\]|\.\*)
  | \[\?\(\s*@\.(?P<key>[A-Za-z0-9_.\-]+)\s*(?P<operator>==|!=)\s*(?P<literal>"[^"]*"|'[^']*'|[\w.\-]+)\s*\)\]
    """,
    re.VERBOSE,
)

_Step = Callable[[Any], list[Any]]


class JsonPath:
    """A parsed path. Raises ValueError for what it does not know."""

    def __init__(self, text: str) -> None:
        self._steps: list[_Step] = []
        at = 0
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None:
                raise ValueError(f"unsupported JSONPath at position {at}: {text}")
            self._steps.append(_step(match))
            at = match.end()

    def find(self, value: Any) -> list[Any]:
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
    return lambda value: [item for item in _all(value) if (_text(_at(item, key)) == literal) == equal]


def _all(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _at(value: Any, path: list[str]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)

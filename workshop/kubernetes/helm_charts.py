"""Helm charts, rendered without Helm, as far as the workshop's go: so a check compares with what a release is made
of, a plan is truthful, and what a chart is as plain manifests can be shown, all without starting anything.

A chart here is Chart.yaml, values.yaml and templates/*.yaml, and templates hold nothing but values:

    {{ .Values.image }}  {{ .Values.text | quote }}  {{ .Release.Name }}  {{ .Release.Namespace }}

Everything else of Helm's language is refused by name, with file and line. Where Helm renders something else than
this does, Helm's history says so, and the release counts as drifted: see `helm_history.py`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workshop.kubernetes.manifests import Object, name_of, parse
from workshop.runbook.errors import UsageError

Values = Mapping[str, Any]

_ACTION = re.compile(r"{{(.*?)}}", re.DOTALL)
_REFERENCE = re.compile(r"\s*\.([A-Z]\w*)((?:\.\w+)+)\s*(\|\s*quote\s*)?")
_MOST = 1_000_000
"""Helm reads numbers of values as floats, and writes large ones with an exponent."""


@dataclass(frozen=True, slots=True)
class Chart:
    """`templates` by their path in the chart, `folder`."""

    folder: Path
    name: str
    version: str
    defaults: Values
    templates: Mapping[str, str]

    @property
    def full_name(self) -> str:
        """As `helm list` shows it."""
        return f"{self.name}-{self.version}"

    def render(self, release: str, namespace: str, values: Values) -> list[Object]:
        """Its objects, template by template. Raises UsageError with file and line."""
        known = {
            "Values": with_defaults(self.defaults, values),
            "Release": {"Name": release, "Namespace": namespace},
            "Chart": {"Name": self.name, "Version": self.version},
        }
        return [
            obj
            for file, text in self.templates.items()
            for obj in copy.deepcopy(_objects(_filled(text, self.folder / file, known), str(self.folder / file)))
        ]


def chart(folder: Path) -> Chart:
    """The chart in a folder. Raises UsageError."""
    files = {str(path.relative_to(folder)): _text(path) for path in sorted(folder.rglob("*")) if not path.is_dir()}
    templates = {name: text for name, text in files.items() if re.fullmatch(r"templates/[^/_]+\.yaml", name)}
    for name in files:
        if name not in ("Chart.yaml", "values.yaml", ".helmignore", *templates):
            raise UsageError(
                f"read the chart {folder}",
                f"the workshop cannot render {name}",
                cause="its charts are made of Chart.yaml, values.yaml and templates/*.yaml",
            )
    about = _mapping(files.get("Chart.yaml", ""), str(folder / "Chart.yaml"))
    for field in ("name", "version"):
        if not isinstance(about.get(field), str):
            raise UsageError(f"read {folder / 'Chart.yaml'}", f"the chart has no {field}")
    defaults = _mapping(files.get("values.yaml", ""), str(folder / "values.yaml"))
    return Chart(folder, about["name"], about["version"], defaults, templates)


def with_defaults(defaults: Values, given: Values) -> dict[str, Any]:
    """As Helm does: mappings into each other, and everything else in the place of what was there."""
    found = dict(defaults)
    for key, value in given.items():
        there = found.get(key)
        found[key] = (
            with_defaults(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"read {path}", getattr(error, "strerror", None) or str(error)) from error


@lru_cache(maxsize=64)
def _mapping(text: str, file: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"read {file}", str(error), cause="the YAML is broken") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"read {file}", "it is not a mapping")
    return content or {}


@lru_cache(maxsize=64)
def _objects(text: str, file: str) -> list[Object]:
    """Of a template that was filled in, of which everybody takes a copy."""
    return parse(text, file)


def _filled(text: str, path: Path, known: Mapping[str, Values]) -> str:
    def filled(action: re.Match[str]) -> str:
        where = f"read {path}, line {text.count(chr(10), 0, action.start()) + 1}"
        found = _REFERENCE.fullmatch(action[1])
        if found is None or found[1] not in known:
            raise UsageError(
                where,
                f"{action[0]} is more of Helm's language than the workshop reads",
                cause="that is {{ .Values.name }}, with `| quote` or without, and the same of .Release and .Chart",
            )
        value: Any = known[found[1]]
        for part in found[2].split(".")[1:]:
            value = value.get(part) if isinstance(value, Mapping) else None
        return _written(value, action[0], where, quoted=bool(found[3]))

    return _ACTION.sub(filled, text)


def _written(value: Any, action: str, where: str, *, quoted: bool) -> str:
    """As Go's templates write it, and Sprig's `quote`."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and abs(value) < _MOST:
        text = str(value)
    elif isinstance(value, str) and value.isprintable():
        text = value
    else:
        raise UsageError(
            where,
            f"{action} has {'no value' if value is None else f'the value {value!r}'}",
            cause=f"a value is text on one line, true or false, or a whole number below {_MOST:,}",
        )
    return json.dumps(text, ensure_ascii=False) if quoted else text


def by_name(objects: list[Object]) -> dict[str, Object]:
    return {name_of(obj): obj for obj in objects}

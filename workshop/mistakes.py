"""What is wrong in the settings, in words: the key, what is there, what has to be there, and where it stands.

A mistake is found by its key, in what several files and variables came to: by msgspec, or by Azure's rules. The
line of the profile that has the key is looked up when the error is shown, and so is how the value is written there:
`1.30` is the number 1.3 once it is read.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from msgspec import Struct, ValidationError, structs
from yaml import Node

from workshop.runbook.errors import UsageError, WorkshopError

_TEXT = "text"
_EXPECTED = {str: _TEXT, int: "a whole number", bool: "true or false"}


class Mistake(UsageError):
    """`key` is the path of what is wrong, as azure.nodes.count or azure.import_images[0]."""

    def __init__(self, key: str, problem: str, *, cause: str = "", next_command: str = "") -> None:
        super().__init__("read the settings", problem, cause=cause, next_command=next_command)
        self.key = key

    def stands_in(self, place: str, written: str = "") -> None:
        """`written` is how the value is written in that place, when it is no mapping and no list."""
        self.tried = f"read {place}"


class Misfit(Mistake):
    """The value of `key` has to be what `rule` says."""

    def __init__(self, key: str, value: object, rule: str, *, cause: str = "") -> None:
        super().__init__(key, f"{key} is {_shown(value)}; it has to be {rule}", cause=cause)
        self.unquoted = rule == _TEXT and not isinstance(value, str | Mapping | list | None)
        if self.unquoted:
            self.cause = "without quotes, YAML reads it as a number, a date, true or false: write it in quotes"

    def stands_in(self, place: str, written: str = "") -> None:
        super().stands_in(place)
        if self.unquoted and written:
            self.came_back = f"{self.key} is {written}; it has to be {_TEXT}"
            self.cause += f': "{written}"'


def no_mapping(key: str, value: object, settings: Mapping[str, Any]) -> Misfit:
    """There is something else where `settings` are kept."""
    some = ", ".join(list(settings)[:3]) + (", ..." if len(settings) > 3 else "")
    return Misfit(key, value, f"a mapping of settings ({some})")


def no_text(name: object, key: str = "") -> Mistake:
    """The name of a setting below `key` is no text."""
    named = _joined(key, repr(name))
    return Mistake(named, f"there is no setting {named}", cause="names of settings are text")


def of_validation(error: ValidationError, content: Mapping[Any, Any], kind: type[Struct]) -> Mistake:
    """msgspec says `Expected ..., got ... - at `$.a.b[0]``, `Object contains unknown field `x` - at `$.a`` or
    `Expected `str` - at `key` in `$.a``. In a mapping of free names it says `[...]`, and not which."""
    problem, _, at = str(error).partition(" - at ")
    key, value, expected = _follow(at.rpartition("$")[2].rstrip("`"), content, kind)
    if unknown := re.search(r"unknown field `(.*)`", problem):
        return _unknown(key, unknown[1], [field.name for field in structs.fields(expected)])
    if at.startswith("`key`"):
        return no_text(next(name for name in value if not isinstance(name, str)), key)
    cause = "the key stands there without a value; without the key, the default holds" if value is None else ""
    return Misfit(key, value, _words(expected), cause=cause)


def _follow(path: str, value: Any, kind: Any) -> tuple[str, Any, Any]:
    """The key that msgspec's `path` leads to, what is there, and of which type it has to be."""
    key = ""
    for part in re.findall(r"\.\.\.|[^.\[\]]+", path):
        if isinstance(value, list):
            key, value, kind = f"{key}[{part}]", value[int(part)], get_args(kind)[0]
        elif part == "...":
            kind = get_args(kind)[1]
            name, value = next((name, one) for name, one in value.items() if not isinstance(one, kind))
            key = _joined(key, name)
        else:
            kind = next(field.type for field in structs.fields(kind) if field.name == part)
            key, value = _joined(key, part), value.get(part)
    return key, value, kind


def _unknown(key: str, name: str, valid: list[str]) -> Mistake:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    cause = f"did you mean {_joined(key, near[0])}?" if near else f"valid are {', '.join(valid)}"
    return Mistake(_joined(key, name), f"there is no setting {_joined(key, name)}", cause=cause)


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _words(kind: Any) -> str:
    """What a setting of this type has to be."""
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(kind) is tuple:
        return "a list"
    return _EXPECTED.get(kind, "a mapping")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value is None else repr(value)


def locate(error: WorkshopError, *files: str) -> None:
    """Tell a mistake the variable, or the line of the first of the files, that it stands in, if it stands there."""
    if not isinstance(error, Mistake):
        return
    variable = variable_of(*error.key.split("."))
    if variable in os.environ:
        error.stands_in(f"the variable {variable}")
        return
    for file in filter(None, files):
        if found := _node(Path(file).expanduser(), error.key):
            line, node = found
            error.stands_in(f"{file}, line {line}", node.value if isinstance(node.value, str) else "")
            return


def variable_of(*path: object) -> str:
    """The environment variable for the setting at `path`: a name that a shell can export."""
    return re.sub(r"\W", "_", "_".join(("INVOKE", *map(str, path)))).upper()


def no_variable(name: str, known: Sequence[str]) -> UsageError:
    """There is a variable that names no setting; `known` do."""
    below = [variable for variable in known if variable.startswith(f"{name}_")]
    short = {variable.removeprefix("INVOKE_"): variable for variable in known}
    alike = difflib.get_close_matches(name.removeprefix("INVOKE_"), short, n=1, cutoff=0.7)
    near = below[:2] or [short[one] for one in alike]
    cause = f"did you mean {' or '.join(near)}?" if near else ""
    instead = f"; export {near[0]}={shlex.quote(os.environ[name])}" if len(near) == 1 else ""
    return UsageError(
        f"read the variable {name}",
        "it names several settings" if below else "there is no setting of that name",
        cause=cause or "variables that begin with INVOKE_ are settings, of the workshop's or of Invoke's own",
        next_command=f"unset {name}{instead}",
    )


def _node(profile: Path, key: str) -> tuple[int, Node] | None:
    """The line of the key, and the value that the profile has for it."""
    try:
        node: Any = yaml.compose(profile.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (OSError, UnicodeError, yaml.YAMLError):  # not the profile's settings are told of, but the mistake
        return None
    line = 0
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        at, node = next(((name, value) for name, value in pairs if name.value == part), (None, None))
        if at is None:
            return None
        line = at.start_mark.line + 1
    return (line, node) if line else None

"""Requests, answers and refusals as Azure Resource Manager has them, and what a request's body may hold.

ARM's paths ignore case; names keep theirs. Every property of a body is known and checked, or refused by its path.
Names of properties are matched exactly (Azure ignores their case; no client sends another). Properties that only
Azure writes are accepted, since clients send back what they have read, and dropped.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class ArmError(Exception):
    """`{"error": {"code", "message", "target", "details"}}` with an HTTP status, as ARM words refusals."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.target, self.details, self.headers = target, list(details), dict(headers or {})

    def content(self) -> dict[str, Any]:
        said: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            said["target"] = self.target
        if self.details:
            said["details"] = self.details
        return said


def invalid(path: str, message: str) -> ArmError:
    """A property of the body that cannot be so."""
    return ArmError(
        400, "InvalidRequestContent", f"The request content was invalid: '{path}': {message}", target=path
    )


def resource_not_found(kind: str, name: str, group: str) -> ArmError:
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(group: str) -> ArmError:
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    names: Mapping[str, str]
    """What stands in the path's places."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    """None when there was none."""

    @property
    def version(self) -> str:
        return self.query["api-version"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]

Body = dict[str, Any]

_PLACE = re.compile(r"\{(\w+)(\*?)\}")


class Router:
    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], dict[str, Handler]]] = []
        self._known: dict[str, dict[str, Handler]] = {}

    def add(self, methods: str, template: str, handler: Handler) -> None:
        """`methods` have blanks between them; `{name}` in the template is one part of a path, `{name*}` several."""
        if template not in self._known:
            found = self._known[template] = {}
            self._routes.append((_pattern(template), found))
        self._known[template].update(dict.fromkeys(methods.split(), handler))

    def match(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
        """Raises ArmError for what is not served."""
        allowed: set[str] = set()
        for pattern, handlers in self._routes:
            if match := pattern.fullmatch(path):
                if method in handlers:
                    return handlers[method], match.groupdict()
                allowed.update(handlers)
        if allowed:
            message = (
                f"The http method '{method}' is not supported for this resource by the sandbox "
                f"(supported: {', '.join(sorted(allowed))})."
            )
            raise ArmError(405, "MethodNotAllowed", message, headers={"Allow": ", ".join(sorted(allowed))})
        raise not_served(path)


def _pattern(template: str) -> re.Pattern[str]:
    parts, last = [], 0
    for place in _PLACE.finditer(template):
        parts += [re.escape(template[last : place.start()])]
        parts.append(f"(?P<{place[1]}>{'.+?' if place[2] else '[^/]+'})")
        last = place.end()
    return re.compile("".join(parts) + re.escape(template[last:]), re.IGNORECASE)


def not_served(path: str) -> ArmError:
    """Azure's words for a kind it does not know, with what the sandbox adds."""
    _, found, after = path.partition("/providers/")
    if not found:
        return ArmError(404, "InvalidResourceType", f"'{path}' is not served by the sandbox.")
    namespace, *rest = after.split("/")
    kind = "/".join(rest[::2])
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{kind}' could not be found in the namespace '{namespace}': "
        "the sandbox serves a subset of Azure.",
    )


NOT_SUPPORTED = "not supported by the sandbox"


class Field(ABC):
    @abstractmethod
    def check(self, value: object, path: str) -> Any:
        """The value as it is kept. Raises ArmError."""


class ReadOnly(Field):
    """Written by Azure: what a client sends here is dropped."""

    def check(self, value: object, path: str) -> Any:
        return None


class Text(Field):
    """A string: one of `values` (in any case; kept as listed here), or of a pattern."""

    def __init__(self, *values: str, pattern: str = "", meaning: str = "") -> None:
        self._values = {value.lower(): value for value in values}
        self._pattern, self._meaning = re.compile(pattern), meaning

    def check(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise invalid(path, f"expected a string, not {_type(value)}")
        if self._values and value.lower() not in self._values:
            raise invalid(path, f"'{value}' is {NOT_SUPPORTED}; supported: {', '.join(self._values.values())}")
        if not self._pattern.search(value):
            raise invalid(path, f"'{value}' is not {self._meaning or 'valid'}")
        return self._values.get(value.lower(), value)


class Unused(Field):
    """A property that the sandbox does nothing with: what is its default on Azure, or empty, changes nothing."""

    def __init__(self, *defaults: object) -> None:
        self._defaults = defaults

    def check(self, value: object, path: str) -> Any:
        if not isinstance(value, (str, bool, int, float)) and not value:
            return None
        if any(_same(value, default) for default in self._defaults):
            return value
        said = f"'{value}'" if isinstance(value, str) else json.dumps(value)
        raise invalid(path, f"{said} is {NOT_SUPPORTED}{_supported(self._defaults)}")


def _same(value: object, default: object) -> bool:
    if isinstance(value, str) and isinstance(default, str):
        return value.lower() == default.lower()
    return isinstance(value, bool) == isinstance(default, bool) and value == default


def _supported(defaults: Sequence[object]) -> str:
    listed = ", ".join(each if isinstance(each, str) else json.dumps(each) for each in defaults)
    return f"; supported: {listed}" if listed else ""


class Number(Field):
    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def check(self, value: object, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(path, f"expected an integer, not {_type(value)}")
        if not self._first <= value <= self._last:
            raise invalid(path, f"{value} is not between {self._first} and {self._last}")
        return value


class Flag(Field):
    """True or false, or only the one that is implemented."""

    def __init__(self, only: bool | None = None) -> None:
        self._only = only

    def check(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise invalid(path, f"expected true or false, not {_type(value)}")
        if self._only is not None and value is not self._only:
            raise invalid(path, f"{str(value).lower()} is {NOT_SUPPORTED}")
        return value


class Items(Field):
    def __init__(self, of: Field, most: int = 1000) -> None:
        self._of, self._most = of, most

    def check(self, value: object, path: str) -> list[Any]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise invalid(path, f"expected a list, not {_type(value)}")
        if len(value) > self._most:
            raise invalid(path, f"more than {self._most} are {NOT_SUPPORTED}")
        return [self._of.check(item, f"{path}[{index}]") for index, item in enumerate(value)]


class Names(Field):
    """An object whose keys are names: tags, for one."""

    def __init__(self, of: Field, most: int = 50) -> None:
        self._of, self._most = of, most

    def check(self, value: object, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise invalid(path, f"expected an object, not {_type(value)}")
        if len(value) > self._most:
            raise invalid(path, f"there may be {self._most}")
        return {str(key): self._of.check(item, f"{path}.{key}") for key, item in value.items()}


class Fields(Field):
    """An object with these properties and no others.

    A null is as if the property were not there; an empty text as well, where it need not be there.
    """

    def __init__(self, known: Mapping[str, Field], required: Sequence[str] = ()) -> None:
        self._known, self._required = known, required

    def check(self, value: object, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise invalid(path or "body", f"expected an object, not {_type(value)}")
        kept: dict[str, Any] = {}
        for name, item in value.items():
            where = f"{path}.{name}" if path else str(name)
            field = self._known.get(name)
            if field is None:
                raise invalid(where, NOT_SUPPORTED)
            if item is None or isinstance(field, ReadOnly) or (item == "" and name not in self._required):
                continue
            checked = field.check(item, where)
            if checked is not None:
                kept[name] = checked
        for name in self._required:
            if name not in kept:
                raise invalid(f"{path}.{name}" if path else name, "is required")
        return kept


_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def _type(value: object) -> str:
    return _TYPES.get(type(value), "null")


TAGS = Names(Text(pattern=r"^.{0,256}$", meaning="at most 256 characters"))
READ_ONLY = ReadOnly()


def unused(*names: str, **defaults: object) -> Mapping[str, Field]:
    """Properties that may be empty, and those that may have their default."""
    return {**dict.fromkeys(names, Unused()), **{name: Unused(value) for name, value in defaults.items()}}


def off(*others: str) -> Fields:
    """What is switched off by `enabled: false`, whatever else is said of it is empty then."""
    return Fields({**unused(*others, enabled=False)})


def read_only(*names: str) -> Mapping[str, Field]:
    return dict.fromkeys(names, READ_ONLY)


CIDR_TEXT = Text(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$", meaning="a range of IPv4 addresses (a.b.c.d/n)")
TRACKED: Mapping[str, Field] = {
    **read_only("id", "name", "type", "systemData"),
    "location": Text(),
    "tags": TAGS,
}
"""What every resource of a place has."""

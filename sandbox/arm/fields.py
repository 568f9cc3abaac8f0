"""What a request's body may hold: every property is known and checked, or refused by its path.

Names are matched exactly (Azure ignores their case; no client sends another). Properties that only Azure writes
are accepted, since clients send back what they have read, and dropped.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.arm.errors import invalid

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
    """An object with these properties and no others. A null is as if the property were not there."""

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
            if item is not None and not isinstance(field, ReadOnly):
                kept[name] = field.check(item, where)
        for name in self._required:
            if name not in kept:
                raise invalid(f"{path}.{name}" if path else name, "is required")
        return kept


_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def _type(value: object) -> str:
    return _TYPES.get(type(value), "null")


TAGS = Names(Text(pattern=r"^.{0,256}$", meaning="at most 256 characters"))
READ_ONLY = ReadOnly()
CIDR_TEXT = Text(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$", meaning="a range of IPv4 addresses (a.b.c.d/n)")
TRACKED: Mapping[str, Field] = {
    "id": READ_ONLY,
    "name": READ_ONLY,
    "type": READ_ONLY,
    "systemData": READ_ONLY,
    "location": Text(),
    "tags": TAGS,
}
"""What every resource of a place has."""

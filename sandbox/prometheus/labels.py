"""Labels: what names one time series, and the matchers that select by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from sys import intern

import re2  # type: ignore[import-untyped]

NAME = "__name__"
_OF_THE_METRIC = frozenset((NAME, "__type__", "__unit__"))
"""What says what was measured, and so no longer holds once something was computed of it."""


class Labels:
    """Never changed. Made once for each series and compared for each sample, so its hash is kept."""

    __slots__ = ("_hash", "_without_name", "mapping")

    def __init__(self, mapping: Mapping[str, str]) -> None:
        """An empty value is a label that is not there."""
        # The same few strings are in thousands of series.
        self.mapping = {intern(name): intern(value) for name, value in mapping.items() if value}
        self._hash = hash(frozenset(self.mapping.items()))
        self._without_name: Labels | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Labels) and self.mapping == other.mapping)

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in self.ordered()) + "}"

    __repr__ = __str__

    def __getitem__(self, name: str) -> str:
        return self.mapping.get(name, "")

    def ordered(self) -> list[tuple[str, str]]:
        return sorted(self.mapping.items())

    @property
    def without_name(self) -> Labels:
        if self._without_name is None:
            self._without_name = (
                self.without(_OF_THE_METRIC) if not _OF_THE_METRIC.isdisjoint(self.mapping) else self
            )
        return self._without_name

    def without(self, names: Collection[str]) -> Labels:
        return Labels({name: value for name, value in self.mapping.items() if name not in names})

    def only(self, names: Iterable[str]) -> Labels:
        return Labels({name: self[name] for name in names})

    def with_(self, changed: Mapping[str, str]) -> Labels:
        return Labels({**self.mapping, **changed})


NO_LABELS = Labels({})


def quoted(text: str) -> str:
    """As a label's value is written: in the text format and in PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


_OPTIONS = re2.Options()
_OPTIONS.dot_nl = True
_OPTIONS.log_errors = False


class BadRegex(ValueError):
    """No regular expression of RE2's."""


class Regex:
    """A regular expression as Prometheus has them: RE2's, and it matches the whole or nothing."""

    def __init__(self, text: str) -> None:
        """Raises BadRegex."""
        try:
            self._compiled = re2.compile(text, _OPTIONS)
        except re2.error as error:
            said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            raise BadRegex(f"error parsing regexp: {said}") from None
        self._known: dict[str, bool] = {}

    def matches(self, text: str) -> bool:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._compiled.fullmatch(text) is not None
        return found

    def groups(self, text: str) -> Mapping[str, str] | None:
        """What each group caught, by number and by name; None when it does not match."""
        found = self._compiled.fullmatch(text)
        if found is None:
            return None
        caught = {str(number): found.group(number) or "" for number in range(self._compiled.groups + 1)}
        return caught | {name: caught[str(number)] for name, number in self._compiled.groupindex.items()}


def expanded(template: str, groups: Mapping[str, str]) -> str:
    """As Go's regexp does: `$1`, `${1}`, `$name`; a name is as long as can be, and an unknown one is nothing."""
    parts = template.split("$$")
    return "$".join(_expanded_part(part, groups) for part in parts)


def _expanded_part(template: str, groups: Mapping[str, str]) -> str:
    first, *rest = template.split("$")
    found = [first]
    for part in rest:
        if part.startswith("{"):
            name, closed, after = part[1:].partition("}")
            valid = bool(closed) and _is_name(name)
            found.append(groups.get(name, "") + after if valid else "$" + part)
            continue
        length = next((at for at, letter in enumerate(part) if not _is_name(letter)), len(part))
        found.append(groups.get(part[:length], "") + part[length:] if length else "$" + part)
    return "".join(found)


def _is_name(text: str) -> bool:
    return bool(text) and all(letter == "_" or letter.isalnum() for letter in text)


class Matcher:
    """One condition on a label: `=`, `!=`, `=~` or `!~`."""

    __slots__ = ("_regex", "name", "operator", "value")

    def __init__(self, name: str, operator: str, value: str) -> None:
        """Raises BadRegex."""
        self.name, self.operator, self.value = name, operator, value
        self._regex = Regex(value) if operator in ("=~", "!~") else None

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{quoted(self.value)}"

    def matches(self, value: str) -> bool:
        found = value == self.value if self._regex is None else self._regex.matches(value)
        return found == (self.operator in ("=", "=~"))

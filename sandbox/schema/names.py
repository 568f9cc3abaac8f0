"""The forms of names, keys, labels and numbers, and what Kubernetes says about one that does not have its form.

Checks of a value return the message, None when all is well; checks of labels and selectors yield findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from sandbox.core.cluster import Object
from sandbox.schema.findings import Cause, bad_value, forbidden, required, well_formed

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_QUALIFIED_EXAMPLES = "'MyName',  or 'my.name',  or '123-abc'"
_ENDS = "and must start and end with an alphanumeric character"
_QUALIFIED_RULE = f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}"


def _said(rule: str, examples: str, expression: str) -> str:
    return f"{rule} (e.g. {examples}, regex used for validation is '{expression}')"


def _form(most: int, rule: str, examples: str, expression: str) -> Callable[[str], str | None]:
    @lru_cache(maxsize=4096)
    def check(value: str) -> str | None:
        if len(value) > most:
            return f"must be no more than {most} bytes"
        return None if re.fullmatch(expression, value) else _said(rule, examples, expression)

    return check


label = _form(
    63,
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ENDS}",
    "'my-name',  or '123-abc'",
    _LABEL,
)
"""A namespace, a container, a service's port."""

label_1035 = _form(
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    "'my-name',  or 'abc-123'",
    "[a-z]([-a-z0-9]*[a-z0-9])?",
)
"""A service."""

subdomain = _form(
    253,
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ENDS}",
    "'example.com'",
    rf"{_LABEL}(\.{_LABEL})*",
)
"""Most objects."""

label_value = _form(
    63,
    f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {_ENDS}",
    "'MyValue',  or 'my_value',  or '12345'",
    f"({_QUALIFIED})?",
)

_config_key = _form(
    253,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "'key.name',  or 'KEY_NAME',  or 'key-name'",
    "[-._a-zA-Z0-9]+",
)


def config_key(value: str) -> str | None:
    """A key of a ConfigMap or Secret."""
    if wrong := _config_key(value):
        return wrong
    return "must not be '.'" if value == "." else "must not start with '..'" if value[:2] == ".." else None


def path_segment(value: str) -> str | None:
    """Anything that can be part of a URL's path: a role."""
    if value in (".", ".."):
        return f"may not be '{value}'"
    return next((f"may not contain '{bad}'" for bad in "/%" if bad in value), None)


@lru_cache(maxsize=4096)
def qualified_name(value: str) -> str | None:
    """A label's or annotation's key: `name` or `prefix/name`."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        optional = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return _said(f"a qualified name {_QUALIFIED_RULE}", _QUALIFIED_EXAMPLES, _QUALIFIED) + optional
    if slash and not prefix:
        return "prefix part must be non-empty"
    if slash and (wrong := subdomain(prefix)):
        return f"prefix part {wrong}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    if re.fullmatch(_QUALIFIED, name):
        return None
    return _said(f"name part {_QUALIFIED_RULE}", _QUALIFIED_EXAMPLES, _QUALIFIED)


def port_name(value: str) -> str | None:
    """The name of a container's port."""
    if len(value) > 15:
        return "must be no more than 15 bytes"
    if not re.fullmatch(r"[-a-z0-9]+", value):
        return "must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", value):
        return "must contain at least one letter (a-z)"
    if "--" in value:
        return "must not contain consecutive hyphens"
    return "must not begin or end with a hyphen" if value[0] == "-" or value[-1] == "-" else None


def port_number(value: Any) -> str | None:
    good = isinstance(value, int) and 1 <= value <= 65535
    return None if good else "must be between 1 and 65535, inclusive"


def port_number_or_name(value: Any) -> str | None:
    return port_name(value) if isinstance(value, str) else port_number(value)


def variable(value: str) -> str | None:
    """The name of an environment variable."""
    if value and all(" " <= char <= "~" and char != "=" for char in value):
        return None
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"


def count_or_percent(value: Any) -> str | None:
    """Not negative, or a percentage: maxSurge, minAvailable."""
    if isinstance(value, str):
        if re.fullmatch("[0-9]+%", value):
            return None
        rule = "a valid percent string must be a numeric string followed by an ending '%'"
        return _said(rule, "'1%',  or '93%'", "[0-9]+%")
    return None if value >= 0 else "must be greater than or equal to 0"


def labels(found: Object, path: str) -> Iterator[Cause]:
    """Keys and values of labels, or of a selector that is a map of them."""
    for key, value in found.items():
        yield from well_formed(path, key, qualified_name)
        yield from well_formed(path, value, label_value)


def annotation_keys(found: Object, path: str) -> Iterator[Cause]:
    """Keys of annotations, in which upper case is no mistake."""
    for key in found:
        yield from well_formed(path, key, lambda key: qualified_name(key.lower()))


def selector(found: Object, path: str) -> Iterator[Cause]:
    """A metav1.LabelSelector."""
    yield from labels(found.get("matchLabels") or {}, f"{path}.matchLabels")
    for i, each in enumerate(found.get("matchExpressions") or ()):
        place = f"{path}.matchExpressions[{i}]"
        operator, values = each.get("operator"), each.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                yield required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield forbidden(f"{place}.values", detail)
        else:
            yield bad_value(f"{place}.operator", operator, "not a valid selector operator")
        yield from well_formed(f"{place}.key", each.get("key", ""), qualified_name)
        for j, value in enumerate(values):
            yield from well_formed(f"{place}.values[{j}]", value, label_value)

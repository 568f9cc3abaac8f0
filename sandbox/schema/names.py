"""The forms of names, keys and numbers, and what Kubernetes says about one that does not have its form.

Each function returns the message, None when all is well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"


def _said(rule: str, examples: str, expression: str) -> str:
    return f"{rule} (e.g. {examples}, regex used for validation is '{expression}')"


@lru_cache(maxsize=4096)
def label(value: str) -> str | None:
    """A lowercase RFC 1123 label: a namespace, a container, a service's port."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if re.fullmatch(_LABEL, value):
        return None
    rule = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    )
    return _said(rule, "'my-name',  or '123-abc'", _LABEL)


@lru_cache(maxsize=4096)
def label_1035(value: str) -> str | None:
    """An RFC 1035 label: a service."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if re.fullmatch(_LABEL_1035, value):
        return None
    rule = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character"
    )
    return _said(rule, "'my-name',  or 'abc-123'", _LABEL_1035)


@lru_cache(maxsize=4096)
def subdomain(value: str) -> str | None:
    """A lowercase RFC 1123 subdomain: most objects."""
    if len(value) > 253:
        return "must be no more than 253 bytes"
    if re.fullmatch(_SUBDOMAIN, value):
        return None
    rule = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _said(rule, "'example.com'", _SUBDOMAIN)


def path_segment(value: str) -> str | None:
    """Anything that can be part of a URL's path: a role."""
    if value in (".", ".."):
        return f"may not be '{value}'"
    return next((f"may not contain '{bad}'" for bad in "/%" if bad in value), None)


@lru_cache(maxsize=4096)
def label_value(value: str) -> str | None:
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if re.fullmatch(_VALUE, value):
        return None
    rule = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _said(rule, "'MyValue',  or 'my_value',  or '12345'", _VALUE)


@lru_cache(maxsize=4096)
def qualified_name(value: str) -> str | None:
    """A label's or annotation's key: `name` or `prefix/name`."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        rule = (
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )
        optional = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return _said(rule, "'MyName',  or 'my.name',  or '123-abc'", _QUALIFIED) + optional
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
    rule = (
        "name part must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _said(rule, "'MyName',  or 'my.name',  or '123-abc'", _QUALIFIED)


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


def config_key(value: str) -> str | None:
    """A key of a ConfigMap or Secret."""
    if len(value) > 253:
        return "must be no more than 253 bytes"
    if not re.fullmatch(_CONFIG_KEY, value):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        return _said(rule, "'key.name',  or 'KEY_NAME',  or 'key-name'", _CONFIG_KEY)
    if value in (".", "..") or value.startswith(".."):
        return "must not be '.'" if value == "." else "must not start with '..'"
    return None


def count_or_percent(value: Any) -> str | None:
    """Not negative, or a percentage: maxSurge, minAvailable."""
    if isinstance(value, str):
        if re.fullmatch(_PERCENT, value):
            return None
        rule = "a valid percent string must be a numeric string followed by an ending '%'"
        return _said(rule, "'1%',  or '93%'", _PERCENT)
    return None if value >= 0 else "must be greater than or equal to 0"

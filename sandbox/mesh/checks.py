"""What the validation of every kind asks of names, numbers and texts. Each check yields istiod's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

import re2  # type: ignore[import-untyped]

from sandbox.core.durations import seconds
from sandbox.mesh.istio import LARGEST_REGEX_PROGRAM
from sandbox.schema import names

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE)
_LONGEST_REGEX = 1024
_SYNTAX = "https://github.com/google/re2/wiki/Syntax"


def host(name: str) -> Iterator[str]:
    """A name or an address, perhaps with a wildcard as its first label."""
    labels = name.split(".")
    if labels[0].startswith("*"):
        labels = [labels[0][1:].lstrip("-") or "x", *labels[1:]]
    if not name or not all(_LABEL.fullmatch(label) for label in labels):
        yield f'domain name "{name}" invalid'


def is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None


def label(what: str, text: Any) -> Iterator[str]:
    if not text:
        yield f"{what} cannot be empty"
    elif not is_label(text):
        yield f"{what} is invalid: {text}"


def labels(written: Mapping[str, str]) -> Iterator[str]:
    """What pods are chosen by; istiod calls them tags."""
    for key, value in written.items():
        if names.qualified_name(key):
            yield f'invalid tag key: "{key}"'
        if names.label_value(value):
            yield f'invalid tag value: "{value}"'


def selector(written: Mapping[str, str] | None) -> Iterator[str]:
    """The labels by which a rule selects workloads."""
    for key, value in (written or {}).items():
        if not key:
            yield f'empty key is not supported in selector: "{key}={value}"'
        if "*" in key or "*" in value:
            yield f'wildcard is not supported in selector: "{key}={value}"'


def port(number: int) -> Iterator[str]:
    if not 1 <= number <= 65535:
        yield f"port number {number} must be in the range 1..65535"


def subnet(written: str) -> Iterator[str]:
    try:
        network = ip_network(written, strict=False)
    except ValueError:
        yield f"{written} is not a valid CIDR block"
        return
    if network.version != 4:
        yield f"{written} is not supported by the sandbox (it has IPv4 only)"


def duration(what: str, text: str | None) -> Iterator[str]:
    if text is None:
        return
    try:
        microseconds = round(seconds(text) * 1e6, 3)
    except ValueError:
        yield f"invalid {what}: invalid duration {text}"
        return
    if microseconds < 1000:
        yield f"invalid {what}: duration must be greater than 1ms"
    elif microseconds % 1000:
        yield f"invalid {what}: only durations to ms precision are supported"


def regex(where: str, text: str) -> Iterator[str]:
    if len(text.encode()) > _LONGEST_REGEX:
        yield f'"{where}": regex is too large, max length allowed is {_LONGEST_REGEX}'
        return
    try:
        groups(text)
    except ValueError as error:
        yield f'"{where}": {error}; Istio uses RE2 style regex-based match ({_SYNTAX})'


def percentage(written: Mapping[str, Any] | None) -> Iterator[str]:
    value = (written or {}).get("value", 0)
    if value and not 0.0001 <= value <= 100:
        yield f"percentage {value} is neither 0.0, nor in range [0.0001, 100.0]"


def export_to(exported: Iterable[str], namespace: str) -> Iterator[str]:
    """Of Istio's own kinds but ServiceEntry, which may be for nobody (`~`)."""
    seen: set[str] = set()
    for entry in exported:
        name = namespace if entry == "." else entry
        if name in seen and entry == ".":
            yield f"duplicate entries in exportTo: . and current namespace {namespace}"
        elif name in seen:
            yield f"duplicate entries in exportTo for entry {entry}"
        elif name == "~":
            yield "exportTo ~ (none) is not allowed for Istio configuration objects"
        elif name != "*" and not is_label(name):
            yield "only .,*, or a valid DNS 1123 label is allowed as exportTo entry"
        seen.add(name)
    if "*" in seen and len(seen) > 1:
        yield "cannot have both public (*) and non-public exportTo values for a resource"


_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def groups(text: str) -> int:
    """How many groups `text` captures, as RE2 reads it, which is Envoy's. Raises ValueError for what is no
    expression, or too large a one.

    istiod asks Go's `regexp`, which takes the same ones (but for `\\C`) and says otherwise what is wrong.
    """
    try:
        compiled = re2.compile(text, _OPTIONS)
    except re2.error as error:
        raise ValueError(f"error parsing regexp: {error.args[0].decode()}") from error
    if compiled.programsize > LARGEST_REGEX_PROGRAM:
        raise ValueError(
            f"RE2 program size of {compiled.programsize} > max program size of {LARGEST_REGEX_PROGRAM}"
        )
    return int(compiled.groups)

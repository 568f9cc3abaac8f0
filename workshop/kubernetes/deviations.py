"""Differences in words: what an object has, and what was wanted. Who made it so cannot be seen; it is not said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from workshop.runbook.results import ABSENT, Difference

_MOST = 3
"""Fields of one object; the differences themselves are shown field by field."""

_PART = re.compile(r"(?:[^.\[]|\[[^\]]*\])+")
"""Of a path; a label's key in brackets may have dots."""


def worded(differences: Iterable[Difference]) -> str:
    by_subject: dict[str, list[str]] = {}
    for difference in differences:
        by_subject.setdefault(difference.subject, []).append(_worded(difference))
    return "; ".join(f"{subject} {_some(said)}" for subject, said in by_subject.items())


def _worded(difference: Difference) -> str:
    found, wanted = difference.found, difference.wanted
    if not difference.path:
        return "is not there" if found is ABSENT else "is there as well"
    field = ".".join(_PART.findall(difference.path)[-2:])
    if found is ABSENT:
        return f"has no {field}"
    if wanted is ABSENT:
        return f"has {field}{_value(found)} as well"
    return f"has {field}{_value(found)}, not{_value(wanted)}" if _short(found, wanted) else f"has another {field}"


def _short(*values: Any) -> bool:
    return not any(isinstance(value, dict | list) for value in values)


def _value(value: Any) -> str:
    return f" {value}" if _short(value) else ""


def _some(said: list[str]) -> str:
    more = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
    return ", ".join((*said[:_MOST], *more))

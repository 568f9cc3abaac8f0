"""Columns, and how times and long lists read in a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.core.cluster import Object

NONE, UNKNOWN = "<none>", "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str = "string"
    wide: bool = False
    description: str = ""

    def definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description or self.name,
            "priority": int(self.wide),
        }


def columns(*names: str, wide: Sequence[str] = ()) -> list[Column]:
    """From `Name` or `Name:type`; `+Name` and those of `wide` are shown with `-o wide` only."""
    return [_column(name) for name in (*names, *(f"+{name}" for name in wide))]


def _column(text: str) -> Column:
    name, _, kind = text.removeprefix("+").partition(":")
    return Column(name, kind or "string", text.startswith("+"))


def age(when: str | None) -> str:
    """How long ago a timestamp was."""
    if not when:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(when)
    except ValueError:
        return "<invalid>"
    return duration((datetime.now(UTC) - then).total_seconds())


def created(obj: Object) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def duration(seconds: float) -> str:
    """As kubectl writes ages: two units while they matter, then one."""
    if seconds < 0:
        # Clocks differ by a little; only more than that is worth a remark.
        return "0s" if seconds > -2 else "<invalid>"
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(first: int, unit: str, second: int, small: str) -> str:
    return f"{first}{unit}{second}{small}" if second else f"{first}{unit}"


def shortened(items: Sequence[str], most: int) -> str:
    """The first `most` items, and how many more there are."""
    if not items:
        return NONE
    text = ",".join(items[:most])
    return text if len(items) <= most else f"{text} + {len(items) - most} more..."


def selector(wanted: dict[str, Any] | None) -> str:
    """A label selector, or a plain map of labels, as kubectl's -l takes it."""
    if not wanted:
        return NONE
    if "matchLabels" not in wanted and "matchExpressions" not in wanted:
        return ",".join(f"{key}={value}" for key, value in sorted(wanted.items())) or NONE
    parts = [f"{key}={value}" for key, value in sorted((wanted.get("matchLabels") or {}).items())]
    parts += [_expression(expression) for expression in wanted.get("matchExpressions") or ()]
    return ",".join(parts) or NONE


def _expression(expression: dict[str, Any]) -> str:
    key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
    words: dict[str, str] = {
        "In": f"{key} in ({values})",
        "NotIn": f"{key} notin ({values})",
        "Exists": key,
        "DoesNotExist": f"!{key}",
    }
    return words[expression["operator"]]

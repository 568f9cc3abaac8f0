"""Time as API objects carry it: UTC, in whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds_since(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()

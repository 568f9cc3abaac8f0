"""Headers that rules set, add and remove, of requests and responses.

A request's host is a header like any other to Istio, but a setting of its own to Envoy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ACTIONS = (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))


def changes(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Envoy's fields for a route or a weighted cluster."""
    made: dict[str, Any] = {}
    if not headers:
        return made
    for direction in ("request", "response"):
        change = headers.get(direction) or {}
        options = [
            {"header": {"key": key, "value": value}, "append_action": action}
            for field, action in _ACTIONS
            for key, value in sorted((change.get(field) or {}).items())
            if not _internal(key)
        ]
        removed = [key for key in change.get("remove") or [] if not _internal(key)]
        if options:
            made[f"{direction}_headers_to_add"] = options
        if removed:
            made[f"{direction}_headers_to_remove"] = removed
    return made


def authority(headers: Mapping[str, Any]) -> str:
    """The host that requests are to have, "" to leave them theirs."""
    request = headers.get("request")
    if not request:
        return ""
    for field, _ in _ACTIONS:
        for key, value in (request.get(field) or {}).items():
            if is_authority(key):
                return str(value)
    return ""


def is_authority(header: str) -> bool:
    return header.lower() in ("host", ":authority")


def _internal(header: str) -> bool:
    return header.startswith(":") or is_authority(header)

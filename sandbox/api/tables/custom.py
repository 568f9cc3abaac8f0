"""Rows of custom objects, by their CRD's additionalPrinterColumns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.api.tables.columns import Column, age, created
from sandbox.api.tables.json_path import JsonPath
from sandbox.core.cluster import Object


def layout(crd: Object, version: str) -> tuple[list[Column], Callable[[Object], list[Any]]]:
    served = next(entry for entry in crd["spec"]["versions"] if entry["name"] == version)
    extra = served.get("additionalPrinterColumns")
    if extra is None:
        return [Column("Name"), Column("Age", "date")], lambda obj: [obj["metadata"]["name"], created(obj)]
    found = [
        Column(entry["name"], entry["type"], bool(entry.get("priority")), entry.get("description", ""))
        for entry in extra
    ]
    paths = [(JsonPath(entry["jsonPath"]), entry["type"]) for entry in extra]
    return [Column("Name"), *found], lambda obj: [
        obj["metadata"]["name"],
        *(_cell(path.find(obj), kind) for path, kind in paths),
    ]


def _cell(values: list[Any], kind: str) -> Any:
    """One value as itself, a structure as JSON; nothing where there is nothing."""
    if not values or values[0] is None:
        return None
    value = values[0]
    if kind == "date":
        return age(value) if isinstance(value, str) else "<invalid>"
    if kind in ("integer", "number", "boolean"):
        return value if isinstance(value, int | float) else None
    texts = [item if isinstance(item, str) else json.dumps(item, separators=(",", ":")) for item in values]
    return " ".join(texts)

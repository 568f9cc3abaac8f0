"""Rows as `kubectl get` shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.api import kubectl_tables as tables
from sandbox.api.kinds import Registry
from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import timestamp
from tests.kit.cases import cases

REGISTRY = Registry()


def cells(kind: str, obj: Object) -> dict[str, Any]:
    """A row by its columns' names."""
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": timestamp(), **obj.get("metadata", {})}}
    layout = tables.layout_of(REGISTRY.by_key(kind))
    return dict(zip([column.name for column in layout.columns], layout.row(obj), strict=True))


@cases(__file__, "tables")
def test_cells(of: str, case: Any) -> None:
    row = cells(of, case["object"])
    assert {column: row[column] for column in case["shows"]} == case["shows"]


def test_pods_that_were_restarted() -> None:
    finished = timestamp(datetime.now(UTC) - timedelta(minutes=5))
    restarted = {"name": "main", "restartCount": 3, "lastState": {"terminated": {"finishedAt": finished}}}
    pod = {"spec": {"containers": [{}]}, "status": {"phase": "Running", "containerStatuses": [restarted]}}
    assert cells("pods", pod)["Restarts"].startswith("3 (5m")


def test_ages() -> None:
    assert tables.age(None) == "<unknown>"
    assert tables.age("yesterday") == "<invalid>"
    assert tables.age(timestamp()) in ("0s", "1s")


VALUE = {"metadata": {"name": "x"}, "spec": {"hosts": ["a", "b"], "number": 1}}


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("string", ".spec.hosts", '["a","b"]'),
        ("string", ".metadata.name", "x"),
        ("integer", ".spec.number", 1),
        ("integer", ".metadata.name", None),
        ("date", ".metadata.name", "<invalid>"),
        ("string", ".spec.nothing.at.all", None),
    ],
)
def test_printer_columns(kind: str, path: str, cell: Any) -> None:
    column = {"name": "Column", "type": kind, "jsonPath": path, "priority": 1}
    crd = {"spec": {"versions": [{"name": "v1", "additionalPrinterColumns": [column]}, {"name": "v2"}]}}
    layout = tables.layout_of(Resource("example.org", "v1", "widgets", "Widget", True), crd)
    assert [column.name for column in layout.columns if column.wide] == ["Column"]
    assert layout.row(VALUE) == ["x", cell]
    bare = tables.layout_of(Resource("example.org", "v2", "widgets", "Widget", True), crd)
    assert [column.name for column in bare.columns] == ["Name", "Age"]


@pytest.mark.parametrize("path", [".spec..hosts", ".spec.hosts[0]", "$.spec", ".spec[*]", ""])
def test_json_paths_that_are_not_supported(path: str) -> None:
    with pytest.raises(ValueError, match="unsupported JSONPath"):
        tables.json_path(path)

from __future__ import annotations

from typing import Any

import pytest

from sandbox.api.printer_columns import JsonPath, layout_of_custom

VALUE = {
    "spec": {"hosts": ["a", "b"], "it.s": 1},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.hosts", [["a", "b"]]),
        (".spec.hosts[0]", ["a"]),
        (".spec.hosts[-1]", ["b"]),
        (".spec.hosts[*]", ["a", "b"]),
        (".spec['it.s']", [1]),
        (".spec.it\\.s", [1]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        ('.status.conditions[?(@.type!="Ready")].type', ["Old"]),
        (".spec.nothing.at.all", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert JsonPath(path).values(VALUE) == found


@pytest.mark.parametrize("path", [".spec..hosts", ".spec.*", "$.spec", ".spec.hosts[0:1]"])
def test_json_paths_that_are_not_known(path: str) -> None:
    with pytest.raises(ValueError, match="unsupported JSONPath"):
        JsonPath(path)


def test_cells_by_their_types() -> None:
    columns = [
        {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"},
        {"name": "Number", "type": "integer", "jsonPath": ".spec.it\\.s"},
        {"name": "No number", "type": "integer", "jsonPath": ".spec.hosts[0]"},
        {"name": "Since", "type": "date", "jsonPath": ".spec.hosts[0]", "priority": 1},
        {"name": "Nothing", "type": "string", "jsonPath": ".spec.none"},
    ]
    crd = {"spec": {"versions": [{"name": "v1", "additionalPrinterColumns": columns}, {"name": "v2"}]}}
    layout = layout_of_custom(crd, "v1")
    assert [column.name for column in layout.columns if column.wide] == ["Since"]
    assert layout.row({"metadata": {"name": "x"}, **VALUE}) == ["x", '["a","b"]', 1, None, "<invalid>", None]
    assert [column.name for column in layout_of_custom(crd, "v2").columns] == ["Name", "Age"]

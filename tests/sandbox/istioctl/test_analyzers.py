"""Objects in, Istio's numbered messages out: cases/analyze.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.istioctl.analyzers import Resources, find_messages
from tests.kit.cases import content_of

CASES = content_of(Path(__file__).parent / "cases/analyze.yaml")
ENABLED = {"kind": "Namespace", "name": "shop", "labels": {"istio-injection": "enabled"}}


def written_out(short: dict[str, Any]) -> dict[str, Any]:
    """An object of a case as the cluster has it."""
    metadata = {field: short[field] for field in ("name", "namespace", "labels", "annotations") if field in short}
    if short["kind"] != "Namespace":
        metadata.setdefault("namespace", "shop")
    spec = dict(short.get("spec") or {})
    if "containers" in short:
        spec["containers"] = [{"name": name} for name in short["containers"]]
    return {"kind": short["kind"], "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("case", CASES, ids=lambda case: (case.get("says") or ["nothing"])[0][:60])
def test_what_is_said(case: dict[str, Any]) -> None:
    objects = case["objects"]
    if not any(short["kind"] == "Namespace" for short in objects):
        objects = [ENABLED, *objects]
    found = find_messages(Resources(map(written_out, objects)))
    assert [f"{one.code} ({one.origin}) {one.text}" for one in found] == case.get("says", [])


def test_rules_that_no_request_comes_to() -> None:
    """What is found is in tests/sandbox/mesh/cases/unreachable_rules.yaml."""
    match, answer = [{"uri": {"exact": "/a"}}], {"route": [{"destination": {"host": "one"}}]}
    service = {"kind": "Service", "name": "one", "spec": {"ports": [{"name": "http", "port": 80}]}}
    twice = {"hosts": ["one"], "http": [{"match": match, **answer}, {"match": match, **answer}]}
    rule = {"kind": "VirtualService", "name": "r", "spec": twice}
    found = find_messages(Resources(map(written_out, (ENABLED, service, rule))))
    assert [(one.code, one.level.name, one.text) for one in found] == [
        (
            "IST0131",
            "Info",
            "VirtualService rule #1 match #0 is not used (duplicate/overlapping match in rule #0).",
        ),
        ("IST0130", "Warning", "VirtualService rule #1 not used (all matches used by prior rules)."),
    ]

"""Rules and matches of a VirtualService that no request comes to: cases/unreachable_rules.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.mesh.unreachable_rules import find_unreachable
from tests.kit.cases import content_of

CASES = content_of(Path(__file__).parent / "cases/unreachable_rules.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["rules"])[:100])
def test_what_is_found(case: dict[str, Any]) -> None:
    found = find_unreachable({case.get("kind", "http"): case["rules"]})
    assert [f"{code} {what}" for code, what in found] == case.get("says", [])

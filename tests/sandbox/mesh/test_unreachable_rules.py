"""Rules and matches of a VirtualService that no request comes to: cases/unreachable_rules.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.mesh.unreachable_rules import find_unreachable

CASES = yaml.safe_load((Path(__file__).parent / "cases/unreachable_rules.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["rules"])[:100])
def test_what_is_found(case: dict[str, Any]) -> None:
    found = find_unreachable({case.get("kind", "http"): case["rules"]})
    assert [f"{code} {what}" for code, what in found] == case.get("says", [])

"""Cases as data: YAML files beside the tests, each a list of cases that a person can read and add to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml


def cases(beside: str, name: str) -> pytest.MarkDecorator:
    """A test's `case`, for each one of `cases/NAME.yaml` beside the test's file."""
    path = Path(beside).parent / "cases" / f"{name}.yaml"
    found: list[Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=_name(case, i)) for i, case in enumerate(found, 1)]
    )


def _name(case: Any, number: int) -> str:
    words = [str(case[key]) for key in ("kind", "why") if key in case]
    return ": ".join(words) or str(number)

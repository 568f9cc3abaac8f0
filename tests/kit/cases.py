"""Cases as data: YAML files beside the tests that a person can read and add to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml


def content_of(file: Path) -> Any:
    """What a YAML file has. Read by libyaml: every worker reads all cases, and Python's own reader takes a fifth of
    the time that it needs to begin."""
    return yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)


def cases(beside: str, name: str) -> pytest.MarkDecorator:
    """A test's `of` and `case`, for all of `cases/NAME.yaml` beside the test's file.

    The file is lists of cases, each list under what its cases are of; or one list, and `of` is the file's name.
    """
    path = Path(beside).parent / "cases" / f"{name}.yaml"
    found = content_of(path)
    groups: dict[str, list[Any]] = found if isinstance(found, dict) else {name: found}
    named = [
        pytest.param(of, case, id=f"{of}: {case.get('why', number)}")
        for of, each in groups.items()
        for number, case in enumerate(each, 1)
    ]
    return pytest.mark.parametrize(("of", "case"), named)

"""Cases of `cases/`, on the sandbox or on any cluster with Istio: README.md says what a case is."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from workshop.settings import read_profile

from .runner import Runner
from .schema import Case, CaseError, read
from .target import Target

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ALL = read()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, target: Target) -> Iterator[dict[str, str]]:
    """Why a case does not hold, or nothing, of all that this run is about: they run together."""
    chosen = {item.name for item in request.session.items}
    runner = Runner(target, read_profile(ROOT / "config" / "sandbox.yaml")["images"], secrets.token_hex(2))
    try:
        yield runner.run([case for case in ALL if f"test_case[{case.id}]" in chosen])
    finally:
        runner.end()


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_case(case: Case, outcomes: dict[str, str], target: Target) -> None:
    wrong = outcomes[case.id]
    if case.differs and target.is_sandbox:
        assert wrong, f"it holds: take {case.differs} out of the case, and out of the table in sandbox/README.md"
        pytest.xfail(case.differs)
    assert not wrong, f"{wrong}\nexpected, says {case.source}"


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"colour": "red"}, "a case has no colour"),
        ({"do": [{"request": "/", "colour": "red"}]}, "request has no colour"),
        ({"do": [{"request": "/", "kubectl": "get pods"}]}, "a step is one of"),
        ({"do": [{"try": [{"Colour red": {}}]}]}, "Colour is no kind that schema.py knows"),
        ({"source": ""}, "says where it has its expectations from"),
    ],
)
def test_what_a_case_cannot_say_is_refused(case: dict[str, Any], words: str, tmp_path: Path) -> None:
    plain = {"why": "a", "source": "b", "do": [{"kubectl": "get pods"}]}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump([plain | case]), encoding="utf-8")
    with pytest.raises(CaseError, match=re.escape(words)):
        read(tmp_path)


def test_the_table_of_known_differences_is_that_of_the_cases() -> None:
    page = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")
    table = page.partition("## Known differences")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) == {case.differs for case in ALL} - {""}

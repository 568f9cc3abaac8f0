"""What a lab calls worth trying is something to type: nothing of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs import RUNBOOK
from workshop.runbook.model import Lab
from workshop.runbook.plan import explain
from workshop.runbook.request import Request
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import describe


@pytest.mark.parametrize("lab", [lab for lab in RUNBOOK.labs if lab.tries], ids=lambda lab: lab.name)
def test_it_is_understood(lab: Lab, tmp_path: Path) -> None:
    toolbox = describe(from_config({**read_profile(DEFAULT_PROFILE), "state": str(tmp_path)})).toolbox
    for options, about in lab.tries:
        words = options.split()
        given = {flag.removeprefix("--"): value for flag, value in zip(words[::2], words[1::2], strict=True)}
        stage = given.pop("to", None)
        assert set(given) <= {option.name for option in lab.options}
        assert explain(RUNBOOK, Request((lab.name,), to=stage, options={lab.name: given}), toolbox)
        assert about

"""The task `handout`: which labs, for whom, and where it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labs import RUNBOOK
from tests.kit.in_process import here
from tests.kit.workshop import Ran, Workshop
from workshop import handout_task
from workshop.settings import ROOT


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """One that has no sandbox, and is never given one: a handout only describes."""
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path / "state")


def written(workshop: Workshop, labs: str = "", form: str = "markdown", *, solution: bool = False) -> Ran:
    return here(
        workshop,
        lambda config: handout_task.handout(
            config, RUNBOOK, labs=labs, form=form, to="", solution=solution, force=False
        ),
    )


@pytest.mark.parametrize(
    ("labs", "names"),
    [
        ("", [lab.name for lab in RUNBOOK.labs if lab.group == "istio"]),
        ("istio.fault, istio.canary", ["istio.canary", "istio.fault"]),
    ],
)
def test_the_labs_that_can_be_typed_on_the_sandbox_in_their_order(
    workshop: Workshop, tmp_path: Path, labs: str, names: list[str]
) -> None:
    ran = written(workshop, labs)
    assert ran.status == 0, ran.said
    place = tmp_path / "handout.md"
    assert ran.said.endswith(f"is in {place}\n")
    assert re.findall(r"^## (istio\.\S+):", place.read_text(), re.M) == names
    assert not workshop.state.exists(), "nothing is started or written elsewhere"


def test_no_path_of_this_machine_is_in_it(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("")
    assert written(workshop, form="html", solution=True).status == 0
    text = (tmp_path / "handout-with-solutions.html").read_text()
    assert str(tmp_path) not in text
    assert str(ROOT) not in text


def test_on_azure_its_labs_are_in_it_before_anything_was_made(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKE_TARGET", "azure")
    monkeypatch.setenv("INVOKE_AZURE_SUBSCRIPTION", "12345678-1234-1234-1234-123456789012")
    ran = written(workshop)
    assert ran.status == 0, ran.said
    text = (tmp_path / "handout.md").read_text()
    assert re.findall(r"^## (\S+):", text, re.M) == [lab.name for lab in RUNBOOK.labs]
    assert "az aks create" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("labs", "form", "said"),
    [
        ("istio.canari", "html", "it is neither a lab nor a group of labs"),
        ("azure", "html", "its commands are for Azure, and az does not reach this target"),
        ("istio", "pdf", "it is one of html, markdown"),
    ],
)
def test_what_there_is_none_of_is_refused(workshop: Workshop, labs: str, form: str, said: str) -> None:
    ran = written(workshop, labs, form)
    assert ran.status == 2
    assert said in ran.said

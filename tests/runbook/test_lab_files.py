"""Labs from files with mistakes in them: said with file and line, and nobody else's trouble."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop.runbook import Lab
from workshop.runbook.assembly import assembled, refuse_missing_files, refuse_mistakes
from workshop.runbook.errors import UsageError
from workshop.runbook.lab_files import found
from workshop.runbook.model import Runbook

GOOD = """
from workshop.authoring import Lab, apply

LAB = Lab(
    name="acme.good",
    title="Good",
    text="",
    parts=(apply("Apply it", "good.yaml"),),
)
"""

MISTAKES = {
    "exception": ('import os\n\nLAB = os.environ["NOT_THERE"]\n', 3, "KeyError: 'NOT_THERE'", ""),
    "syntax": ("LAB = Lab(\n", 1, "SyntaxError: '(' was never closed", ""),
    "import": ("from workshop.authoring import aply\n", 1, "ImportError: cannot import name 'aply'", ""),
    "module": ("\nimport nothing_like_it\n", 2, "No module named 'nothing_like_it'", ""),
    "exit": ("raise SystemExit(0)\n", 1, "SystemExit: 0", ""),
    "of_lab": (GOOD.replace("title=", "titel="), 4, "Lab has no titel", "did you mean title?"),
    "of_step": (GOOD.replace('"good.yaml"', '"good.yaml", redy="2/2"'), 8, "apply has no redy", "ready?"),
    "need": (GOOD.replace("parts=", 'needs=("acme.god",),\n    parts='), 8, "needs acme.god, and", ""),
    "apart": (
        GOOD.replace("parts=", 'apart_from=("acme.god",),\n    parts='),
        8,
        "is apart from acme.god, and",
        "",
    ),
    "manifest": (GOOD.replace("good.yaml", "goood.yaml"), 8, "no manifest goood.yaml", "mean good.yaml?"),
    "tuple": (GOOD.replace("parts=", 'needs="acme.good",\n    parts='), 8, "needs is 'acme.good'", "needs=(..., )"),
    "part": (GOOD.replace("parts=(", 'parts=("good.yaml",'), 8, "parts has 'good.yaml' in it", ""),
    "name": (GOOD.replace("acme.good", "Good"), 5, "a lab cannot be called 'Good'", "acme.retries"),
    "lab": ("LAB = 1\n", 0, "LAB is a int, and no Lab", "LAB = Lab(...)"),
    "flag": (
        GOOD.replace("parts=", 'options=(Option("plan", ""),),\n    parts=').replace("Lab,", "Lab, Option,"),
        8,
        "an option cannot be called plan",
        "every lab has that flag",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With a lab that is as it should be. Python finds none of it afterwards."""
    path = tmp_path / "acme"
    path.mkdir()
    (path / "good.py").write_text(GOOD)
    (path / "good.yaml").touch()
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield path
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


def book(*others: Lab) -> Runbook:
    return assembled((*others, *found("acme")))


def refuse(runbook: Runbook, name: str) -> None:
    refuse_mistakes(runbook, [name])
    refuse_missing_files(runbook, [name])


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_the_other_lab_runs(folder: Path, what: str) -> None:
    text, line, said, cause = MISTAKES[what]
    (folder / f"mistake_{what}.py").write_text(text.replace('name="acme.good"', 'name="acme.mistake"'))
    runbook = book()
    (name,) = {lab.name for lab in runbook.labs} - {"acme.good"}
    refuse(runbook, "acme.good")
    with pytest.raises(UsageError) as caught:
        refuse(runbook, name)
    error = caught.value
    where = f"acme/mistake_{what}.py" + (f", line {line}" if line else "")
    assert error.tried == f"read {where}"
    assert said in error.came_back
    assert cause in error.cause
    if what != "manifest":  # which is looked for only when the lab is
        assert runbook.lab(name).title == f"Cannot be run: a mistake in {where}"


def test_a_lab_keeps_the_name_that_its_broken_file_gives_it(folder: Path) -> None:
    (folder / "bad.py").write_text(GOOD.replace("acme.good", "acme.other-name") + "undefined\n")
    assert [lab.name for lab in book().labs] == ["acme.other-name", "acme.good"]


def test_a_mistake_in_a_helper_is_told_where_it_is(folder: Path) -> None:
    (folder / "helper.py").write_text("HALF = 1 / 0\n")
    (folder / "user.py").write_text("from acme.helper import HALF\n" + GOOD.replace("acme.good", "acme.user"))
    runbook = book()
    with pytest.raises(UsageError, match="ZeroDivisionError") as caught:
        refuse_mistakes(runbook, ["acme.user"])
    assert caught.value.tried == "read acme/helper.py, line 1"


def test_what_needs_a_broken_lab_is_refused_with_its_mistake(folder: Path) -> None:
    (folder / "bad.py").write_text(GOOD.replace("acme.good", "acme.bad") + "undefined\n")
    needs = Lab("acme.needs", "", "", needs=("acme.bad",))
    with pytest.raises(UsageError, match="name 'undefined' is not defined"):
        refuse_mistakes(book(needs), ["acme.needs"])


def test_of_two_labs_of_one_name_the_first_serves_those_that_need_it(folder: Path) -> None:
    (folder / "second.py").write_text(GOOD)
    runbook = book(Lab("acme.needs", "", "", needs=("acme.good",)))
    refuse_mistakes(runbook, ["acme.needs"])
    with pytest.raises(UsageError, match=r"there are two labs acme\.good") as caught:
        refuse_mistakes(runbook, ["acme.good"])
    assert caught.value.tried == "read acme/second.py, line 4"
    assert "acme/good.py, line 4" in caught.value.cause


def test_a_clean_up_leaves_no_broken_lab_behind(folder: Path) -> None:
    (folder / "bad.py").write_text(GOOD.replace("acme.good", "acme.bad") + "undefined\n")
    runbook = book(Lab("base.clean", "", "", clean_up=True))
    with pytest.raises(UsageError) as caught:
        refuse_mistakes(runbook, ["base.clean"])
    assert caught.value.tried == "read acme/bad.py, line 10"
    assert "base.clean would leave behind what acme.bad may have made" in caught.value.cause


def test_tests_and_helpers_are_no_labs(folder: Path) -> None:
    for name in ("test_good", "conftest", "_private"):
        (folder / f"{name}.py").write_text("1 / 0\n")
    (folder / "helper.py").write_text("HALF = 0.5\n")
    assert [lab.name for lab in found("acme")] == ["acme.good"]


def test_a_package_is_found_by_its_name_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.chdir("/")
    assert [lab.name for lab in found("acme")] == ["acme.good"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "there is no folder"),
        ("./nowhere", "there is no folder"),
        ("empty", "no file in"),
        ("json", "json is what Python finds at"),
        ("in.valid", "can import no in.valid"),
    ],
)
def test_a_place_without_labs(folder: Path, place: str, said: str) -> None:
    for name in ("empty", "json", "in.valid"):
        (folder.parent / name).mkdir()
    with pytest.raises(UsageError, match=said):
        found(place)


def test_a_lab_knows_where_it_is_declared(folder: Path) -> None:
    (lab,) = found("acme")
    assert (lab.file, lab.line) == (str(folder / "good.py"), 4)

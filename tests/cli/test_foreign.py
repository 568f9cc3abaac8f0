"""Labs of other folders, as the line and its settings name them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from workshop.cli.config import Config
from workshop.settings import ROOT, load

LAB = """
from workshop.runbook import Lab

LAB = Lab(name="acme.{name}", title="The lab {name}", text="", needs=("istio.install",))
"""


@dataclass(frozen=True)
class Ran:
    status: int
    said: str


@dataclass(frozen=True)
class Folder:
    """One that is no workshop's, with a folder of labs in it and their tasks.py."""

    path: Path

    def write(self, file: str, text: str) -> None:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def invoke(self, *words: str, **environment: str) -> Ran:
        done = subprocess.run(
            [Path(sys.executable).with_name("invoke"), *words],
            cwd=self.path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("INVOKE_")},
                **{"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "120"},
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("labs_of/acme/one.py", LAB.format(name="one"))
    made.write("tasks.py", "from labs import RUNBOOK\nfrom workshop import cli\n\nns = cli.collection(RUNBOOK)\n")
    return made


def test_a_folder_that_tasks_py_names(folder: Folder) -> None:
    folder.write(
        "tasks.py",
        "from labs import RUNBOOK\nfrom workshop import cli\n\nns = cli.collection(RUNBOOK, 'labs_of/acme')\n",
    )
    ran = folder.invoke("--list")
    assert ran.status == 0, ran.said
    assert "The lab one" in ran.said
    assert "lab.istio.canary" in ran.said


@pytest.mark.parametrize("profile", ["labs: [acme]", '{"labs": ["acme"]}', "labs = ['acme']"])
def test_a_folder_that_the_profile_names(folder: Folder, profile: str) -> None:
    """Relative to the profile, wherever the line is typed."""
    suffix = {"l": "yaml", "{": "json"}[profile[0]] if "=" not in profile else "py"
    folder.write(f"labs_of/profile.{suffix}", profile)
    ran = folder.invoke("-f", f"labs_of/profile.{suffix}", "--list")
    assert "lab.acme.one" in ran.said, ran.said
    assert "lab.acme.one" not in folder.invoke("--list").said


def test_a_package_and_a_folder_that_a_variable_names(folder: Folder) -> None:
    folder.write("elsewhere/beta/two.py", LAB.format(name="two").replace("acme", "beta"))
    there = {"PYTHONPATH": f"{ROOT}:{folder.path / 'elsewhere'}"}
    ran = folder.invoke("--list", INVOKE_LABS="labs_of/acme,beta", **there)
    assert "lab.acme.one" in ran.said, ran.said
    assert "lab.beta.two" in ran.said


def test_a_folder_in_invoke_yaml(folder: Folder) -> None:
    folder.write("invoke.yaml", "labs: [labs_of/acme]\n")
    assert "lab.acme.one" in folder.invoke("--list").said


def test_the_workshop_s_own_tasks_py_takes_them_as_well(folder: Folder) -> None:
    named = {"INVOKE_LABS": str(folder.path / "labs_of/acme")}
    assert "lab.acme.one" in folder.invoke("-r", str(ROOT), "--list", **named).said


def test_a_place_that_is_none_ends_the_line(folder: Folder) -> None:
    folder.write("profile.yaml", "labs: [acme]\n")
    ran = folder.invoke("-f", "profile.yaml", "--list")
    assert ran.status == 2
    assert f"there is no folder {folder.path}/acme, and no such package" in ran.said


def test_a_broken_lab_is_listed_and_refused_and_the_others_go_on(folder: Folder) -> None:
    folder.write("labs_of/acme/two.py", LAB.format(name="two") + "1 / 0\n")
    named = {"INVOKE_LABS": "labs_of/acme", "INVOKE_STATE": "state"}
    listed = folder.invoke("--list", **named)
    assert listed.status == 0
    assert "Cannot be run: a mistake in labs_of/acme/two.py, line 5" in " ".join(listed.said.split())
    for words in (("lab.acme.two",), ("lab.acme.two", "--explain"), ("lab.acme.two", "--undo"), ("lab.acme",)):
        ran = folder.invoke(*words, **named)
        assert ran.status == 2, ran.said
        assert "labs_of/acme/two.py, line 5" in ran.said
        assert "ZeroDivisionError: division by zero" in ran.said
    other = folder.invoke("lab.acme.one", "--explain", **named)
    assert other.status == 0, other.said


def test_a_missing_manifest_is_told_before_anything_is_looked_at(folder: Folder) -> None:
    text = LAB.format(name="two").replace("import Lab", "import Lab\nfrom workshop.authoring import apply")
    folder.write("labs_of/acme/two.py", text.replace("needs=", 'parts=(apply("Do", "two.yaml"),), needs='))
    ran = folder.invoke("lab.acme.two", INVOKE_LABS="labs_of/acme", INVOKE_STATE="state")
    assert ran.status == 2, ran.said
    assert "read labs_of/acme/two.py, line 5" in ran.said
    assert "there is no manifest two.yaml in labs_of/acme" in ran.said
    assert not (folder.path / "state").exists()


def test_a_setting_of_another_kind_is_refused_by_whoever_runs_something(folder: Folder) -> None:
    folder.write("profile.yaml", "target: sandbox\nlabs: acme\n")
    assert folder.invoke("-f", "profile.yaml", "--list").status == 0
    ran = folder.invoke("-f", "profile.yaml", "lab.istio.install", "--explain")
    assert ran.status == 2
    assert "labs is 'acme'; it has to be a list" in ran.said


def test_state_is_kept_beside_whose_tasks_py_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOKE_STATE", raising=False)
    config = Config()
    config.set_project_location(tmp_path)
    assert load(config).state_folder == tmp_path / ".workshop"

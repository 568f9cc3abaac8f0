"""A line that cannot be read ends with 2, in words, with the line that seems to be meant."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.cli.conftest import Type
from tests.kit.workshop import BIN
from workshop.settings import ROOT

CANARY = "lab.istio.canary"

MISTAKES = [
    # what is typed, what comes back, what is likely, and the next command
    ("lab.istio.cannary --plan", "none of that name", f"mean {CANARY}?", f"{CANARY} --plan"),
    (
        "lab.istio.circuit_breaker",
        "none of that name",
        "mean lab.istio.circuit-breaker?",
        "lab.istio.circuit-breaker",
    ),
    ("istio.canary --to v1", "none of that name", f"mean {CANARY}?", f"{CANARY} --to v1"),
    ("lab.isto", "none of that name", "mean lab.istio?", "lab.istio"),
    ("cleanup", "none of that name", "mean lab.azure.cleanup or lab.istio.cleanup?", "--list"),
    # A group and its part: as two words they ran all of the group, and the part after it.
    ("lab istio canary", "none of that name", f"mean {CANARY}?", CANARY),
    ("lab istio cannary --plan", "none of that name", f"mean {CANARY}?", f"{CANARY} --plan"),
    ("lab --plan istio canary", "none of that name", f"mean {CANARY}?", f"{CANARY} --plan"),
    ("lab istio --plan", "none of that name", "mean lab.istio?", "lab.istio --plan"),
    ("lab.istio canary --to v1", "none of that name", f"mean {CANARY}?", f"{CANARY} --to v1"),
    ("lab.istio --plan canary", "none of that name", f"mean {CANARY}?", f"{CANARY} --plan"),
    ("lab azure cleanup", "none of that name", "mean lab.azure.cleanup?", "lab.azure.cleanup"),
    ("lab canary", "none of that name", f"mean {CANARY}?", CANARY),
    ("istio canary", "none of that name", "mean lab.istio?", CANARY),
    ("lab istio canary fault", "none of that name", f"mean {CANARY}?", f"{CANARY} lab.istio.fault"),
    ("sandbox status", "none of that name", "mean sandbox.status?", "sandbox.status"),
    ("lab.istio.xyz", "none of that name", "", "--list"),
    ("sandbox", "it is a group of tasks", "", "--list sandbox"),
    (f"{CANARY} v1", "none of that name", "mean --to v1?", f"{CANARY} --to v1"),
    (f"{CANARY} --too v1", f"{CANARY} has no flag --too", "mean --to?", f"{CANARY} --to v1"),
    (f"{CANARY} --too=v1", f"{CANARY} has no flag --too", "mean --to?", f"{CANARY} --to=v1"),
    (f"{CANARY} --max_errors 5", "no flag --max_errors", "mean --max-errors?", f"{CANARY} --max-errors 5"),
    (f"{CANARY} -plan", f"{CANARY} has no flag -plan", "mean --plan?", f"{CANARY} --plan"),
    (f"{CANARY} --no-plan", "no flag --no-plan", "it is so without --plan", CANARY),
    (f"{CANARY} --stage v1", f"{CANARY} has no flag --stage", "", f"--help {CANARY}"),
    (f"--plan {CANARY}", "before the task", f"a flag of {CANARY}", f"{CANARY} --plan"),
    ("--delay=7s lab.istio.fault", "before the task", "a flag of lab.istio.fault", "lab.istio.fault --delay=7s"),
    (f"{CANARY} doctor --to v1", "doctor has no flag --to", f"a flag of {CANARY}", f"{CANARY} --to v1 doctor"),
    ("--lst", "Invoke has no flag --lst", "mean --list?", "--list"),
    (f"{CANARY} --plan=yes", "--plan takes no value", "", f"{CANARY} --plan"),
    (f"{CANARY} --to", "needs a value: Move straight to this stage (none, v1,", "", f"{CANARY} --to v1"),
    (f"{CANARY} --to --plan", "needs a value", "", f"{CANARY} --to v1 --plan"),
    (f"{CANARY} --step --plan", "needs a value", "", f"{CANARY} --step 1 --plan"),
    ("lab.istio.fault --delay", "needs a value", "", "lab.istio.fault --delay 7s"),
    (f"{CANARY} --weights", "needs a value", "", f"--help {CANARY}"),
    (f"{CANARY} -f", "needs a value", "", f"--help {CANARY}"),
    (f"{CANARY} --to v1 --to v3", "it has one value", "", f"--help {CANARY}"),
    (f"{CANARY} --to=v1 --to=v3", "it has one value", "", f"--help {CANARY}"),
    (f"{CANARY} -T abc", "'abc' is no whole number", "", "--help"),
    (f"{CANARY} --list lab.istio", "ambiguous", "", "--help"),
    ("lab.istio.cleanup -- --plan", "no task takes words after --", "", "lab.istio.cleanup --plan"),
    ("--help lab.istio.cannary", "none of that name", f"mean {CANARY}?", f"--help {CANARY}"),
    ("--list lab.isto", "no group of tasks of that name", "mean lab.istio?", "--list lab.istio"),
    ("--list xyz", "no group of tasks of that name", "", "--list"),
    (f"--list {CANARY}", "it is a task", "", f"--help {CANARY}"),
    ("--list --list-format xml", "--list-format is flat, nested or json", "", "--help"),
    # Flags of Invoke's own with a lab, which ran all the same.
    (f"{CANARY} -p", "means nothing to labs", "did you mean --plan?", f"{CANARY} --plan"),
    (f"-p {CANARY}", "means nothing to labs", "did you mean --plan?", f"{CANARY} --plan"),
    (f"{CANARY} --pty --to v1", "means nothing to labs", "did you mean --plan?", f"{CANARY} --plan --to v1"),
    ("lab.istio doctor -p", "means nothing to labs", "did you mean --plan?", "lab.istio --plan doctor"),
    (f"{CANARY} -pe", "means nothing to labs", "", "--help"),
    (f"-w {CANARY}", "means nothing to labs", "", CANARY),
    (f"{CANARY} --hide both --to v1", "means nothing to labs", "", f"{CANARY} --to v1"),
    (f"-D 1 {CANARY}", "means nothing to labs", "", CANARY),
    (f"{CANARY} --list-format=json", "means nothing to labs", "", CANARY),
    (f"{CANARY} -T 5 -p", "means nothing to labs", "did you mean --plan?", f"{CANARY} --plan"),
    # Two mistakes: the first one is told, and both are put right, or the line is not suggested.
    ("lab.istio.cannary --plann --too v1", "none of that name", f"mean {CANARY}?", f"{CANARY} --plan --to v1"),
    ("lab.istio.cannary --frobnicate", "none of that name", f"mean {CANARY}?", "--list"),
]


@pytest.mark.parametrize(("line", "came_back", "likely", "following"), MISTAKES, ids=[one[0] for one in MISTAKES])
def test_a_mistyped_line_is_put_right(typed: Type, line: str, came_back: str, likely: str, following: str) -> None:
    ran = typed(line)
    assert (ran.status, ran.out) == (2, "")
    assert came_back in ran.told["came back"]
    assert likely in ran.told.get("likely", "")
    assert ("likely" in ran.told) == bool(likely)
    assert ran.told["next"] == f"invoke {following}"


def test_it_is_so_in_a_process_of_its_own() -> None:
    ran = subprocess.run(
        [BIN / "invoke", "lab.istio.cannary", "--plan"],
        cwd=ROOT,
        env=os.environ,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "next       invoke lab.istio.canary --plan\n" in ran.stderr


@pytest.mark.parametrize("line", ["--list", "--list lab.istio", "--help lab.istio.canary", "--list --list-depth 1"])
def test_what_can_be_read_is_shown(typed: Type, line: str) -> None:
    ran = typed(line)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out


def test_what_is_being_typed_is_completed(typed: Type) -> None:
    assert "--promote-stages" in typed("--complete -- invoke lab.istio.canary --pr").out.splitlines()
    assert CANARY in typed("--complete -- invoke lab.istio.cannary --plan lab.").out.splitlines()

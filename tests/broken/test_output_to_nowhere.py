"""`> /dev/full` and `>&-`: it says that the output cannot be written. Seen: the state folder was blamed, and
`a defect in the workshop`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kit.workshop import BIN, Workshop
from workshop.settings import ROOT

FULL, CLOSED = "No space left on device", "it is closed"


def typed(workshop: Workshop, words: str, redirected: str) -> subprocess.CompletedProcess[str]:
    """As a shell starts it."""
    return subprocess.run(
        ["bash", "-c", f'"$0" {words} {redirected}', BIN / "invoke"],
        cwd=ROOT,
        env=workshop.environment,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("redirected", "said"), [("> /dev/full", FULL), (">&-", CLOSED)])
@pytest.mark.parametrize(
    "words",
    [
        "--list",
        "--help lab.istio.canary",
        "lab.istio.canary --explain",
        "lab.istio.inject --plan",
        "doctor",
    ],
)
def test_what_only_shows_something_says_that_it_cannot(
    workshop: Workshop, words: str, redirected: str, said: str
) -> None:
    ran = typed(workshop, words, redirected)
    assert ran.returncode == 2
    told = " ".join(ran.stderr.split())
    assert f"tried write to the standard output came back {said}" in told
    assert told.endswith(f"next invoke {words} # with the output elsewhere")
    assert "INVOKE_STATE" not in told
    assert "defect" not in told


@pytest.mark.parametrize("redirected", ["> /dev/full", ">&-", "> /dev/full 2> /dev/full", ">&- 2>&-"])
def test_a_run_whose_output_cannot_be_written_does_not_begin(workshop: Workshop, redirected: str) -> None:
    ran = typed(workshop, "lab.istio.install", redirected)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    plan = workshop.run("lab.istio.install", "--plan")
    assert "1 of 1 step would change something" in plan.said


@pytest.mark.parametrize("redirected", ["2> /dev/full", "2>&-"])
def test_where_only_errors_cannot_be_written_what_needs_none_works(workshop: Workshop, redirected: str) -> None:
    ran = typed(workshop, "lab.istio.inject --plan", redirected)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "would change something" in ran.stdout
    wrong = typed(workshop, "lab.istio.inject --step x", redirected)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", "")


def test_without_an_input_a_question_is_refused(workshop: Workshop) -> None:
    ran = typed(workshop, "lab.istio.inject --pause", "<&-")
    assert ran.returncode == 2
    assert "there is no terminal to ask at" in ran.stdout


def test_closed_descriptors_are_not_taken_by_files_of_the_workshop(workshop: Workshop, tmp_path: Path) -> None:
    """Else what is printed goes into the next file that is opened: the journal, say."""
    probe, found = tmp_path / "probe.py", tmp_path / "found"
    probe.write_text(
        "import os, sys, tasks\n"
        "from invoke import main, task\n"
        "@task\n"
        "def probe(context):\n"
        "    opened = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "    print('lost', flush=True)\n"
        "    os.write(opened, str(opened).encode())\n"
        "tasks.ns.add_task(probe)\n"
        "main.program.namespace = tasks.ns\n"
        "main.program.run('invoke probe')\n"
    )
    ran = subprocess.run(
        ["bash", "-c", f'PYTHONPATH="{ROOT}" "$0" "$1" "$2" <&- >&- 2>&-', BIN / "python", probe, found],
        cwd=ROOT,
        env=workshop.environment,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert int(found.read_text()) > 2

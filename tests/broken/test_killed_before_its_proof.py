"""Applied and not proved is not converged. Seen on the real mesh: after the circuit breaker's proof had failed, a
plain `lab.istio` showed that step `unchanged` and ended with 0."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

from tests.kit.workshop import Workshop, until

TITLE = "Check the cluster and install Istio"


def recorded(workshop: Workshop) -> list[str]:
    with contextlib.closing(sqlite3.connect(workshop.state / "journal.sqlite")) as journal:
        return [str(row) for row in journal.execute("select * from unproved")]


@pytest.fixture(scope="module")
def killed(workshop: Workshop) -> Workshop:
    """`kill -9` when Istio is installed and the proof has begun, with the version."""
    process = workshop.start("-e", "lab.istio.install")
    said = until(process, r"\$ istioctl version")
    process.kill()
    process.communicate()
    assert "changed" not in said
    for file in workshop.state.glob("journal.sqlite*"):
        shutil.copy(file, workshop.state / f"killed-{file.name}")
    return workshop


def test_the_next_run_proves_what_was_applied(killed: Workshop) -> None:
    for words in (("lab.istio.install",), ("lab.istio.inject",), ("lab.istio",)):
        plan = killed.run(*words, "--plan")
        assert plan.status == 0
        assert f"? unproved      1 {TITLE}" in plan.said
        assert "1 step was applied before and not proved" in plan.said
    refused = killed.run("lab.istio.inject", "--only")
    assert refused.status == 2
    assert "next       invoke lab.istio.install" in refused.said
    ran = killed.converge("-e", "lab.istio.install")
    assert ran.titled("unchanged") == [TITLE]
    assert "$ istioctl version" in ran.said
    assert "istioctl install" not in ran.said
    assert "applied by an earlier run, proved now" in ran.said
    assert "Converged" in killed.converge("lab.istio.install", "--plan").said
    assert "istioctl version" not in killed.converge("-e", "lab.istio.install").said


def test_a_record_of_a_sandbox_that_has_ended_makes_no_trouble(killed: Workshop) -> None:
    """The cluster is another one: what was applied there is gone, and so is what was to be proved. The record is
    the killed run's, from before another one proved it."""
    killed.converge("sandbox.down")
    for file in killed.state.glob("journal.sqlite*"):
        file.unlink()
    for file in killed.state.glob("killed-*"):
        file.rename(killed.state / file.name.removeprefix("killed-"))
    killed.converge("sandbox.up")
    assert TITLE in "\n".join(recorded(killed))
    plan = killed.converge("lab.istio.install", "--plan")
    assert "unproved" not in plan.said
    assert killed.converge("lab.istio.install").titled("changed") == [TITLE]
    assert "Converged" in killed.converge("lab.istio.install", "--plan").said

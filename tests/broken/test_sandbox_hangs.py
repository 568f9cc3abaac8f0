"""A sandbox that is there and does nothing: its process is stopped, or hangs. Seen: `doctor` suggested
`sandbox.up`, which said that the sandbox runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from sandbox.server import launcher
from sandbox.server.launcher import NoAnswer, Running
from tests.kit.workshop import Workshop


@pytest.fixture
def stopped(workshop: Workshop) -> Iterator[Running]:
    running = launcher.ensure(workshop.state / "sandbox")
    os.kill(running.pid, signal.SIGSTOP)
    yield running
    os.kill(running.pid, signal.SIGCONT)


def test_who_asks_is_told_within_a_few_seconds(workshop: Workshop, stopped: Running) -> None:
    asked = {
        words: workshop.start(words) for words in ("sandbox.up", "sandbox.status", "doctor", "lab.istio.inject")
    }
    for words, process in asked.items():
        said = " ".join(process.communicate(timeout=60)[0].split())
        assert process.returncode == (1 if words == "doctor" else 2), said
        assert f"the sandbox does not answer at {stopped.url} within 5 s (process {stopped.pid})" in said
        assert f"kill -CONT {stopped.pid}" in said
        assert "invoke sandbox.down && invoke sandbox.up" in said


def test_one_that_goes_on_answers(workshop: Workshop, stopped: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(launcher, "_ANSWER_SECONDS", 0.2)
        with pytest.raises(NoAnswer):
            launcher.whole(workshop.state / "sandbox")
    os.kill(stopped.pid, signal.SIGCONT)
    assert launcher.whole(workshop.state / "sandbox") == stopped

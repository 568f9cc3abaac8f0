"""The sandbox is ended while a lab runs on it."""

from __future__ import annotations

import signal

from tests.labs.conftest import Workshop, until, workshop

__all__ = ["workshop"]


def test_sandbox_down_asks_while_a_run_is_on_and_the_run_names_what_is_gone(workshop: Workshop) -> None:
    lab = workshop.start("lab.istio.adopt")
    seen = until(lab, "changed ")
    lab.send_signal(signal.SIGSTOP)
    refused = workshop.run("sandbox.down")
    assert refused.status == 2
    assert f"process {lab.pid}" in refused.said
    assert "sandbox.down --yes" in refused.said
    stopped = workshop.run("sandbox.down", "--yes")
    lab.send_signal(signal.SIGCONT)
    assert (stopped.status, stopped.said.strip()) == (0, "the sandbox is stopped")
    said = seen + lab.communicate(timeout=120)[0]
    assert lab.returncode == 1, said
    assert "the cluster is not running, or this machine cannot reach it" in said
    assert "invoke sandbox.up" in said
    assert "leases" not in said
    assert "Refused" not in said

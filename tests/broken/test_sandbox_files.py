"""Files of a running sandbox that something else has overwritten: each is named by whoever meets it, with what to
type, and what is typed helps. No file keeps a sandbox from being stopped and started.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labs.conftest import Workshop, workshop

__all__ = ["workshop"]

AGAIN = "invoke sandbox.down && invoke sandbox.up"


def joined(said: str) -> str:
    """Tables fold what they show, paths too."""
    return "".join(said.split())


def refused(workshop: Workshop, words: str, damaged: Path, status: int) -> None:
    ran = workshop.run(*words.split())
    assert ran.status == status, ran.said
    assert "Error:" not in ran.said
    assert "defect" not in ran.said
    assert joined(f"{damaged} is damaged") in joined(ran.said)
    assert joined(AGAIN) in joined(ran.said)


@pytest.fixture
def running(workshop: Workshop) -> Workshop:
    """Also after a test that has damaged something: by what it says to type."""
    for task in ("sandbox.down", "sandbox.up"):
        workshop.converge(task)
    return workshop


@pytest.mark.parametrize("content", [b"{", b'{"pid": "x"}', b"\xff"], ids=repr)
def test_server_json_damaged(running: Workshop, content: bytes) -> None:
    damaged = running.state / "sandbox" / "server.json"
    damaged.write_bytes(content)
    refused(running, "sandbox.status", damaged, 2)
    if content == b"{":
        refused(running, "sandbox.up", damaged, 2)
        refused(running, "lab.istio.inject", damaged, 2)
        refused(running, "doctor", damaged, 1)


def test_server_json_deleted(running: Workshop) -> None:
    (running.state / "sandbox" / "server.json").unlink()
    assert "the sandbox is stopped" in running.converge("sandbox.down").said
    assert "the sandbox runs" in running.converge("sandbox.up").said


@pytest.mark.parametrize("content", [b"{ not: [a", b"hello"], ids=repr)
def test_kubeconfig_damaged(running: Workshop, content: bytes) -> None:
    damaged = running.state / "sandbox" / "kubeconfig"
    damaged.write_bytes(content)
    refused(running, "lab.istio.inject", damaged, 2)
    refused(running, "doctor", damaged, 1)


def test_kubeconfig_emptied(running: Workshop) -> None:
    damaged = running.state / "sandbox" / "kubeconfig"
    damaged.write_bytes(b"")
    for words, status in (("lab.istio.inject", 2), ("doctor", 1)):
        ran = running.run(words)
        assert ran.status == status, ran.said
        assert joined("has no context primary; it has none") in joined(ran.said)
        assert joined(AGAIN) in joined(ran.said)


@pytest.mark.parametrize("content", [b"{", b"{}"], ids=repr)
def test_azure_json_damaged(running: Workshop, content: bytes) -> None:
    damaged = running.state / "sandbox" / "azure.json"
    damaged.write_bytes(content)
    refused(running, "lab.azure.group", damaged, 2)
    refused(running, "doctor", damaged, 1)

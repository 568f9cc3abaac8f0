"""`lab.istio.cleanup` 3 s after a lab began elsewhere. Seen: `Converged 30 unchanged` beside the running lab."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.workshop import Workshop, until


@pytest.fixture(scope="module")
def elsewhere(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Path]:
    """Another state folder, and a profile that leads from there to the same cluster, as a second person has it."""
    workshop.converge("sandbox.up")
    state = tmp_path_factory.mktemp("elsewhere")
    profile = state / "cluster.yaml"
    kubeconfig = workshop.state / "sandbox" / "kubeconfig"
    profile.write_text(f"target: cluster\ncluster: {{context: primary, kubeconfig: '{kubeconfig}'}}\n")
    return Workshop(state), profile


@contextlib.contextmanager
def changing(workshop: Workshop) -> Iterator[subprocess.Popen[str]]:
    """A lab that has taken the lock and is not at its end."""
    process = workshop.start("-e", "lab.istio.inject")
    until(process, r"\$ istioctl x precheck")
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)


def test_cleanup_is_refused_also_when_it_finds_nothing_to_do(
    workshop: Workshop, elsewhere: tuple[Workshop, Path]
) -> None:
    other, profile = elsewhere
    with changing(workshop) as lab:
        for words in (("lab.istio.cleanup", "--yes"), ("lab.istio.bookinfo", "--undo", "--yes")):
            ran = other.run("-f", str(profile), *words)
            assert ran.status == 2
            assert f"process {lab.pid}" in ran.said
            assert "take the lock of the cluster primary" in ran.unfolded
            assert "unchanged" not in ran.said
        same_folder = workshop.run("lab.istio.cleanup", "--yes")
        assert same_folder.status == 2
        assert f"process {lab.pid}" in same_folder.said
    assert lab.returncode == 0


def stopped_while_it_holds_the_lock(workshop: Workshop) -> subprocess.Popen[str]:
    """While it waits for pods: on a busy machine it may be over before it is stopped."""
    for _ in range(20):
        workshop.converge("lab.istio.bookinfo", "--undo", "--yes")
        process = workshop.start("-e", "lab.istio.bookinfo")
        until(process, r"= kubectl [^$]*apply")
        process.send_signal(signal.SIGSTOP)
        if str(process.pid) in workshop.by_hand("kubectl get lease -n workshop-system -o yaml"):
            return process
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    raise AssertionError("it was over each time")


def test_a_lab_that_finds_everything_converged_is_refused_as_well(
    workshop: Workshop, elsewhere: tuple[Workshop, Path]
) -> None:
    other, profile = elsewhere
    workshop.converge("lab.istio.install")
    process = stopped_while_it_holds_the_lock(workshop)
    try:
        ran = other.run("-f", str(profile), "lab.istio.install")
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    assert ran.status == 2
    assert ran.outcomes == ["unchanged"]
    assert f"process {process.pid}" in ran.said
    assert other.converge("-f", str(profile), "lab.istio.install").outcomes == ["unchanged"]

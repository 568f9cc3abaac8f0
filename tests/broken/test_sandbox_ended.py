"""The sandbox is ended while a lab runs on it: whatever the lab does at that moment, it says that the cluster is
gone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.runs import Recorded
from tests.kit.workshop import BIN, Workshop, until
from workshop.kubernetes.cluster_guard import LOCK, NAMESPACE, ClusterGuard, kept
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import UNREACHABLE, KubectlError
from workshop.kubernetes.lease import Holder, Lease, Lost
from workshop.kubernetes.manifests import namespace_object
from workshop.kubernetes.proofs import refuse_if_changed
from workshop.mesh.istioctl import Istioctl, IstioctlError
from workshop.runbook.state_folder import FolderLock
from workshop.settings import ROOT

UP = "invoke sandbox.up"


@pytest.fixture
def ended(kubectl: Kubectl, tmp_path: Path) -> Kubectl:
    """Where nobody listens, as after the sandbox's end."""
    content = json.loads(kubectl.kubeconfig.read_text())
    for each in content["clusters"]:
        each["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "ended"
    path.write_text(json.dumps(content))
    return replace(kubectl, kubeconfig=path, start_hint=UP)


def test_killed_while_istioctl_installs(workshop: Workshop) -> None:
    workshop.converge("sandbox.up")
    running = launcher.status(workshop.state / "sandbox")
    assert running
    lab = workshop.start("-e", "lab.istio.install")
    seen = until(lab, r"istioctl install")
    os.kill(running.pid, signal.SIGKILL)
    said = seen + lab.communicate(timeout=120)[0]
    assert lab.returncode == 1, said
    assert UNREACHABLE in said
    assert UP in said


async def test_gone_while_a_probe_runs(ended: Kubectl, istioctl: Istioctl) -> None:
    """Seen: `0 of 1,365 answers, too few to tell`, which is no cause."""
    with pytest.raises(KubectlError) as failed:
        await refuse_if_changed(Recorded(ended, istioctl), [namespace_object("default")], "too few to tell")
    assert (failed.value.cause, failed.value.next_command) == (UNREACHABLE, UP)


async def test_gone_while_istioctl_is_called(ended: Kubectl, istioctl: Istioctl) -> None:
    gone = replace(istioctl, kubeconfig=ended.kubeconfig, start_hint=UP)
    with pytest.raises(IstioctlError) as failed:
        await gone.versions()
    assert (failed.value.cause, failed.value.next_command) == (UNREACHABLE, UP)
    with pytest.raises(IstioctlError) as failed:
        await replace(gone, start_hint="").versions()
    assert failed.value.next_command.endswith("cluster-info")


async def test_gone_while_the_lock_is_renewed(kubectl: Kubectl, ended: Kubectl) -> None:
    """It is not the lock that is missed."""
    await ClusterGuard(kubectl, "sandbox", disposable=True).adopt()
    lease = Lease(kubectl, NAMESPACE, LOCK, Holder.me(), lasts=2, renewed_every=0.05)
    await lease.acquire()
    lease._kubectl = ended
    with pytest.raises(Lost) as lost:
        async with kept(lease):
            await asyncio.sleep(60)
    assert lost.value.tried.startswith("reach the cluster primary")
    assert lost.value.cause.startswith(UNREACHABLE)
    assert lost.value.next_command == UP


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


@pytest.mark.parametrize(
    ("answer", "said"),
    [("\n", "goes on"), ("n\n", "goes on"), ("\x04", "goes on"), ("y\n", "is stopped")],
    ids=["enter", "no", "ctrl-d", "yes"],
)
def test_sandbox_down_at_a_terminal_asks_who_is_there(workshop: Workshop, answer: str, said: str) -> None:
    launcher.ensure(workshop.state / "sandbox")
    with FolderLock(workshop.state, "ada@there, process 4711").held():
        ours, terminal = os.openpty()
        down = subprocess.Popen(
            [BIN / "invoke", "sandbox.down"],
            cwd=ROOT,
            env=workshop.environment,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.write(ours, answer.encode())
        told = down.communicate(timeout=60)[0]
        os.close(ours)
        os.close(terminal)
    assert re.search(r"another run has it: ada@there, process 4711, for \d+ s\. It would lose its cluster", told)
    assert told.strip().endswith(f"the sandbox {said}")
    assert down.returncode == 0
    assert launcher.is_there(workshop.state / "sandbox") == (said == "goes on")


def test_one_that_runs_is_kept(workshop: Workshop) -> None:
    refused = workshop.run("sandbox.up", "--for", "12 hours")
    assert refused.status == 2
    assert "--for is '12 hours'; it has to be a time as 30m, 12h or 2d" in refused.said
    launcher.stop(workshop.state / "sandbox")
    assert "(until nobody uses it for 1 h)" in workshop.converge("sandbox.up").said
    assert "(until nobody uses it for 1 h, at least until 2" in workshop.converge("sandbox.up", "--for", "12h").said
    assert "at least until 2" in workshop.converge("sandbox.status").said


def test_sandbox_down_asks_nothing_where_there_is_no_sandbox(workshop: Workshop) -> None:
    """The run is on another target."""
    launcher.stop(workshop.state / "sandbox")
    with FolderLock(workshop.state, "ada@there").held():
        assert "the sandbox was not running" in workshop.converge("sandbox.down").said

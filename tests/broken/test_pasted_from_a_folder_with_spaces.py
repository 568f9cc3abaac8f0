"""What an error says to type next is pasted into a shell, also where the state folder's path has spaces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.azure import own_kubeconfig as kubeconfig
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError
from workshop.kubernetes.other_clusters import secondary
from workshop.runbook.errors import UsageError
from workshop.runbook.journal import Journal

_KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
contexts: [{name: primary, context: {cluster: c, user: u}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Überstunden im 'Café'"
    made.mkdir()
    return made


def paste(command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_broken_journal_is_moved_away(folder: Path) -> None:
    path = folder / "journal"
    path.write_text("this is not a database" * 100)
    with pytest.raises(UsageError) as refused:
        Journal(path).operation("x")
    assert paste(refused.value.next_command).returncode == 0
    assert (folder / "journal.broken").exists()


async def test_a_context_that_is_not_there_is_looked_for(folder: Path) -> None:
    (folder / "kubeconfig").write_text(_KUBECONFIG)
    kubectl = Kubectl(Path(sys.executable).parent / "kubectl", folder / "kubeconfig", "typo", folder / "cache")
    with pytest.raises(KubectlError) as failed:
        await kubectl.get_items("pods")
    assert "primary" in paste(failed.value.next_command).stdout
    with pytest.raises(UsageError) as refused:
        secondary(kubectl, "typo")
    assert "primary" in paste(refused.value.next_command).stdout


def test_a_kubeconfig_that_is_a_folder_is_listed(folder: Path) -> None:
    with pytest.raises(UsageError) as refused:
        kubeconfig.read(folder)
    assert str(folder) in paste(refused.value.next_command).stdout

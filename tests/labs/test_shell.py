"""`invoke shell` on every target, at a terminal and with commands from a pipe. Which startup files shells read, and
what becomes of it, is in tests/test_startup_files.py."""

from __future__ import annotations

import base64
import json
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.terminal import at_terminal
from tests.kit.workshop import BIN, Ran, Workshop
from workshop.kubernetes.kubeconfigs import content_of
from workshop.settings import ROOT


@pytest.fixture(scope="module")
def sandbox(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    workshop.by_hand("kubectl create namespace here")
    return workshop


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".bashrc").write_text("export KUBECONFIG=/theirs PATH=/usr/bin:/bin PS1='me> '\n")
    return tmp_path


def kubeconfig_of(sandbox: Workshop) -> Any:
    return content_of(sandbox.state / "sandbox" / "kubeconfig")


def typed(workshop: Workshop, home: Path, words: list[str], *lines: str) -> Ran:
    """At a terminal, in bash."""
    environment = {**workshop.environment, "HOME": str(home), "SHELL": "/bin/bash", "TERM": "dumb"}
    keys = [("me> ", line) for line in (*lines, "exit 7")]
    return Ran(*at_terminal([str(BIN / "invoke"), *words], keys, environment=environment, folder=ROOT))


def test_on_the_sandbox_at_a_terminal(sandbox: Workshop, home: Path) -> None:
    sandbox.by_hand("kubectl config use-context secondary")
    ran = typed(sandbox, home, ["shell"], "kubectl get namespaces -o name", "echo at=$KUBECONFIG; istioctl version")
    assert ran.status == 7, ran.said
    assert "kubectl and istioctl talk to the sandbox's ready-made cluster" in ran.said
    assert "the current context was secondary; it is primary again" in ran.said
    assert "(sandbox primary) me> " in ran.said
    assert "namespace/here" in ran.said
    assert f"at={sandbox.state}/sandbox/kubeconfig" in ran.said
    assert "client version: 1.31.1-sandbox" in ran.said


@pytest.fixture
def theirs(sandbox: Workshop, tmp_path: Path) -> Path:
    """The user's own kubeconfig, with a certificate beside it and another context that is the current one."""
    content = kubeconfig_of(sandbox)
    cluster = content["clusters"][0]["cluster"]
    (tmp_path / "ca.pem").write_bytes(base64.b64decode(cluster.pop("certificate-authority-data")))
    cluster["certificate-authority"] = "ca.pem"
    entry = {"cluster": "primary", "user": "primary", "namespace": "here"}
    content["contexts"] += [{"name": "mine", "context": entry}, {"name": "production", "context": {"cluster": "x"}}]
    content["current-context"] = "production"
    path = tmp_path / "their kubeconfig"
    path.write_text(json.dumps(content))
    path.chmod(0o644)
    profile = tmp_path / "cluster.yaml"
    profile.write_text(
        "target: cluster\nistio: {download: 'http://127.0.0.1:9'}\n"
        f"cluster: {{context: mine, secondary: secondary, kubeconfig: '{path}'}}\n"
    )
    return path


def test_on_a_cluster_with_a_kubeconfig_of_its_own(sandbox: Workshop, home: Path, theirs: Path) -> None:
    before = theirs.read_text()
    words = ["-f", str(theirs.with_name("cluster.yaml")), "shell"]
    ran = typed(
        sandbox,
        home,
        words,
        "kubectl get serviceaccounts",
        "kubectl config get-contexts -o name | tr '\\n' ' '; stat -c 'mode=%a' $KUBECONFIG",
        "kubectl config set-context --current --namespace=kube-system",
        "kubectl config use-context secondary",
        "echo at=$KUBECONFIG; readlink $(type -p kubectl)",
    )
    assert ran.status == 7, ran.said
    assert "(cluster mine) me> " in ran.said
    assert "default" in ran.said
    assert "mine secondary mode=600" in ran.said
    assert "(cluster secondary) me> " in ran.said
    assert str(BIN / "kubectl") in ran.said
    assert theirs.read_text() == before
    (at,) = re.findall(r"at=(/\S+)", ran.said)
    assert Path(at).is_relative_to(sandbox.state)
    assert not Path(at).exists()


@pytest.mark.parametrize(
    ("context", "said"), [("none", "has no context none; it has"), ("production", "does not say")]
)
def test_on_a_cluster_that_is_not_in_the_kubeconfig(
    sandbox: Workshop, theirs: Path, context: str, said: str
) -> None:
    profile = theirs.with_name("cluster.yaml")
    profile.write_text(profile.read_text().replace("context: mine", f"context: {context}"))
    ran = sandbox.run("-f", str(profile), "shell")
    assert ran.status == 2
    assert said in ran.unfolded


def test_on_azure_with_the_workshop_s_kubeconfig(sandbox: Workshop, tmp_path: Path) -> None:
    profile, state = tmp_path / "azure.yaml", tmp_path / "state"
    profile.write_text(
        "target: azure\nistio: {download: 'http://127.0.0.1:9'}\n"
        "azure: {subscription: 12345678-1234-1234-1234-123456789012}\n"
    )
    there = Workshop(state)
    refused = there.run("-f", str(profile), "shell")
    assert refused.status == 2
    assert "next       invoke -f " in refused.said
    assert "lab.azure\n" in refused.said
    state.mkdir()
    (state / "kubeconfig").write_text(json.dumps(kubeconfig_of(sandbox)))
    ran = there.run("-f", str(profile), "shell", stdin="kubectl get namespaces -o name; echo $KUBECONFIG; exit 5")
    assert "namespace/here" in ran.said
    assert f"{state}/kubeconfig" in ran.said
    assert ran.status == 5
    assert stat.S_IMODE((state / "shell").stat().st_mode) == 0o700
    assert not list((state / "shell").iterdir())


def test_what_is_only_for_the_sandbox_is_refused_elsewhere(sandbox: Workshop, theirs: Path) -> None:
    profile = str(theirs.with_name("cluster.yaml"))
    for task in ("sandbox.shell", "sandbox.status"):
        ran = sandbox.run("-f", profile, task)
        assert ran.status == 2
        assert "the target is cluster" in ran.said


def test_a_shell_that_is_none_or_not_known(sandbox: Workshop, home: Path) -> None:
    ran = sandbox.run("shell", SHELL="/none/there")
    assert ran.status == 2
    assert "SHELL=/bin/sh invoke shell" in ran.said
    environment = {**sandbox.environment, "SHELL": sys.executable, "TERM": "dumb"}
    keys = [
        (">>> ", "\x03"),
        ("KeyboardInterrupt\r\n>>> ", "import os; print('at=' + os.environ['KUBECONFIG']); exit(3)"),
    ]
    status, seen = at_terminal([str(BIN / "invoke"), "shell"], keys, environment=environment, folder=ROOT)
    assert status == 3
    assert f"at={sandbox.state}/sandbox/kubeconfig" in seen
    assert f"warning: what {Path(sys.executable).name} reads as it starts may set another KUBECONFIG" in seen

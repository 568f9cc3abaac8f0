"""What is wrong with Azure's settings ends a command before it shows, looks at or changes anything.

Lines are read by the stock Program of Invoke, in this process.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.main import program

from labs import RUNBOOK
from tests.kit.workshop import Ran
from workshop import settings
from workshop.parts import parts_of
from workshop.runbook.request import Request
from workshop.settings import ROOT

REFUSED = "azure.service.dns_ip is '10.3.0.10'; it has to be inside"


@dataclass(frozen=True)
class Workshop:
    state: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def run(self, *words: str) -> Ran:
        self.monkeypatch.setattr(sys, "argv", ["invoke", *words])
        status = 0
        try:
            program.run()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Ran(status, "".join(self.capfd.readouterr()))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Workshop:
    """One that has no sandbox, no login at Azure and a wide terminal."""
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "PATH": "",
        "HOME": str(tmp_path),
        "COLUMNS": "300",
        "NO_COLOR": "1",
        "INVOKE_STATE": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    return Workshop(tmp_path / "state", monkeypatch, capfd)


def written(tmp_path: Path, text: str) -> str:
    profile = tmp_path / "my.yaml"
    profile.write_text(text)
    return str(profile)


@pytest.mark.parametrize(
    "words",
    [
        ("lab",),
        ("lab.azure",),
        ("lab.azure", "--plan"),
        ("lab.azure", "--explain"),
        ("lab.azure.cleanup", "--yes"),
    ],
)
def test_what_azure_would_refuse_is_refused_once_and_first(
    workshop: Workshop, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = workshop.run("-f", written(tmp_path, "azure:\n  service: {dns_ip: 10.3.0.10}\n"), *words)
    assert ran.status == 2
    assert ran.said.startswith(f"tried      read {tmp_path}/my.yaml, line 2\ncame back  {REFUSED}")
    assert ran.said.count("\n") == 2
    assert not workshop.state.exists()


def test_it_is_refused_for_labs_on_clusters_that_were_made_at_azure(workshop: Workshop, tmp_path: Path) -> None:
    there = "subscription: 12345678-1234-1234-1234-123456789012"
    profile = written(tmp_path, f"target: azure\nazure: {{{there}, service: {{dns_ip: 10.3.0.10}}}}\n")
    ran = workshop.run("-f", profile, "lab.istio", "--explain")
    assert (ran.status, REFUSED in ran.said) == (2, True)


@pytest.mark.parametrize("target", ["sandbox", "cluster"])
def test_labs_that_make_nothing_at_azure_do_not_ask_for_its_settings(
    workshop: Workshop, tmp_path: Path, target: str
) -> None:
    (tmp_path / "kubeconfig").touch()
    cluster = f"{{context: mine, kubeconfig: {tmp_path}/kubeconfig}}"
    profile = written(
        tmp_path, f"target: {target}\ncluster: {cluster}\nazure: {{service: {{dns_ip: 10.3.0.10}}}}\n"
    )
    assert workshop.run("-f", profile, "lab.istio", "--explain").status == 0


@pytest.mark.parametrize("words", [("lab.azure",), ("lab.azure", "--plan"), ("lab.azure.cleanup", "--yes")])
def test_without_a_login_nothing_begins(workshop: Workshop, tmp_path: Path, words: tuple[str, ...]) -> None:
    profile = written(tmp_path, "target: azure\nazure: {subscription: 12345678-1234-1234-1234-123456789012}\n")
    ran = workshop.run("-f", profile, *words)
    assert ran.status == 2, ran.said
    assert ran.said.startswith("tried      log in to Azure\ncame back  there is no credential for Azure")
    assert ran.said.count("there is no credential") == 1
    assert not list(workshop.state.glob("**/*.sqlite"))


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (["azure.group istio.install"], ["azure.group: account", "istio.install: there"]),
        (["azure.credentials istio.install"], ["azure.credentials: account", "istio.install: made"]),
        (["azure.credentials", "istio.install"], ["azure.credentials: account", "istio.install: made"]),
        (
            ["azure.credentials", "azure.cleanup", "istio.install"],
            ["azure.credentials: account", "azure.cleanup: account", "istio.install: there"],
        ),
        (["istio.install", "azure.credentials"], ["istio.install: there", "azure.credentials: account"]),
    ],
)
def test_labs_on_a_cluster_run_on_the_one_that_labs_before_them_make(asked: list[str], parts: list[str]) -> None:
    """Else on the one that is there: a group alone makes none."""
    requests = [Request(tuple(labs.split())) for labs in asked]
    found = [
        f"{' '.join(part.request.labs)}: {'account' if part.use.account else 'made' if part.use.made else 'there'}"
        for part in parts_of(settings.collected({}), RUNBOOK, requests)
    ]
    assert found == parts


@pytest.mark.parametrize(
    "words",
    [
        ("lab.azure", "--plan"),
        ("lab.azure.cleanup", "--yes"),
        ("lab.istio.install", "--explain"),
        ("doctor",),
        ("adopt",),
        ("sandbox.status",),
    ],
)
def test_the_subscription_of_the_profile_that_comes_with_the_workshop_is_named_before_a_login_is_asked_for(
    workshop: Workshop, words: tuple[str, ...]
) -> None:
    ran = workshop.run("-f", "config/azure.yaml", *words)
    assert ran.status == 2, ran.said
    assert ran.said.splitlines() == [
        "tried      read config/azure.yaml, line 4",
        "came back  azure.subscription is still the placeholder 00000000-0000-0000-0000-000000000000",
        "likely     the profile that comes with the workshop names none; put the id of your own subscription there",
        "next       az account list --output table",
    ]
    assert not workshop.state.exists()


@pytest.mark.parametrize(
    ("words", "typed"), [(("lab.istio", "--plan"), "lab.azure --plan"), (("lab.istio",), "lab.azure")]
)
def test_where_there_are_no_clusters_yet_what_makes_them_is_next_and_a_plan_s_is_a_plan(
    workshop: Workshop, tmp_path: Path, words: tuple[str, ...], typed: str
) -> None:
    profile = written(tmp_path, "target: azure\nazure: {subscription: 12345678-1234-1234-1234-123456789012}\n")
    ran = workshop.run("-f", profile, *words)
    assert ran.status == 2
    assert ran.said.splitlines()[-1] == f"next       invoke -f {profile} {typed}"


@pytest.mark.parametrize("words", [("lab.istio", "--plan"), ("lab.istio",), ("lab.istio", "--check"), ("adopt",)])
def test_the_context_of_the_profile_that_comes_with_the_workshop_is_named(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: mine, context: {cluster: mine, user: ''}}]\n")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    ran = workshop.run("-f", "config/cluster.yaml", *words)
    assert ran.status == 2, ran.said
    assert ran.said.splitlines() == [
        "tried      read config/cluster.yaml, line 4",
        "came back  cluster.context is still the placeholder my-context",
        "likely     the profile that comes with the workshop names no cluster; put the context of your own there",
        "next       kubectl config get-contexts",
    ]
    assert not workshop.state.exists()


@pytest.mark.parametrize("words", [("--plan",), (), ("--check",), ("--plan", "--only")])
@pytest.mark.parametrize(
    ("server", "next_command"),
    [("", "config get-contexts"), ("https://127.0.0.1:9", "cluster-info")],
    ids=["no context", "nobody answers"],
)
def test_a_cluster_that_cannot_be_reached_is_told_of_once(
    workshop: Workshop, tmp_path: Path, server: str, next_command: str, words: tuple[str, ...]
) -> None:
    name = "mine" if server else "other"
    (tmp_path / "kubeconfig").write_text(
        f"contexts: [{{name: {name}, context: {{cluster: one, user: ''}}}}]\n"
        f"clusters: [{{name: one, cluster: {{server: '{server}'}}}}]\n"
    )
    profile = written(tmp_path, f"target: cluster\ncluster: {{context: mine, kubeconfig: {tmp_path}/kubeconfig}}\n")
    ran = workshop.run("-f", profile, "lab.istio", *words)
    assert ran.status == 2, ran.said
    assert ran.said.count("came back") == 1, ran.said
    assert next_command in ran.said
    assert "the same reason" not in ran.said


@pytest.mark.parametrize("words", [("--plan",), ("--explain",), ("--check",), ("--dry",)])
def test_only_a_run_is_told_where_its_time_went(workshop: Workshop, words: tuple[str, ...]) -> None:
    core = words if words == ("--dry",) else ()
    ran = workshop.run(*core, "lab.istio.canary", "--timings", *(words if not core else ()))
    assert (ran.status, f"use --timings and {words[0]} together" in ran.said) == (2, True)
    assert not workshop.state.exists()

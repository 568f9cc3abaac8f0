"""`invoke doctor` with each of its problems provoked: it names the problem with its figures and what to type, and
ends with status 1; what only may go wrong is a warning."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.config import merge_dicts

from sandbox.arm.azure_settings import QUOTAS
from tests.kit.workshop import BIN, HANGS, Ran, Workshop
from workshop import console
from workshop.account import azure_of
from workshop.azure import preflight
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import Use, describe

NO_WAY = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def sandbox(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    return workshop


@pytest.fixture(scope="module")
def place(sandbox: Workshop) -> dict[str, str]:
    described: dict[str, str] = json.loads((sandbox.state / "sandbox" / "azure.json").read_text())
    return described


@pytest.fixture(autouse=True)
def restored(sandbox: Workshop, place: dict[str, str]) -> Iterator[None]:
    """The sandbox's Azure as it is by default, and where it is."""
    yield
    (sandbox.state / "sandbox" / "azure.json").write_text(json.dumps(place))
    sandbox.azure.set(providers={}, taken_names=[], not_actions=[], state="Enabled", quotas=dict(QUOTAS))


def examined(workshop: Workshop, *words: str, **variables: str) -> Ran:
    return joined(workshop.run(*words, "doctor", **variables))


def account(workshop: Workshop, **settings: Any) -> Ran:
    """The same of Azure alone: what else is looked at are processes, which take ten times as long."""
    content = merge_dicts(read_profile(DEFAULT_PROFILE), {"state": str(workshop.state), "azure": settings})
    tools = describe(from_config(content), Use(account=True)).account()
    assert tools
    findings, said = asyncio.run(preflight.examine(azure_of(tools))), io.StringIO()
    with console.open(said, debug=False) as screen:
        screen.show_findings("sandbox", findings)
    return joined(Ran(int(any(finding.state == "fail" for finding in findings)), said.getvalue()))


def joined(ran: Ran) -> Ran:
    """Lines are folded to the width of the table."""
    return Ran(ran.status, ran.unfolded)


def test_a_fresh_sandbox_is_well(sandbox: Workshop) -> None:
    ran = joined(sandbox.run("doctor"))
    assert ran.status == 0, ran.said
    assert "✓ Nothing would make a run fail" in ran.said
    for name in (
        "Python",
        "kubectl",
        "istioctl",
        "journal",
        "login",
        "network",
        "subscription",
        "vCPUs",
        "clusters",
        "permissions",
        "other meshes",
        "load balancers",
        "secondary permissions",
    ):
        assert f"ok {name}" in ran.said
    assert re.search(
        r"ok cost nothing here; at Azure about USD \d+\.\d\d an hour, \d+\.\d\d a day: an estimate", ran.said
    )


def test_it_changes_nothing(sandbox: Workshop) -> None:
    before = sorted(sandbox.state.iterdir())
    planned = sandbox.run("lab.azure", "--plan").said
    examined(sandbox)
    assert sandbox.run("lab.azure", "--plan").said == planned
    assert sorted(sandbox.state.iterdir()) == before


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"quotas": {"cores": 8}},
            "vCPUs Total Regional vCPUs: 0 of 8 used, 12 more needed (2 x 3 x Standard_DS2_v2)",
        ),
        (
            {"quotas": {"family": 10}},
            "vCPUs Standard DSv2 Family vCPUs: 0 of 10 used, 12 more needed (2 x 3 x Standard_DS2_v2)",
        ),
        ({"quotas": {"managedClusters": 1}}, "clusters 0 of 1 used in westeurope, 2 more needed"),
    ],
)
def test_a_quota_that_is_too_small(sandbox: Workshop, settings: dict[str, Any], problem: str) -> None:
    sandbox.azure.set(**settings)
    ran = account(sandbox)
    assert ran.status == 1
    assert f"✗ fail {problem}" in ran.said
    assert "✗ 1 problem would make a run fail" in ran.said


def test_a_login_that_may_not_give_roles(sandbox: Workshop) -> None:
    sandbox.azure.set(not_actions=["Microsoft.Authorization/*/write"])
    ran = account(sandbox)
    assert ran.status == 1
    assert "fail rights this login may not Microsoft.Authorization/roleAssignments/write" in ran.said
    assert "az role" not in ran.said, "it would ask the real Azure"


def test_a_registry_s_name_that_somebody_else_has(sandbox: Workshop) -> None:
    sandbox.azure.set(taken_names=["contoso"])
    ran = account(sandbox, registry="contoso")
    assert ran.status == 1
    assert "fail registry" in ran.said
    assert "contoso" in ran.said
    assert "azure.registry" in ran.said


def test_a_provider_that_is_not_registered_is_a_warning(sandbox: Workshop) -> None:
    sandbox.azure.set(providers={"Microsoft.ContainerService": "NotRegistered"})
    sandbox.azure.clear()
    ran = account(sandbox)
    assert ran.status == 0
    assert "warn provider ContainerService NotRegistered" in ran.said
    assert "az provider" not in ran.said, "it would change the real Azure"
    assert "warn clusters Azure tells only when its provider is registered" in ran.said
    assert [sent.rpartition("/")[2] for sent in sandbox.azure.sent("PUT", "POST")] == ["checkNameAvailability"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"location": "westeuropa"}, "location there is no location westeuropa; did you mean westeurope?"),
        ({"kubernetes": "1.20"}, "Kubernetes version 1.20 is not offered in westeurope; there are"),
        ({"nodes": {"size": "Standard_X99"}}, "vCPUs westeurope offers no machines of size Standard_X99"),
        (
            {"service": {"dns_ip": "10.9.0.1"}},
            "settings azure.service.dns_ip is '10.9.0.1'; it has to be inside",
        ),
        ({"registry": "no-dashes"}, "settings azure.registry is 'no-dashes'; it has to be 5 to 50 letters"),
    ],
)
def test_a_setting_that_azure_would_refuse(sandbox: Workshop, settings: dict[str, Any], problem: str) -> None:
    ran = account(sandbox, **settings)
    assert ran.status == 1
    assert f"fail {problem}" in ran.said


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("url", "https://127.0.0.1:9", "ok login logged in ✗ fail network 127.0.0.1:9: Connection refused"),
        ("token", "another", "✗ fail subscription the login is not accepted"),
        (
            "subscription",
            "12345678-1234-1234-1234-123456789012",
            "✗ fail subscription The subscription '12345678-1234-1234-1234-123456789012' could not be found.",
        ),
    ],
)
def test_an_azure_that_is_not_reached_or_does_not_know_us(
    sandbox: Workshop, place: dict[str, str], key: str, value: str, problem: str
) -> None:
    (sandbox.state / "sandbox" / "azure.json").write_text(json.dumps({**place, key: value}))
    ran = account(sandbox)
    assert ran.status == 1
    assert problem in ran.said
    assert "invoke doctor" not in ran.said


def test_no_credential_and_no_istioctl(sandbox: Workshop, tmp_path: Path) -> None:
    """On Azure itself, without a login and without a way to it: both are told, and nothing of the SDK's."""
    profile = tmp_path / "azure.yaml"
    profile.write_text(
        "target: azure\nistio: {download: 'http://127.0.0.1:9'}\n"
        "azure: {subscription: 12345678-1234-1234-1234-123456789012}\n"
    )
    unset = {name: "" for name in os.environ if name.startswith("AZURE_")}
    variables = {"PATH": str(tmp_path), "HOME": str(tmp_path), **NO_WAY, **unset}
    ran = joined(sandbox.run("-f", str(profile), "doctor", **variables))
    assert ran.status == 1
    assert ran.said.startswith("What a run would find")
    assert "fail istioctl" in ran.said
    assert "curl -I http://127.0.0.1:9/" in ran.said
    assert "fail login there is no credential for Azure" in ran.said
    assert "a day, from when it is made until lab.azure.cleanup: an estimate, from the list prices of" in ran.said
    assert "fail network the proxy that is set (HTTPS_PROXY): Connection refused" in ran.said
    for way in ("az login", "azd auth login", "AZURE_CLIENT_SECRET"):
        assert way in ran.said
    assert "3 problems would make a run fail" in ran.said


def test_a_broken_journal(sandbox: Workshop) -> None:
    journal = sandbox.state / "journal.sqlite"
    journal.write_text("not a database" * 100)
    ran = examined(sandbox)
    assert ran.status == 1
    assert "fail journal file is not a database" in ran.said
    assert f"mv {journal} {journal}.broken" in ran.said
    journal.unlink()


def test_a_cluster_that_nobody_adopted_or_that_is_not_there(sandbox: Workshop, tmp_path: Path) -> None:
    profile, kubeconfig = tmp_path / "cluster.yaml", sandbox.state / "sandbox" / "kubeconfig"
    here = "istio: {download: 'http://127.0.0.1:9'}\n"
    profile.write_text(f"target: cluster\n{here}cluster: {{context: primary, kubeconfig: {kubeconfig}}}\n")
    assert (
        "ok cluster primary, Kubernetes 1.36.1-sandbox, is the workshop's"
        in examined(sandbox, "-f", str(profile)).said
    )
    kubectl = [BIN / "kubectl", f"--kubeconfig={kubeconfig}", "--context=primary"]
    subprocess.run([*kubectl, "delete", "namespace", "workshop-system"], check=True, timeout=HANGS)
    ran = examined(sandbox, "-f", str(profile))
    assert "fail cluster primary, Kubernetes 1.36.1-sandbox, has not been adopted" in ran.said
    assert f"invoke -f {profile} adopt" in ran.said
    planned, ran = (sandbox.run("-f", str(profile), "lab.istio.install", *words) for words in (("--plan",), ()))
    assert planned.status == ran.status == 2
    assert "A run would be refused now" in planned.said
    refusal = ran.said[ran.said.index("tried ") : ran.said.index("adopt\n")]
    assert refusal in planned.said
    profile.write_text(f"target: cluster\n{here}cluster: {{context: other, kubeconfig: {kubeconfig}}}\n")
    ran = examined(sandbox, "-f", str(profile))
    assert ran.status == 1
    assert "it has primary" in ran.said


@pytest.mark.parametrize("words", [("lab.azure",), ("lab.azure", "--plan")])
def test_without_a_subscription_to_make_things_in_nothing_begins_in_plan_and_run(
    sandbox: Workshop, place: dict[str, str], words: tuple[str, ...]
) -> None:
    sandbox.azure.set(state="Disabled")
    ran = sandbox.run(*words)
    assert ran.status == 2
    assert ran.said.startswith("tried      look at the subscription\ncame back  Mesh Workshop sandbox is Disabled")
    other = "12345678-1234-1234-1234-123456789012"
    (sandbox.state / "sandbox" / "azure.json").write_text(json.dumps({**place, "subscription": other}))
    ran = sandbox.run(*words)
    assert ran.status == 2
    assert f"came back  The subscription '{other}' could not be found." in ran.said
    assert ran.said.count("could not be found") == 1
    assert "az account" not in ran.said, "it would ask the real Azure"


@pytest.mark.parametrize("words", [("doctor",), ("lab.azure.group",)])
def test_ctrl_c_ends_the_process_while_nothing_answers(
    sandbox: Workshop, place: dict[str, str], words: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        (sandbox.state / "sandbox" / "azure.json").write_text(json.dumps({**place, "url": url}))
        process = sandbox.start(*words)
        taken, _ = silent.accept()
        with taken:
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            said = process.communicate(timeout=HANGS)[0]
            took = time.monotonic() - began
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert took < 9.5  # an answer is waited for 10 s, and longer

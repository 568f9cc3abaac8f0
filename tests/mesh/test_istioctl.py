from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kubernetes.runs import Recorded
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.istioctl import Istioctl, IstioctlError, Message, Versions, parse_messages, parse_versions
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import Command


def test_versions_as_istioctl_writes_them() -> None:
    plane = {"Component": "pilot", "Revision": "default", "Info": {"version": "1.31.1", "status": "Clean"}}
    content = {"clientVersion": {"version": "1.31.1", "golang_version": "go1.25"}, "meshVersion": [plane]}
    assert parse_versions(json.dumps(content)) == Versions("1.31.1", ("1.31.1",))
    assert parse_versions('{"clientVersion": {"version": "1.30.0"}}') == Versions("1.30.0")


def test_messages_as_istioctl_writes_them() -> None:
    written = """[
      {"code": "IST0102", "documentationUrl": "https://istio.io/latest/docs/...", "level": "Info",
       "message": "The namespace is not enabled for Istio injection.", "origin": "Namespace ratingsapp"},
      {"code": "IST0118", "level": "Info", "message": "Port name (port: 80) ...", "origin": "Service x"}
    ]"""
    assert parse_messages(written) == [
        Message("IST0102", "Info", "Namespace ratingsapp", "The namespace is not enabled for Istio injection."),
        Message("IST0118", "Info", "Service x", "Port name (port: 80) ..."),
    ]
    assert parse_messages("[]") == []


@pytest.mark.parametrize("printed", ["", "no json", "[1]", '{"a": 1}', "null"])
def test_what_is_no_answer_is_refused(printed: str) -> None:
    with pytest.raises(WorkshopError, match="read what istioctl version says"):
        parse_versions(printed)
    with pytest.raises(WorkshopError, match="read what istioctl analyze says"):
        parse_messages(printed)


def program(folder: Path, name: str, version: str) -> str:
    path = folder / name
    path.write_text(f"""#!/bin/sh\necho '{{"clientVersion": {{"version": "{version}"}}}}'\n""")
    path.chmod(0o755)
    return str(path)


async def test_the_first_of_the_right_version_is_taken(istioctl: Istioctl, tmp_path: Path) -> None:
    older, right = program(tmp_path, "older", "1.20.0"), program(tmp_path, "right", "1.31.1")
    candidates = (str(tmp_path / "missing"), "/bin/false", older, right)
    chosen = replace(istioctl, candidates=candidates, client_versions=(), _found={})
    assert await chosen.binary() == right


async def test_a_downloaded_one_is_taken_when_no_other_is_right(istioctl: Istioctl, tmp_path: Path) -> None:
    older = program(tmp_path, "older", "1.20.0")
    chosen = replace(istioctl, candidates=(older,), client_versions=(), _found={})
    with pytest.raises(WorkshopError, match="download"):
        await chosen.binary()
    (tmp_path / "bin").mkdir()
    kept = program(tmp_path / "bin", "istioctl-1.31.1", "1.31.1")
    assert await chosen.binary() == kept


async def test_before_istio_is_there(istioctl: Istioctl) -> None:
    run = Recorded(istioctl)
    tool = Istioctl.of(run)
    assert await tool.versions() == Versions("1.31.1-sandbox")
    assert "No issues found" in await tool.precheck()
    (first, _) = (event for event in run.events if isinstance(event, Command))
    assert first.argv[1:] == (
        *("version", "-o", "json"),
        f"--kubeconfig={istioctl.kubeconfig}",
        "--context=primary",
    )


async def test_analyze(istioctl: Istioctl, kubectl: Kubectl, namespace: str) -> None:
    await kubectl.call("run", "a", "--image=registry.k8s.io/pause:3.10", "-n", namespace)
    messages = await istioctl.analyze("-n", namespace)
    assert [(message.code, message.level) for message in messages] == [("IST0102", "Info")]
    assert namespace in messages[0].origin


async def test_a_failure_carries_what_istioctl_wrote(istioctl: Istioctl) -> None:
    with pytest.raises(IstioctlError) as failed:
        await istioctl.install("--set", "profile=nonsense")
    assert failed.value.status != 0
    assert "nonsense" in failed.value.stderr
    assert failed.value.tried == "istioctl install -y --set profile=nonsense"

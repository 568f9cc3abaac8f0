"""Input that is small and stands for too much, or is nested too deep: refused at once, wherever it comes in."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from sandbox.server import launcher
from tests.kit.sandbox import Kubectl, kubectl
from tests.kit.workshop import invoke

__all__ = ["kubectl"]

DEEP = "[" * 100_000 + "]" * 100_000
LAUGHS = "\n".join(
    ["l0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    + [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, 9)]
)
"""Nine levels of nine: 387 million values."""
STAIRS = "\n".join(["l0: &l0 x"] + [f"l{step}: &l{step} {'[' * 45}*l{step - 1}{']' * 45}" for step in range(1, 21)])
"""Each of 45 levels, inside the next one: 900."""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("laughs.yaml", LAUGHS, "its anchors stand for more than 10,000 values"),
        ("stairs.yaml", STAIRS, "it is nested more than 50 levels deep"),
        ("deep.yaml", f"images: {DEEP}", "it is nested more than 50 levels deep"),
        ("ring.yaml", "cluster: &ring\n  context: *ring\n", "the anchor ring is used in what it names"),
        ("deep.json", f'{{"images": {DEEP}}}', "it is nested more than 50 levels deep"),
    ],
)
def test_a_profile(tmp_path: Path, name: str, text: str, said: str) -> None:
    profile = tmp_path / name
    profile.write_text(text)
    ran = invoke("-f", str(profile), "lab.istio.install", "--plan", INVOKE_STATE=str(tmp_path))
    assert ran.status == 2
    assert said in ran.said
    assert f"{profile}, line" in ran.said
    assert "Traceback" not in ran.said


@pytest.mark.parametrize("type_", ["application/json", "application/yaml"])
@pytest.mark.parametrize("text", [f'{{"metadata": {DEEP}}}', LAUGHS], ids=["deep", "anchors"])
def test_a_body_at_a_kubernetes_api(kubectl: Kubectl, type_: str, text: str) -> None:
    entry = yaml.safe_load(kubectl.kubeconfig.read_text())
    token = entry["users"][0]["user"]["token"]
    url = entry["clusters"][0]["cluster"]["server"] + "/api/v1/namespaces"
    status = refused(url, token, kubectl.kubeconfig.parent / "ca.pem", text, type_)
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 400, "BadRequest")


def test_a_body_at_azure(sandbox: launcher.Running) -> None:
    place = json.loads((sandbox.kubeconfig.parent / "azure.json").read_text())
    url = f"{place['url']}/subscriptions/{place['subscription']}/resourcegroups/deep?api-version=2024-03-01"
    error = refused(url, place["token"], Path(place["ca"]), f'{{"tags": {DEEP}}}', "application/json", "PUT")
    assert error["error"]["code"] == "InvalidRequestContent"


def refused(
    url: str, token: str, authority: Path, text: str, type_: str, method: str = "POST"
) -> dict[str, object]:
    """What it says with status 400."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": type_}
    request = urllib.request.Request(url, text.encode(), headers, method=method)  # noqa: S310 - the sandbox's own
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority))  # noqa: S310
    assert raised.value.code == 400
    said: dict[str, object] = json.loads(raised.value.read())
    return said

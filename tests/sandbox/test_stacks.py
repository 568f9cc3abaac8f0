"""The secondary cluster: nothing runs of it until the first connection, which is then answered."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher
from sandbox.server.client_files import Access
from sandbox.server.stacks import ManagedStacks, reserve
from tests.kit.sandbox import Kubectl


def ask(access: Access, path: str) -> Any:
    request = urllib.request.Request(  # noqa: S310 - the sandbox's own address
        access.url + path, headers={"Authorization": f"Bearer {access.token}"}
    )
    trusted = ssl.create_default_context(cadata=access.authority.decode())
    with urllib.request.urlopen(request, context=trusted, timeout=60) as answer:  # noqa: S310
        return json.loads(answer.read())


async def test_it_runs_from_the_first_connection_on(tmp_path: Path) -> None:
    reserved = reserve(tmp_path)
    async with asyncio.TaskGroup() as group:
        stacks = ManagedStacks(tmp_path, group)
        stacks.on_demand("secondary", tmp_path, reserved)
        await asyncio.sleep(0)
        assert stacks.running == (), "nobody has called it"
        asked = [asyncio.to_thread(ask, reserved.access, path) for path in ("/api/v1/nodes", "/api/v1/namespaces")]
        nodes, namespaces = await asyncio.gather(*asked)
        assert len(nodes["items"]) == 3, "who came first was answered as anybody later"
        assert "default" in {item["metadata"]["name"] for item in namespaces["items"]}
        assert len(stacks.running) == 1
        stacks.cancel()
    assert stacks.running == ()


async def test_it_ends_uncalled(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        stacks = ManagedStacks(tmp_path, group)
        stacks.on_demand("secondary", tmp_path, reserve(tmp_path))
        await asyncio.sleep(0)
        stacks.cancel()
    assert not (tmp_path / "envoy").exists()


def test_a_sandbox_has_both_and_the_primary_is_current(own_sandbox: launcher.Running, kubectl: Kubectl) -> None:
    both = Kubectl(kubectl.binary, own_sandbox.kubeconfig, kubectl.cache)
    state = own_sandbox.kubeconfig.parent
    assert both("config", "get-contexts", "-o", "name").split() == ["primary", "secondary"]
    assert both("config", "current-context").strip() == "primary"
    both("create", "namespace", "here")
    assert list((state / "secondary").iterdir()) == [], "nobody has called it"

    assert both("--context=secondary", "get", "nodes").count(" Ready ") == 3
    assert "here" not in both("--context=secondary", "get", "namespaces", "-o", "name")
    both("--context=secondary", "create", "namespace", "there")
    assert "there" not in both("get", "namespaces", "-o", "name")


def test_neither_takes_the_other_s_credentials(own_sandbox: launcher.Running) -> None:
    content = json.loads(own_sandbox.kubeconfig.read_text())
    (one, other), (mine, _) = content["clusters"], content["users"]
    assert one["cluster"]["certificate-authority-data"] != other["cluster"]["certificate-authority-data"]
    authority = base64.b64decode(other["cluster"]["certificate-authority-data"])
    mixed = Access(other["cluster"]["server"], authority, mine["user"]["token"])
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(mixed, "/api/v1/nodes")

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.kubernetes.scripted_api import Answering, Asked, ScriptedApi, pods, status
from tests.kubernetes.test_tool_process import start_python, until_gone, until_written
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.tool_process import ToolTimeout

PODS = Place("Pod", "shop")
Leads = Callable[[Answering], Kubectl]


@pytest.fixture(params=["new", "old"])
def binary(request: pytest.FixtureRequest) -> Path:
    """The kubectl of this project, and the oldest that is supported."""
    return Path(sys.executable).parent / "kubectl" if request.param == "new" else Path(os.environ["KUBECTL_OLD"])


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async def nothing(asked: Asked) -> None:
        await asked.answer(pods())

    made = ScriptedApi(nothing)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


def names(found: dict[Place, list[dict[str, object]] | None]) -> list[str]:
    return [obj["metadata"]["name"] for items in found.values() for obj in items or ()]  # type: ignore[index]


async def test_a_list_in_pages_as_a_real_api_server_gives_it(
    api: ScriptedApi, tmp_path: Path, binary: Path
) -> None:
    """In pages, compressed on its way, and items that do not say their kind."""

    async def answering(asked: Asked) -> None:
        if "continue" not in asked.query:
            await asked.answer({**pods("a", "b"), "metadata": {"continue": "more/+="}})
        else:
            await asked.answer(pods("c"))

    api.answering = answering
    found = await api.kubectl(tmp_path, binary).look([PODS])
    assert names(found) == ["a", "b", "c"]
    assert [(obj["apiVersion"], obj["kind"]) for obj in found[PODS] or ()] == [("v1", "Pod")] * 3
    assert [asked.query for asked in api.asked] == ["limit=500", "limit=500&continue=more%2F%2B%3D"]


async def test_pages_that_are_no_longer_kept(api: ScriptedApi, tmp_path: Path, binary: Path) -> None:
    async def answering(asked: Asked) -> None:
        if "continue" in asked.query:
            await asked.answer(status(410, "Expired"), 410)
        else:
            await asked.answer(
                pods("a", "b") if not asked.query else {**pods("old"), "metadata": {"continue": "x"}}
            )

    api.answering = answering
    assert names(await api.kubectl(tmp_path, binary).look([PODS])) == ["a", "b"]


async def test_an_api_server_that_asks_for_patience_gets_it(api: ScriptedApi, tmp_path: Path, binary: Path) -> None:
    async def answering(asked: Asked) -> None:
        if len(api.asked) < 3:
            await asked.answer(status(429, "TooManyRequests"), 429, Retry_After="0")
        else:
            await asked.answer(pods("a"))

    api.answering = answering
    assert names(await api.kubectl(tmp_path, binary).look([PODS])) == ["a"]
    assert len(api.asked) == 3


async def test_a_group_that_is_not_served_is_told_in_plain_words(
    api: ScriptedApi, tmp_path: Path, binary: Path
) -> None:
    async def answering(asked: Asked) -> None:
        if asked.path == "/apis":
            await asked.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        else:
            await asked.answer("404 page not found\n", 404)

    api.answering = answering
    gateways = Place("Gateway", "shop")
    assert await api.kubectl(tmp_path, binary).look([gateways]) == {gateways: None}


async def test_a_server_at_a_path(api: ScriptedApi, tmp_path: Path, binary: Path) -> None:
    """As those of Rancher are."""
    await api.kubectl(tmp_path, binary, "/k8s/clusters/c-1").look([PODS])
    assert api.asked[0].path == "/k8s/clusters/c-1/api/v1/namespaces/shop/pods"


async def test_a_write_whose_connection_breaks_is_not_repeated(
    api: ScriptedApi, tmp_path: Path, binary: Path
) -> None:
    """It may have arrived."""

    async def answering(asked: Asked) -> None:
        asked.hang_up()

    api.answering = answering
    kubectl = api.kubectl(tmp_path, binary)
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    with pytest.raises(KubectlError):
        await kubectl.apply([made])
    assert [asked.method for asked in api.asked] == ["PATCH"]


async def test_a_write_when_the_proxy_is_gone_is_made_by_a_process(
    api: ScriptedApi, tmp_path: Path, binary: Path
) -> None:
    """Somebody has ended it between two questions, so nothing of the write can have arrived."""
    kubectl = api.kubectl(tmp_path, binary)
    await kubectl.look([PODS])
    process = kubectl.proxy()._process
    assert process
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    started = list[str]()
    by_process = replace(kubectl, echo=lambda argv, stdin: started.append(argv[4]))
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    with contextlib.suppress(KubectlError):  # of an API server that serves no discovery
        await by_process.apply([made])
    assert started == ["apply"]


async def test_what_is_applied_comes_back_as_a_webhook_has_changed_it(
    api: ScriptedApi, tmp_path: Path, binary: Path
) -> None:
    """Namespaces first, and at once what does not need each other."""

    async def answering(asked: Asked) -> None:
        name = asked.path.rpartition("/")[2]
        live = {"apiVersion": "v1", "kind": "?", "metadata": {"name": name}, "data": {"more": "yes"}}
        await asked.answer(live)

    api.answering = answering
    wanted = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    ]
    first, second = await api.kubectl(tmp_path, binary).apply(wanted)
    assert (first["metadata"]["name"], second["data"]) == ("shop", {"more": "yes"})
    assert {asked.headers["content-type"] for asked in api.asked} == {"application/apply-patch+yaml"}
    assert {asked.query for asked in api.asked} == {"fieldManager=mesh-workshop&force=true&fieldValidation=Strict"}


async def test_who_may_not_look_is_told_so(api: ScriptedApi, tmp_path: Path, binary: Path) -> None:
    """In kubectl's words: a user who may see some namespaces only."""

    async def answering(asked: Asked) -> None:
        said = 'namespaces "kube-system" is forbidden: User "ada" cannot get resource "namespaces"'
        if asked.path == "/api":
            await asked.answer({"kind": "APIVersions", "versions": ["v1"]})
        elif asked.path == "/apis":
            await asked.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        elif asked.path == "/api/v1":
            one = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace", "verbs": ["get"]}
            resources = [{**one, "namespaced": False}]
            kinds = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources}
            await asked.answer(kinds)
        else:
            await asked.answer(status(403, "Forbidden", said), 403)

    api.answering = answering
    kubectl = api.kubectl(tmp_path, binary)
    with pytest.raises(KubectlError) as failed:
        await kubectl.find("Namespace", "", "kube-system")
    assert failed.value.reason is Reason.FORBIDDEN
    assert 'User "ada" cannot get' in failed.value.came_back
    assert failed.value.next_command == kubectl.typed("kubectl auth can-i --list")


async def test_a_login_that_waits_for_somebody_is_told(api: ScriptedApi, tmp_path: Path, binary: Path) -> None:
    """What a plugin for credentials prints, and then asks for what nobody sees."""
    kubectl = api.kubectl(tmp_path, binary)
    login = tmp_path / "login"
    login.write_text("#!/bin/sh\necho To sign in, open a page >&2\nexec sleep 600\n")
    login.chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(login), "interactiveMode": "Never"}
    content = yaml.safe_load(kubectl.kubeconfig.read_text())
    content["users"][0]["user"] = {"exec": plugin}
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{api.port}"  # it is for no other
    kubectl.kubeconfig.write_text(yaml.safe_dump(content))
    with pytest.raises(ToolTimeout) as late:
        await kubectl.look([PODS], seconds=2)
    assert "To sign in, open a page" in late.value.came_back
    assert late.value.cause == "the API server is slow or does not answer"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For temporary files, of this test alone; its path is short, as it is on most machines."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        monkeypatch.setattr(tempfile, "tempdir", made)
        monkeypatch.setenv("TMPDIR", made)
        yield Path(made)


def sockets(folder: Path) -> list[tuple[int, bool]]:
    """Mode of the folder that each is in, and whether it is one."""
    return [(stat.S_IMODE(one.parent.stat().st_mode), one.is_socket()) for one in folder.glob("mesh-workshop-*/*")]


async def test_only_this_user_reaches_it(api: ScriptedApi, tmp_path: Path, binary: Path, folder: Path) -> None:
    await api.kubectl(tmp_path, binary).look([PODS])
    assert sockets(folder) == [(0o700, True)]


async def test_where_paths_are_too_long_for_a_socket(
    api: ScriptedApi, tmp_path: Path, binary: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    await api.kubectl(tmp_path, binary).look([PODS])
    assert sockets(deep) == []


_RUN = """
    import asyncio, pathlib
    from workshop.kubernetes.kinds import Place
    from workshop.kubernetes.kubectl import Kubectl

    async def look():
        folder = pathlib.Path("{folder}")
        kubectl = Kubectl(pathlib.Path("{binary}"), folder / "kubeconfig", "a", folder / "cache")
        await kubectl.look([Place("Pod", "shop")])
        (folder / "pid").write_text(f"{{kubectl.proxy()._process.pid}}\\n")
        await asyncio.sleep({seconds})

    asyncio.run(look())
"""


async def begun(api: ScriptedApi, folder: Path, binary: Path, seconds: int) -> tuple[subprocess.Popen[bytes], int]:
    """A run of its own, and its kubectl's process."""
    api.kubectl(folder, binary)
    run = start_python(textwrap.dedent(_RUN).format(binary=binary, folder=folder, seconds=seconds))
    return run, int(await until_written(folder / "pid"))


async def test_it_ends_with_the_run(api: ScriptedApi, tmp_path: Path, binary: Path, folder: Path) -> None:
    run, kubectl = await begun(api, tmp_path, binary, 0)
    await asyncio.to_thread(run.wait, 60)
    await until_gone(kubectl)
    assert sockets(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end a child with its parent")
async def test_it_ends_with_a_run_that_is_killed(
    api: ScriptedApi, tmp_path: Path, binary: Path, folder: Path
) -> None:
    """And the next one removes what is left of it."""
    run, kubectl = await begun(api, tmp_path, binary, 600)
    run.kill()
    await asyncio.to_thread(run.wait, 60)
    await until_gone(kubectl)
    (left,) = folder.glob("mesh-workshop-*")  # noqa: ASYNC240 - a folder of a test
    await api.kubectl(tmp_path, binary).look([PODS])
    assert left.name not in str(sockets(folder))
    assert len(sockets(folder)) == 1

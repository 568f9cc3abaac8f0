"""Waits that see each change as it comes: a real kubectl between, and an API server that watches as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runs import Recorded
from tests.kubernetes.scripted_api import Asked, ScriptedApi, pods
from tests.kubernetes.test_api_proxy import api
from workshop.kubernetes import rollout, watching
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError
from workshop.kubernetes.watching import Watched, watched

__all__ = ["api"]

PODS = Place("Pod", "shop")


def event(what: str, name: str, **more: str) -> dict[str, Any]:
    return {"type": what, "object": {"kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, **more}}


def there(seen: Watched) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in seen.objects("Pod"))


async def until(seen: Watched, names: list[str]) -> None:
    async with asyncio.timeout(60):
        while there(seen) != names:
            await seen.changed(60)


@pytest.fixture
def watches(api: ScriptedApi) -> Callable[[], list[Asked]]:
    """Those that were asked for; their lists have `a`."""

    async def answering(asked: Asked) -> None:
        if "watch=1" in asked.query:
            await asked.stream(end=False)
        else:
            await asked.answer(pods("a"))

    api.answering = answering
    return lambda: [asked for asked in api.asked if "watch=1" in asked.query]


async def begun(watches: Callable[[], list[Asked]], count: int = 1) -> Asked:
    async with asyncio.timeout(60):
        while len(watches()) < count:  # noqa: ASYNC110 - nothing tells when a server is asked
            await asyncio.sleep(0.001)
    return watches()[-1]


@pytest.fixture
async def lead(api: ScriptedApi, kubectl: Kubectl, tmp_path: Path) -> Kubectl:
    return api.kubectl(tmp_path, kubectl.binary)


async def test_each_change_is_there_as_it_comes(lead: Kubectl, watches: Callable[[], list[Asked]]) -> None:
    async with watched(lead, [PODS]) as seen:
        assert there(seen) == ["a"]
        watch = await begun(watches)
        assert "resourceVersion=7" in watch.query
        await watch.event(event("ADDED", "b"))
        await until(seen, ["a", "b"])
        await watch.event(event("MODIFIED", "b", status="Running"))
        await watch.event(event("DELETED", "a"))
        await until(seen, ["b"])
        assert [pod.get("status") for pod in seen.objects("Pod")] == ["Running"]


async def test_all_who_wait_at_a_place_share_a_watch(lead: Kubectl, watches: Callable[[], list[Asked]]) -> None:
    """Also when the one that has begun it is done."""
    async with watched(lead, [PODS]) as second:
        async with watched(lead, [PODS]) as first:
            watch = await begun(watches)
            assert there(first) == ["a"]
        await watch.event(event("ADDED", "b"))
        await until(second, ["a", "b"])
    assert len(watches()) == 1
    async with watched(lead, [PODS]) as later:
        assert there(later) == ["a"]  # asked anew


@pytest.mark.parametrize("how", ["ends", "expires", "hangs up"])
async def test_after_a_watch_that_is_over_all_is_asked_for_anew(
    api: ScriptedApi, lead: Kubectl, watches: Callable[[], list[Asked]], how: str
) -> None:
    async with watched(lead, [PODS]) as seen:
        watch = await begun(watches)
        original = api.answering

        async def answering(asked: Asked) -> None:
            await (original(asked) if "watch=1" in asked.query else asked.answer(pods("a", "missed")))

        api.answering = answering
        if how == "hangs up":
            watch.hang_up()
        elif how == "expires":
            await watch.event({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
        else:
            watch.writer.write(b"0\r\n\r\n")
        await until(seen, ["a", "missed"])
        await (await begun(watches, 2)).event(event("ADDED", "b"))
        await until(seen, ["a", "b", "missed"])


async def test_a_watch_that_has_gone_silent(
    api: ScriptedApi, lead: Kubectl, watches: Callable[[], list[Asked]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the other end of its connection is gone, and nobody says so."""
    monkeypatch.setattr(watching, "_SILENT_SECONDS", 0.05)
    async with watched(lead, [PODS]) as seen:
        await begun(watches)
        original = api.answering

        async def answering(asked: Asked) -> None:
            await (original(asked) if "watch=1" in asked.query else asked.answer(pods("a", "missed")))

        api.answering = answering
        await until(seen, ["a", "missed"])


async def test_a_cluster_that_is_gone_ends_the_wait(api: ScriptedApi, kubectl: Kubectl, tmp_path: Path) -> None:
    lost = api.kubectl(tmp_path, kubectl.binary)
    lost.kubeconfig.write_text(lost.kubeconfig.read_text().replace(str(api.port), "9"))
    with pytest.raises(KubectlError):
        async with watched(lost, [PODS]):
            pass


async def test_a_status_that_changes_between_two_looks_ends_a_wait_for_a_rollout(
    api: ScriptedApi, lead: Kubectl
) -> None:
    """It is not there at first, then not available, and then available of an older template: each is said."""
    deployment: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    full = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    states = [
        ("ADDED", {}),
        ("MODIFIED", {**full, "observedGeneration": 1}),
        ("MODIFIED", {**full, "availableReplicas": 0, "observedGeneration": 2}),
        ("MODIFIED", {**full, "observedGeneration": 2}),
    ]
    run = Recorded(lead)

    async def answering(asked: Asked) -> None:
        if "watch=1" not in asked.query:
            await asked.answer({**pods(), "kind": "List"})
        elif asked.path.endswith("deployments"):
            await asked.stream(end=False)
            for what, status in states:
                while not run.events:  # noqa: ASYNC110 - said to be missing, before it comes
                    await asyncio.sleep(0.001)
                said = len(run.events)
                await asked.event({"type": what, "object": {**deployment, "status": status}})
                while what != "MODIFIED" and len(run.events) == said:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        else:
            await asked.stream(end=False)

    api.answering = answering
    await rollout.wait(run, lead, {("shop", "web"): ""}, seconds=60)
    assert "web (not there)" in str(run.events[0])

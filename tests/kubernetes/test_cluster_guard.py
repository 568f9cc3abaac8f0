"""The mark and the lock, against a real API server: there is no second winner."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workshop.kubernetes.cluster_guard import LOCK, MARK, NAMESPACE, ClusterGuard, kept
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.lease import Held, Holder, Lease, Lost, start_of
from workshop.runbook.errors import UsageError
from workshop.runbook.events import Event, Waiting

ELSEWHERE = Holder("another-host", 4711, "ada", "99@elsewhere")


@pytest.fixture
async def adopted(kubectl: Kubectl) -> AsyncIterator[ClusterGuard]:
    guard = ClusterGuard(kubectl, "primary")
    await guard.adopt()
    yield guard
    await kubectl.call("delete", "namespace", NAMESPACE)


def lease(kubectl: Kubectl, holder: Holder, **more: Any) -> Lease:
    return Lease(kubectl, NAMESPACE, LOCK, holder, **more)


async def live(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = await kubectl.get_json("lease", LOCK, "-n", NAMESPACE)
    return found


def ended_process() -> Holder:
    """A process of this system that was there, and is not any more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return Holder(socket.gethostname(), process.pid, "ada", start_of(process.pid))


async def test_a_cluster_without_the_mark_is_not_touched(kubectl: Kubectl) -> None:
    guard = ClusterGuard(kubectl, "primary")
    await kubectl.call("delete", "namespace", NAMESPACE, "--ignore-not-found")
    for refused in (guard.may_change(), guard.may_destroy()):
        with pytest.raises(UsageError) as error:
            await refused
        assert MARK in error.value.came_back
        assert NAMESPACE in error.value.came_back
        assert error.value.next_command == "invoke adopt"
    with pytest.raises(UsageError, match="mark"):
        async with guard.hold():
            raise AssertionError


async def test_adopting_puts_the_mark_there_once(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    await adopted.may_change()
    await adopted.may_destroy()
    before = await kubectl.get_json("configmap", MARK, "-n", NAMESPACE)
    await adopted.adopt()
    assert await kubectl.get_json("configmap", MARK, "-n", NAMESPACE) == before
    assert before["data"].keys() == {"adopted-by", "adopted-at"}


async def test_a_disposable_cluster_is_adopted_by_itself(kubectl: Kubectl) -> None:
    guard = ClusterGuard(kubectl, "primary", disposable=True)
    with pytest.raises(UsageError):
        await guard.may_destroy()
    await guard.may_change()
    await guard.may_destroy()
    await kubectl.call("delete", "namespace", NAMESPACE)


async def test_the_lock_is_there_while_it_is_held(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    async with adopted.hold():
        spec = (await live(kubectl))["spec"]
        assert spec["leaseDurationSeconds"] == 30
        assert Holder.parse(spec["holderIdentity"]) == Holder.me()
    with pytest.raises(KubectlError) as gone:
        await live(kubectl)
    assert gone.value.reason is Reason.NOT_FOUND


async def test_the_lock_goes_when_what_it_was_held_for_fails(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    with pytest.raises(ZeroDivisionError):
        async with adopted.hold():
            raise ZeroDivisionError
    async with adopted.hold():
        pass


async def test_a_second_run_is_refused_with_holder_and_age(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    earlier = datetime.now(UTC) - timedelta(seconds=14)
    await lease(kubectl, ELSEWHERE, clock=lambda: earlier).acquire()
    with pytest.raises(Held) as held:
        async with adopted.hold():
            raise AssertionError
    assert held.value.exit_status == 2
    assert "ada on another-host (process 4711)" in held.value.came_back
    assert 14 <= held.value.age < 25


async def test_of_many_at_once_one_wins(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    others = [lease(kubectl, replace(ELSEWHERE, pid=number)) for number in range(4)]
    results = await asyncio.gather(*(other.acquire() for other in others), return_exceptions=True)
    assert results.count(None) == 1
    assert [type(result) for result in results if result] == [Held] * 3


async def test_of_many_that_take_over_one_wins(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    long_ago = datetime.now(UTC) - timedelta(seconds=31)
    await lease(kubectl, ELSEWHERE, clock=lambda: long_ago).acquire()
    others = [lease(kubectl, replace(ELSEWHERE, pid=number)) for number in range(4)]
    results = await asyncio.gather(*(other.acquire() for other in others), return_exceptions=True)
    assert results.count(None) == 1
    found = await live(kubectl)
    assert found["spec"]["leaseTransitions"] == 1
    winner = Holder.parse(found["spec"]["holderIdentity"])
    assert winner
    assert results[winner.pid] is None


async def test_a_process_that_has_ended_holds_nothing(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    await lease(kubectl, ended_process()).acquire()
    async with adopted.hold():
        assert Holder.parse((await live(kubectl))["spec"]["holderIdentity"]) == Holder.me()


def test_who_is_gone() -> None:
    me = Holder.me()
    assert not me.is_gone()
    assert Holder.parse(me.identity) == me
    assert replace(me, start="1@" + me.start.partition("@")[2]).is_gone()
    assert ended_process().is_gone()
    assert not ELSEWHERE.is_gone()
    assert not replace(ended_process(), start="1@another-boot").is_gone()
    assert Holder.parse("some-controller-7f9c") is None
    assert str(me).endswith(f"(process {os.getpid()})")


def ahead() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


async def test_a_lock_whose_holder_s_clock_was_ahead_ends_when_it_is_not_renewed(
    adopted: ClusterGuard, kubectl: Kubectl
) -> None:
    """Seen: it was refused for two days, and only deleting it by hand helped."""
    await lease(kubectl, ELSEWHERE, clock=ahead, lasts=1).acquire()
    shown: list[Event] = []
    await lease(kubectl, Holder.me()).refuse_if_held()
    async with adopted.hold(shown.append):
        assert Holder.parse((await live(kubectl))["spec"]["holderIdentity"]) == Holder.me()
    waits = [event for event in shown if isinstance(event, Waiting)]
    assert [(event.what, event.limit) for event in waits[:1]] == [("the lock of the cluster primary to end", 1)]
    assert waits[0].missing.startswith(f"{ELSEWHERE} has it; that clock is ahead")


async def test_a_lock_whose_holder_s_clock_is_ahead_is_respected_while_it_is_renewed(
    adopted: ClusterGuard, kubectl: Kubectl
) -> None:
    theirs = lease(kubectl, ELSEWHERE, clock=ahead, renewed_every=0.05, lasts=600)
    await theirs.acquire()
    async with kept(theirs):
        with pytest.raises(Held, match="ada on another-host"):
            await lease(kubectl, Holder.me()).acquire()


async def test_waiting_for_a_lock_whose_holder_s_clock_is_ahead_can_be_cut_short(
    adopted: ClusterGuard, kubectl: Kubectl
) -> None:
    await lease(kubectl, ELSEWHERE, clock=ahead, lasts=600).acquire()
    waits = asyncio.Event()
    task = asyncio.create_task(lease(kubectl, Holder.me(), emit=lambda event: waits.set()).acquire())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await live(kubectl))["spec"]["holderIdentity"] == ELSEWHERE.identity


async def test_a_clock_that_is_a_little_ahead_is_no_reason_to_wait(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    await lease(kubectl, ELSEWHERE, clock=lambda: datetime.now(UTC) + timedelta(seconds=1)).acquire()
    with pytest.raises(Held):
        await lease(kubectl, Holder.me(), emit=lambda event: pytest.fail("it waits")).acquire()


async def test_another_programs_lease_is_respected(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    await lease(kubectl, ELSEWHERE).acquire()
    found = await live(kubectl)
    found["spec"]["holderIdentity"] = "some-controller"
    await kubectl.call("replace", "-f", "-", stdin=json.dumps(found))
    with pytest.raises(Held, match="some-controller"):
        await lease(kubectl, Holder.me()).acquire()


async def renewals(kubectl: Kubectl, count: int) -> None:
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) <= count:
            seen.add((await live(kubectl))["spec"]["renewTime"])


async def test_renewed_in_the_background(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    own = lease(kubectl, Holder.me(), renewed_every=0.05)
    await own.acquire()
    async with kept(own):
        await renewals(kubectl, 2)
        assert (await live(kubectl))["spec"]["leaseTransitions"] == 0
    with pytest.raises(KubectlError, match="NotFound"):
        await live(kubectl)


async def test_losing_the_lock_stops_what_runs(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    own = lease(kubectl, Holder.me(), renewed_every=0.05)
    await own.acquire()
    await kubectl.call("delete", "lease", LOCK, "-n", NAMESPACE)
    with pytest.raises(Lost, match="another run took it"):
        async with kept(own):
            await asyncio.sleep(10)
    task = asyncio.current_task()
    assert task
    assert not task.cancelling()


async def test_a_lost_lock_of_another_run_is_not_deleted(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    own = lease(kubectl, Holder.me())
    await own.acquire()
    theirs = await live(kubectl)
    theirs["spec"]["holderIdentity"] = ELSEWHERE.identity
    await kubectl.call("replace", "-f", "-", stdin=json.dumps(theirs))
    await own.release()
    assert (await live(kubectl))["spec"]["holderIdentity"] == ELSEWHERE.identity


async def test_a_cancelled_run_releases_the_lock(adopted: ClusterGuard, kubectl: Kubectl) -> None:
    inside = asyncio.Event()

    async def body() -> None:
        async with adopted.hold():
            inside.set()
            await asyncio.sleep(10)

    task = asyncio.create_task(body())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(KubectlError, match="NotFound"):
        await live(kubectl)

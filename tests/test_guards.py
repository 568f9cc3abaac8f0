"""What a run on the account holds: the folder's lock always, the cluster's Lease when there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from workshop.guards import AccountGuard, LockedCluster
from workshop.kubernetes.cluster_guard import LOCK, NAMESPACE, ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.lease import Held, Holder, Lease
from workshop.runbook.errors import UsageError
from workshop.runbook.state_folder import FolderLock


@pytest.fixture
def lock(tmp_path: Path) -> FolderLock:
    return FolderLock(tmp_path / "state", "me")


def account(kubectl: Kubectl, lock: FolderLock) -> AccountGuard:
    return AccountGuard("mesh-workshop", False, lock, kubectl)


@pytest.fixture
async def adopted(kubectl: Kubectl) -> AsyncIterator[ClusterGuard]:
    guard = ClusterGuard(kubectl, "primary")
    await guard.adopt()
    yield guard
    await kubectl.call("delete", "namespace", NAMESPACE, "--ignore-not-found")


async def leases(kubectl: Kubectl) -> str:
    return await kubectl.call("get", "leases", "-n", NAMESPACE, "-o", "name")


async def test_an_account_run_takes_the_lease_of_a_cluster_that_answers(
    kubectl: Kubectl, lock: FolderLock, adopted: ClusterGuard
) -> None:
    async with account(kubectl, lock).hold():
        assert LOCK in await leases(kubectl)
        with pytest.raises(UsageError, match="me"), lock.held():
            raise AssertionError
    assert LOCK not in await leases(kubectl)


async def test_an_account_run_is_refused_while_another_run_works_on_the_cluster(
    kubectl: Kubectl, lock: FolderLock, adopted: ClusterGuard
) -> None:
    other = Lease(kubectl, NAMESPACE, LOCK, Holder("another-host", 4711, "ada", "99@elsewhere"))
    await other.acquire()
    with pytest.raises(Held, match="ada on another-host"):
        async with account(kubectl, lock).hold():
            raise AssertionError
    await other.release()
    with lock.held():
        pass


async def test_an_account_run_goes_on_without_a_cluster(kubectl: Kubectl, lock: FolderLock, tmp_path: Path) -> None:
    missing = replace(kubectl, kubeconfig=tmp_path / "none")
    unreachable = tmp_path / "kubeconfig"
    unreachable.write_text(
        "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "contexts: [{name: primary, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    for there in (missing, replace(kubectl, kubeconfig=unreachable)):
        entered = False
        async with account(there, lock).hold():
            entered = True
        assert entered


async def test_an_account_run_outlives_the_cluster_it_deletes(
    kubectl: Kubectl, lock: FolderLock, adopted: ClusterGuard
) -> None:
    async with account(kubectl, lock).hold():
        await kubectl.call("delete", "namespace", NAMESPACE)


async def test_a_cluster_run_holds_both(kubectl: Kubectl, lock: FolderLock, adopted: ClusterGuard) -> None:
    guard = LockedCluster(adopted, lock)
    await guard.may_change()
    await guard.may_destroy()
    async with guard.hold():
        assert LOCK in await leases(kubectl)
        with pytest.raises(UsageError), lock.held():
            raise AssertionError


async def test_looking_whether_another_run_holds_it_takes_nothing(
    kubectl: Kubectl, lock: FolderLock, adopted: ClusterGuard
) -> None:
    for guard in (LockedCluster(adopted, lock), account(kubectl, lock)):
        await guard.refuse_if_held()
        other = Lease(kubectl, NAMESPACE, LOCK, Holder("another-host", 4711, "ada", "99@elsewhere"))
        await other.acquire()
        with pytest.raises(Held, match="ada on another-host"):
            await guard.refuse_if_held()
        await other.release()
        assert LOCK not in await leases(kubectl)
    assert not lock.folder.exists()


async def test_a_run_is_refused_while_the_folder_is_held(
    kubectl: Kubectl, lock: FolderLock, tmp_path: Path
) -> None:
    """Also where there is no cluster whose Lease could tell, or one that is too slow to."""
    missing = replace(kubectl, kubeconfig=tmp_path / "none")
    for guard in (account(missing, lock), LockedCluster(ClusterGuard(missing, "x"), lock)):
        with lock.held(), pytest.raises(UsageError, match="another run has it: me"):
            await guard.refuse_if_held()
        await guard.refuse_if_held()


async def test_a_lock_that_cannot_be_looked_at_is_none(kubectl: Kubectl, lock: FolderLock, tmp_path: Path) -> None:
    unreachable = replace(kubectl, context="of no cluster")
    for guard in (LockedCluster(ClusterGuard(unreachable, "x"), lock), account(unreachable, lock)):
        await guard.refuse_if_held()
    absent = replace(kubectl, absent=True, binary=tmp_path / "none")
    await ClusterGuard(absent, "yet to be made").refuse_if_held()


async def test_ones_own_lease_is_no_other_run_s(adopted: ClusterGuard) -> None:
    async with adopted.hold():
        await adopted.refuse_if_held()

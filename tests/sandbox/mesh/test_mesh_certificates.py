"""What istiod writes into namespaces: shared/real/objects/ca-configmaps-in-default.yaml."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import x509

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Admission, ApiError
from sandbox.mesh.identities import Authority
from sandbox.mesh.mesh_certificates import RootCertificates

from .world import eventually

ROOT, REVOCATIONS = "istio-ca-root-cert", "istio-ca-crl"


@pytest.fixture
def cluster() -> LocalCluster:
    """With Kubernetes' own four namespaces."""
    return LocalCluster()


@contextlib.asynccontextmanager
async def running(certificates: RootCertificates) -> AsyncIterator[None]:
    task = asyncio.create_task(certificates.watch.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(cluster: LocalCluster, namespace: str, name: str, data: Any = None) -> None:
    async def there() -> bool:
        found = cluster.find("configmaps", namespace, name)
        return found is not None and data in (None, found["data"])

    await eventually(there)


async def test_into_every_namespace_that_is_not_only_kubernetes_own(cluster: LocalCluster) -> None:
    """Into kube-system, too, where a ztunnel may run (istio/pilot/pkg/serviceregistry/kube/controller)."""
    async with running(RootCertificates(cluster, Authority())):
        await until(cluster, "kube-system", REVOCATIONS)
        cluster.create("namespaces", {"metadata": {"name": "later"}}, manager="test")
        await until(cluster, "later", REVOCATIONS)
    there = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in cluster.list("configmaps")]
    homes = ("default", "kube-system", "later")
    assert there == [(home, name) for home in homes for name in (REVOCATIONS, ROOT)]
    root, revoked = (cluster.get("configmaps", "default", name) for name in (ROOT, REVOCATIONS))
    assert root["metadata"]["labels"] == revoked["metadata"]["labels"] == {"istio.io/config": "true"}
    assert revoked["data"] == {"ca-crl.pem": ""}
    assert list(root["data"]) == ["root-cert.pem"]
    pem = root["data"]["root-cert.pem"]
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.subject.rfc4514_string() == "O=cluster.local"
    assert certificate.not_valid_after_utc.year - certificate.not_valid_before_utc.year == 10
    ssl.create_default_context(cadata=pem)


async def test_what_is_deleted_or_changed_is_written_again_while_istiod_runs(cluster: LocalCluster) -> None:
    certificates = RootCertificates(cluster, Authority())
    async with running(certificates):
        await until(cluster, "default", ROOT)
        data = cluster.get("configmaps", "default", ROOT)["data"]
        cluster.delete("configmaps", "default", ROOT)
        await until(cluster, "default", ROOT, data)
        cluster.edit(
            "configmaps", "default", ROOT, lambda obj: obj.update(data={"root-cert.pem": "x"}), manager="test"
        )
        await until(cluster, "default", ROOT, data)
    cluster.delete("configmaps", "default", ROOT)
    await asyncio.sleep(0.05)
    assert cluster.find("configmaps", "default", ROOT) is None
    assert cluster.find("configmaps", "default", REVOCATIONS)
    async with running(certificates):
        await until(cluster, "default", ROOT, data)


async def test_what_could_not_be_written_is_written_with_the_next_change(cluster: LocalCluster) -> None:
    refused: list[str] = []

    def refuse(admission: Admission) -> None:
        if admission.resource.key == "configmaps" and len(refused) < 4:
            refused.append(admission.object["metadata"]["namespace"])
            raise ApiError(403, "Forbidden", "not now")

    async def all_refused() -> bool:
        return len(refused) == 4

    cluster.validation.append(refuse)
    async with running(RootCertificates(cluster, Authority())):
        await eventually(all_refused)
        cluster.create("namespaces", {"metadata": {"name": "later"}}, manager="test")
        for namespace in ("default", "kube-system", "later"):
            await until(cluster, namespace, ROOT)
    assert sorted(refused) == ["default"] * 2 + ["kube-system"] * 2


async def test_somebody_elses_of_that_name_keeps_its_labels_and_other_data(cluster: LocalCluster) -> None:
    own = {"metadata": {"name": ROOT, "namespace": "default"}, "data": {"mine": "1"}}
    cluster.create("configmaps", own, manager="test")
    async with running(RootCertificates(cluster, Authority())):
        await until(cluster, "kube-system", ROOT)
    found = cluster.get("configmaps", "default", ROOT)
    assert "labels" not in found["metadata"]
    assert sorted(found["data"]) == ["mine", "root-cert.pem"]


async def test_a_namespace_that_ends_is_left_alone(cluster: LocalCluster, caplog: pytest.LogCaptureFixture) -> None:
    held = {"metadata": {"name": "ending", "finalizers": ["test/hold"]}}
    cluster.create("namespaces", held, manager="test")
    cluster.delete("namespaces", None, "ending")
    async with running(RootCertificates(cluster, Authority())):
        await until(cluster, "kube-system", REVOCATIONS)
    assert cluster.find("configmaps", "ending", ROOT) is None
    assert not caplog.records

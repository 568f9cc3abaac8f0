"""Whether a Service gets an address from outside, by what is there: nothing is made to see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kit.runs import Memory
from workshop.kubernetes.load_balancers import finding
from workshop.runbook.results import Finding


def service(name: str, minutes: float, address: str = "") -> dict[str, Any]:
    made = (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"loadBalancer": {"ingress": [{"ip": address}]} if address else {}}
    metadata = {"name": name, "namespace": "", "creationTimestamp": made}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}, "status": status}


def node(provider: str = "", **labels: str) -> dict[str, Any]:
    spec = {"providerID": f"{provider}://one"} if provider else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one", "labels": labels}, "spec": spec}


def kind(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
    }


async def found(*objects: dict[str, Any]) -> Finding:
    cluster = Memory()
    cluster.put(*objects)
    return await finding("load balancers", cluster.run())


async def test_one_that_has_an_address_says_that_somebody_gives_them() -> None:
    row = await found(node(), service("web", 60, "10.0.0.1"), service("new", 1))
    assert (row.state, row.what) == ("ok", "1 of 2 Services that ask for an address have one")


async def test_none_has_one_after_minutes() -> None:
    row = await found(node("azure"), service("web", 90), service("new", 1))
    assert row.state == "fail"
    assert (
        row.what == "nobody gives addresses: Service web has waited 90 min for an address, and no other one has any"
    )
    assert "kubectl" in row.next_command
    assert "describe service web" in row.next_command


async def test_one_of_several_waits() -> None:
    row = await found(node(), service("api", 60, "10.0.0.1"), service("web", 12))
    assert (row.state, row.what) == (
        "warn",
        "1 of 2 have an address, but Service web has waited 12 min for an address",
    )


@pytest.mark.parametrize(
    ("there", "state", "said"),
    [
        ((node("azure"),), "ok", "given by Azure, whose nodes these are; for certain it is known when the first"),
        ((node("aws"), service("new", -60)), "ok", "given by AWS"),  # an hour ahead: new when its turn comes
        ((node("sandbox"),), "ok", "given by the sandbox"),
        ((node(), kind("ipaddresspools.metallb.io")), "ok", "given by MetalLB"),
        ((node("kind"),), "warn", "kind gives none by itself (cloud-provider-kind does); for certain"),
        ((node("k3s"),), "warn", "one Service for each port"),
        ((node(**{"minikube.k8s.io/name": "m"}),), "warn", "while `minikube tunnel` runs"),
        ((node(),), "warn", "the nodes name no cloud, and nothing that gives addresses (as MetalLB) is there"),
    ],
)
async def test_while_none_asks_for_one_it_is_foreseen(
    there: tuple[dict[str, Any], ...], state: str, said: str
) -> None:
    row = await found(*there)
    assert row.state == state
    assert said in row.what
    assert bool(row.next_command) == (state != "ok")

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.runs import Recorded
from workshop.kubernetes.ingress import Ingress, _node_address, read, through_ingress, url
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Hint, Verdict
from workshop.runbook.run import Run

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "entry"},
    "spec": {
        "type": "LoadBalancer",
        "selector": {"app": "entry"},
        "ports": [{"name": "status-port", "port": 15021}, {"name": "http2", "port": 8080}],
    },
}


class Probe:
    path = "/productpage"

    async def measure(self, run: Run, base_url: str) -> Verdict:
        return Verdict("pass", f"measured at {base_url}")

    def commands(self, base_url: str) -> tuple[str, ...]:
        return (f"curl -s {base_url}{self.path}",)

    def look_at(self, base_url: str) -> Hint:
        return Hint("open", f"{base_url}{self.path}", "a page")


async def test_the_address_is_that_of_the_load_balancer(kubectl: Kubectl, namespace: str) -> None:
    await kubectl.call("apply", "-n", namespace, "-f", "-", stdin=json.dumps(SERVICE))
    run = Recorded(kubectl)
    entry = Ingress(namespace, "entry", seconds=10)
    verdict = await through_ingress(Probe(), entry, tell=True).prove(run)
    live = await kubectl.get_json("service", "entry", "-n", namespace)
    address = live["status"]["loadBalancer"]["ingress"][0]["ip"]
    assert verdict.reason == f"measured at http://{address}:8080"
    page = f"http://{address}:8080/productpage"
    assert run.told == [f"{page} is open\nGATEWAY_URL is {address}:8080"]
    assert await through_ingress(Probe(), entry).look_at(run) == (Hint("open", page, "a page"),)


def service(*ingress: dict[str, Any], **port: Any) -> dict[str, Any]:
    ports = [{"name": "status-port", "port": 15021}, {"name": "http2", "port": 80, **port}]
    return {"spec": {"ports": ports}, "status": {"loadBalancer": {"ingress": list(ingress)}}}


def test_where_a_port_is_reached() -> None:
    assert read(service({"ip": "10.0.0.1"}), "http2") == ("10.0.0.1", 80)
    assert read(service({"hostname": "a.example.org"}), "http2") == ("a.example.org", 80)
    refused = {"ip": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP", "error": "NoPrivilege"}]}
    assert read(service(refused, nodePort=30080), "http2") == ("", 30080)
    assert read(service(refused), "http2") == "port 80 at the load balancer: NoPrivilege"
    assert read(service(refused, nodePort=30080), "status-port") == ("10.0.0.1", 15021)


async def test_a_node_has_an_address(kubectl: Kubectl) -> None:
    nodes = await kubectl.get_items("nodes")
    addresses = {a["address"] for node in nodes for a in node["status"]["addresses"] if a["type"] == "InternalIP"}
    assert await _node_address(kubectl) in addresses


async def test_a_load_balancer_without_an_address_is_waited_for(kubectl: Kubectl, namespace: str) -> None:
    service = {**SERVICE, "spec": {**SERVICE["spec"], "type": "ClusterIP"}}
    await kubectl.call("apply", "-n", namespace, "-f", "-", stdin=json.dumps(service))
    with pytest.raises(WorkshopError) as failed:
        await Recorded(kubectl).observe(Ingress(namespace, "entry", seconds=0.2))
    assert "<pending>" in failed.value.came_back
    assert failed.value.next_command == kubectl.typed(f"kubectl describe service entry -n {namespace}")
    with pytest.raises(WorkshopError, match="<pending>"):
        await through_ingress(Probe(), Ingress(namespace, "entry")).look_at(Recorded(kubectl))


async def test_a_port_that_is_not_there_is_named(kubectl: Kubectl, namespace: str) -> None:
    await kubectl.call("apply", "-n", namespace, "-f", "-", stdin=json.dumps(SERVICE))
    with pytest.raises(WorkshopError, match="a port named https"):
        await Recorded(kubectl).observe(Ingress(namespace, "entry", "https", seconds=0.1))


def test_urls() -> None:
    assert url("10.0.0.1", 80) == "http://10.0.0.1"
    assert url("a.example.org", 8080) == "http://a.example.org:8080"
    assert url("::1", 80) == "http://[::1]"


def test_the_commands_a_person_types(kubectl: Kubectl) -> None:
    for tell in (False, True):
        commands = through_ingress(Probe(), tell=tell).commands(Recorded(kubectl))
        assert commands[-2:] == (
            "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT",
            "curl -s http://$GATEWAY_URL/productpage",
        )

from __future__ import annotations

from typing import Any

import pytest

from sandbox.core import addresses
from sandbox.core.cluster import ApiError, Object

from .conftest import World


def service(name: str = "web", namespace: str = "default", **spec: Any) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 8000, "targetPort": "http"}], **spec}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def refused(world: World, obj: Object) -> str:
    with pytest.raises(ApiError) as caught:
        world.create("services", obj)
    assert caught.value.code == 422
    return caught.value.message


async def test_the_answer_has_the_cluster_address(world: World) -> None:
    spec = world.create("services", service())["spec"]
    assert spec["clusterIP"].startswith("127.64.128.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert "nodePort" not in spec["ports"][0]


async def test_an_address_is_one_services_only(world: World) -> None:
    first = world.create("services", service("a"))["spec"]["clusterIP"]
    assert world.create("services", service("b"))["spec"]["clusterIP"] != first
    assert "provided IP is already allocated" in refused(world, service("c", clusterIP=first))
    assert "not in the valid range" in refused(world, service("c", clusterIP="10.0.0.1"))
    world.cluster.delete("services", "default", "a")
    assert world.create("services", service("c", clusterIP=first))["spec"]["clusterIP"] == first


async def test_what_is_only_tried_takes_nothing(world: World) -> None:
    for _ in range(3):
        refused(world, service("bad", clusterIP="127.64.128.99", ports=[{"port": 1, "nodePort": 31000}]))
    good = service("good", type="NodePort", clusterIP="127.64.128.99", ports=[{"port": 1, "nodePort": 31000}])
    assert world.create("services", good)["spec"]["clusterIP"] == "127.64.128.99"


async def test_an_address_stays_and_a_replacement_without_keeps_it(world: World) -> None:
    address = world.create("services", service())["spec"]["clusterIP"]

    def drop(changed: Object) -> None:
        del changed["spec"]["clusterIP"], changed["spec"]["clusterIPs"]

    assert world.edit("services", "web", drop)["spec"]["clusterIP"] == address
    with pytest.raises(ApiError, match="may not change once set"):
        world.edit("services", "web", lambda changed: changed["spec"].update(clusterIP="127.64.130.1"))


async def test_headless_services_have_no_address(world: World) -> None:
    assert world.create("services", service("headless", clusterIP="None"))["spec"]["clusterIPs"] == ["None"]


async def test_node_ports_come_and_go_with_the_type(world: World) -> None:
    world.create("services", service())
    port = world.edit("services", "web", lambda changed: changed["spec"].update(type="NodePort"))["spec"]["ports"][
        0
    ]
    assert 30000 <= port["nodePort"] <= 32767
    again = world.edit("services", "web", lambda changed: changed["spec"]["ports"][0].pop("nodePort"))
    assert again["spec"]["ports"][0]["nodePort"] == port["nodePort"]
    assert "already allocated" in refused(
        world, service("b", type="NodePort", ports=[{"port": 1, "nodePort": port["nodePort"]}])
    )
    assert "30000-32767" in refused(world, service("b", type="NodePort", ports=[{"port": 1, "nodePort": 80}]))
    assert "may not be used when `type` is 'ClusterIP'" in refused(
        world, service("b", ports=[{"port": 1, "nodePort": 31000}])
    )
    back = world.edit("services", "web", lambda changed: changed["spec"].update(type="ClusterIP"))
    assert "nodePort" not in back["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in back["spec"]


def ingress(world: World, name: str = "web") -> list[Object]:
    status: Object = world.cluster.get("services", "default", name).get("status") or {}
    found: list[Object] = (status.get("loadBalancer") or {}).get("ingress") or []
    return found


async def test_a_load_balancer_gets_an_address_of_this_machine(world: World) -> None:
    world.create("services", service(type="LoadBalancer"))
    await world.until(lambda: ingress(world))
    assert ingress(world) == [{"ip": "127.64.1.1", "ipMode": "VIP"}]
    world.create("services", service("b", type="LoadBalancer", loadBalancerIP="127.64.1.7"))
    await world.until(lambda: ingress(world, "b"))
    assert ingress(world, "b")[0]["ip"] == "127.64.1.7"
    world.edit("services", "web", lambda changed: changed["spec"].update(type="ClusterIP"))
    await world.until(lambda: not ingress(world))
    world.create("services", service("c", type="LoadBalancer", loadBalancerIP="127.64.1.1"))
    await world.until(lambda: ingress(world, "c"))


async def test_a_service_made_anew_has_an_address_of_its_own(world: World) -> None:
    """Its predecessor's is given back, though both have the same name."""
    world.create("services", service(type="LoadBalancer"))
    await world.until(lambda: ingress(world))
    world.cluster.delete("services", "default", "web")
    world.create("services", service(type="LoadBalancer"))
    await world.until(lambda: ingress(world))
    await world.settled()
    world.create("services", service("b", type="LoadBalancer", loadBalancerIP="127.64.1.2"))
    world.create("services", service("c", type="LoadBalancer"))
    await world.until(lambda: ingress(world, "b") and ingress(world, "c"))
    assert len({ingress(world, name)[0]["ip"] for name in ("web", "b", "c")}) == 3


async def test_a_taken_load_balancer_address_is_told(world: World) -> None:
    world.create("services", service(type="LoadBalancer", loadBalancerIP="10.0.0.4"))
    await world.until(lambda: world.messages("SyncLoadBalancerFailed"))
    assert ingress(world) == []


async def test_a_port_that_cannot_be_listened_on_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "may_listen", lambda port: port >= 1024)
    ports = [{"name": "low", "port": 80}, {"name": "high", "port": 8080}]
    world.create("services", service(type="LoadBalancer", ports=ports))
    await world.until(lambda: ingress(world))
    assert ingress(world)[0]["ports"] == [
        {"port": 80, "protocol": "TCP", "error": "mesh-workshop.sandbox/PortNotAllowed"},
        {"port": 8080, "protocol": "TCP"},
    ]
    (said,) = world.messages("PortNotAllowed")
    assert "port 80 of this machine; the service's node ports work" in said


async def test_what_leads_to_such_a_port_instead_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "may_listen", lambda port: port >= 1024)
    ports = [{"name": "http", "port": 80}, {"name": "https", "port": 443}]
    world.create("services", service(type="LoadBalancer", ports=ports))
    await world.until(lambda: world.messages("PortNotAllowed"))
    (said,) = world.messages("PortNotAllowed")
    assert "port 80, 443 of this machine; 8080, 8443 of its address lead there instead" in said

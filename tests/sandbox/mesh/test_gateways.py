"""Ways in from outside: Istio's gateways, load balancers and node ports."""

from __future__ import annotations

import asyncio
import json

from sandbox.mesh import outside

from .world import Client, World, eventually

GATEWAY = {
    "selector": {"istio": "ingressgateway"},
    "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
}


def to(service: str, *, gateway: str = "gate", prefix: str = "/", hosts: tuple[str, ...] = ("*",)) -> dict:
    return {
        "hosts": list(hosts),
        "gateways": [gateway],
        "http": [
            {
                "match": [{"uri": {"prefix": prefix}}],
                "route": [{"destination": {"host": service, "port": {"number": 9080}}}],
            }
        ],
    }


async def entrance(world: World) -> tuple[Client, str]:
    """A gateway behind a service whose port 80 is the pod's 8080; a client that comes in there."""
    proxy = await world.gateway("gateway", istio="ingressgateway")
    world.service("gateway", {"http2": 80}, selector={"istio": "ingressgateway"}, port={"targetPort": 8080})
    for name in ("one", "two"):
        world.service(name, {"http": 9080})
        await world.pod(name, name, name)
    return world.outside(proxy.address, 8080), proxy.address


async def _served(client: Client, version: str, path: str = "/", host: str = "any.example") -> bool:
    try:
        status, _, body = await client.get(path, host)
    except OSError:
        client.close()
        return False
    return status == 200 and json.loads(body)["version"] == version


async def _status(client: Client, status: int, path: str = "/", host: str = "any.example") -> bool:
    try:
        return (await client.get(path, host))[0] == status
    except OSError:
        client.close()
        return False


async def test_a_gateway_listens_on_the_target_port_and_routes_by_its_virtual_services(world: World) -> None:
    client, _ = await entrance(world)
    world.apply("gateways", "gate", GATEWAY)
    await eventually(lambda: _status(client, 404))
    world.apply("virtualservices", "one", to("one", prefix="/one"))
    world.apply("virtualservices", "two", to("two", prefix="/two"))
    await eventually(lambda: _served(client, "one", "/one/x"))
    await eventually(lambda: _served(client, "two", "/two"))
    assert await _status(client, 404, "/")


async def test_hosts_of_gateway_and_virtual_service_must_agree(world: World) -> None:
    client, _ = await entrance(world)
    server = {**GATEWAY["servers"][0], "hosts": ["one.example", "default/*.two.example", "other/three.example"]}
    world.apply("gateways", "gate", {**GATEWAY, "servers": [server]})
    world.apply("virtualservices", "one", to("one"))
    world.apply("virtualservices", "two", to("two", hosts=("a.two.example", "three.example")))
    await eventually(lambda: _served(client, "one", host="one.example"))
    assert await _served(client, "two", host="a.two.example")
    assert await _status(client, 404, host="three.example")
    assert await _status(client, 404, host="four.example")


async def test_several_gateways_share_a_port_and_open_others(world: World) -> None:
    client, address = await entrance(world)
    world.apply("gateways", "gate", {**GATEWAY, "servers": [{**GATEWAY["servers"][0], "hosts": ["one.example"]}]})
    opened = [
        {"port": {"number": number, "name": "http", "protocol": "HTTP"}, "hosts": ["two.example"]}
        for number in (80, 8088)
    ]
    opened[1]["port"]["name"] = "other"  # type: ignore[index]
    world.apply("gateways", "second", {**GATEWAY, "servers": opened})
    world.apply("virtualservices", "one", to("one"))
    world.apply("virtualservices", "two", to("two", gateway="default/second"))
    await eventually(lambda: _served(client, "one", host="one.example"))
    await eventually(lambda: _served(client, "two", host="two.example"))
    other = world.outside(address, 8088)
    await eventually(lambda: _served(other, "two", host="two.example"))
    assert await _status(other, 404, host="one.example")


async def test_ports_80_and_443_are_where_the_service_has_8080_and_8443(world: World) -> None:
    proxy = await world.gateway("gateway", istio="ingressgateway")
    world.service("gateway", {"http2": 8080}, selector={"istio": "ingressgateway"}, port={"targetPort": 8081})
    world.service("one", {"http": 9080})
    await world.pod("one", "one", "one")
    world.apply("gateways", "gate", GATEWAY)
    world.apply("virtualservices", "one", to("one"))
    client = world.outside(proxy.address, 8081)
    await eventually(lambda: _served(client, "one"))


async def test_mesh_rules_do_not_apply_at_the_gateway_and_the_other_way_round(world: World) -> None:
    client, _ = await entrance(world)
    world.apply("gateways", "gate", GATEWAY)
    world.apply("virtualservices", "one", to("two", hosts=("one",), gateway="mesh"))
    world.apply("virtualservices", "all", to("one"))
    await eventually(lambda: _served(client, "one", host="one"))
    sidecar = await world.sidecar("client")
    address = world.cluster.get("services", "default", "one")["spec"]["clusterIP"]
    assert await _served(world.client(sidecar, address, 9080), "two", host="one")


async def test_a_removed_gateway_stops_listening(world: World) -> None:
    client, address = await entrance(world)
    world.apply("gateways", "gate", GATEWAY)
    await eventually(lambda: _status(client, 404))
    world.cluster.delete("gateways.networking.istio.io", "default", "gate")

    async def refused() -> bool:
        fresh = world.outside(address, 8080)
        return not await _status(fresh, 404)

    await eventually(refused)


async def test_a_policy_says_what_a_gateway_takes(world: World) -> None:
    client, _ = await entrance(world)
    world.apply("gateways", "gate", GATEWAY)
    await eventually(lambda: _status(client, 404))
    policies, place = "authorizationpolicies.security.istio.io", {"name": "deny", "namespace": "default"}
    operation = {"paths": ["/admin*"], "ports": ["8080"]}
    for app, status in (("other", 404), ("ingressgateway", 403)):
        selector = {"matchLabels": {"istio": app}}
        spec = {"selector": selector, "action": "DENY", "rules": [{"to": [{"operation": operation}]}]}
        world.cluster.create(policies, {"metadata": place, "spec": spec}, manager="test")
        await eventually(lambda status=status: _status(client, status, "/admin/x"))  # type: ignore[misc]
        assert await _status(client, 404, "/other")
        world.cluster.delete(policies, "default", "deny")
    await eventually(lambda: _status(client, 404, "/admin/x"))


async def test_a_gateway_answers_its_readiness_probe(world: World) -> None:
    proxy = await world.gateway("gateway", istio="ingressgateway")
    assert await _status(world.outside(proxy.address, 15021), 200, "/healthz/ready")


async def test_load_balancers_and_node_ports_work_without_a_mesh(world: World) -> None:
    node = world.network.node_address(0)
    world.cluster.create("nodes", {"metadata": {"name": "node"}}, manager="test")
    addresses = {"addresses": [{"type": "InternalIP", "address": node}]}
    world.cluster.edit(
        "nodes", None, "node", lambda obj: obj.update(status=addresses), manager="test", subresource="status"
    )
    world.service("one", {"http": 8000}, type="LoadBalancer", port={"targetPort": 9080, "nodePort": 30080})
    await world.pod("one", "one", "v1")
    balancer = world.network.load_balancers.take()
    status = {"loadBalancer": {"ingress": [{"ip": balancer}]}}
    world.cluster.edit(
        "services", "default", "one", lambda obj: obj.update(status=status), manager="test", subresource="status"
    )
    for address, port in ((balancer, 8000), (node, 30080)):
        client = world.outside(address, port)
        await eventually(lambda client=client: _served(client, "v1"))  # type: ignore[misc]
    counted = await world.mesh.data_plane.admin(outside.TRAFFIC)
    assert int(counted.rpartition(":")[2]) > 0, "a sandbox that is used does not end"


async def test_the_ways_in_follow_endpoints_and_end_with_their_service(world: World) -> None:
    world.service("one", {"http": 8000}, type="LoadBalancer", port={"targetPort": 9080})
    await world.pod("one", "one", "v1")
    balancer = world.network.load_balancers.take()
    status = {"loadBalancer": {"ingress": [{"ip": balancer}]}}
    world.cluster.edit(
        "services", "default", "one", lambda obj: obj.update(status=status), manager="test", subresource="status"
    )
    await eventually(lambda: _served(world.outside(balancer, 8000), "v1"))
    await world.pod("two", "one", "v2")
    await eventually(lambda: _served(world.outside(balancer, 8000), "v2"))
    world.cluster.delete("services", "default", "one")

    async def closed() -> bool:
        try:
            _, writer = await asyncio.open_connection(balancer, 8000)
            writer.close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False  # it is being closed just now
        return False

    await eventually(closed)

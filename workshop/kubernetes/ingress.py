"""The address that traffic from outside enters by: what tutorials export as GATEWAY_URL.

Read from the ingress gateway's Service, as one does by hand: the load balancer's address and the port named
`http2`. A load balancer takes its time, so that is waited for. Where it has no way to offer that port (it says so
in the port's status), the node port does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from workshop.runbook.model import Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.run import Run

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ingress:
    """The source of the URL (scheme, host and port) of a Service of type LoadBalancer. Waits at most `seconds`."""

    namespace: str = "istio-system"
    service: str = "istio-ingressgateway"
    port: str = "http2"
    seconds: float = 300.0

    async def observe(self, run: Run) -> str:
        from workshop.kubernetes.kubectl import Kubectl

        kubectl = Kubectl.of(run)
        found: list[str] = []

        async def missing() -> str:
            service = await kubectl.get_json("service", self.service, "-n", self.namespace)
            entry = read(service, self.port)
            if isinstance(entry, str):
                return entry
            host, port = entry
            found.append(url(host or await _node_address(kubectl), port))
            return ""

        await run.wait(
            f"the address of {self.namespace}/{self.service}",
            missing,
            seconds=self.seconds,
            every=0.1,
            next_command=f"kubectl describe service {self.service} -n {self.namespace}",
        )
        return found[0]

    def commands(self) -> tuple[str, ...]:
        get = f"kubectl get service {self.service} -n {self.namespace} -o jsonpath="
        return (
            f"INGRESS_HOST=$({get}'{{.status.loadBalancer.ingress[0].ip}}')",
            f"INGRESS_PORT=$({get}'{{.spec.ports[?(@.name==\"{self.port}\")].port}}')",
            "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT",
        )


def read(service: Object, port_name: str) -> tuple[str, int] | str:
    """Host and port where a Service's port is reached, the host empty when it is any node's; or what is missing."""
    port = next((port for port in service["spec"]["ports"] if port.get("name") == port_name), None)
    if port is None:
        return f"a port named {port_name}"
    addresses = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    if not addresses:
        return "the load balancer's address (EXTERNAL-IP is <pending>)"
    offered = addresses[0].get("ports", ())
    refused = next((p["error"] for p in offered if p["port"] == port["port"] and p.get("error")), None)
    if refused is None:
        return addresses[0].get("ip") or addresses[0]["hostname"], port["port"]
    if "nodePort" in port:
        return "", port["nodePort"]
    return f"port {port['port']} at the load balancer: {refused}"


def url(host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}" + ("" if port == 80 else f":{port}")


async def _node_address(kubectl: Kubectl) -> str:
    nodes = await kubectl.get_items("nodes")
    addresses = [a for node in nodes for a in node.get("status", {}).get("addresses", ())]
    by_type = {address["type"]: address["address"] for address in reversed(addresses)}
    address: str = by_type.get("ExternalIP") or by_type["InternalIP"]
    return address


class Measures(Protocol):
    """What measures traffic: a probe of the traffic layer."""

    async def measure(self, run: Run, base_url: str) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class ThroughIngress:
    """The proof that a probe gives when its requests enter by the ingress gateway. With `tell`, also where that is:
    for the lab that opens it."""

    probe: Measures
    ingress: Ingress = Ingress()
    tell: bool = False

    async def prove(self, run: Run) -> Verdict:
        from workshop.runbook import events

        base_url = await run.observe(self.ingress)
        if self.tell:
            run.emit(events.Told(run.lab, f"GATEWAY_URL is {base_url}"))
        return await self.probe.measure(run, base_url)

    def commands(self, run: Run) -> tuple[str, ...]:
        path = getattr(self.probe, "path", "/")
        return (*(self.ingress.commands() if self.tell else ()), f"curl -s http://$GATEWAY_URL{path}")


through_ingress = ThroughIngress

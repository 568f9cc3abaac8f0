"""The address that traffic from outside enters by: what tutorials export as GATEWAY_URL.

Read from the ingress gateway's Service, as one does by hand: the load balancer's address and the port named
`http2`. A load balancer takes its time, so that is waited for. Where it has no way to offer that port (it says so
in the port's status), the node port does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from workshop.kubernetes.manifests import INGRESS_GATEWAY, ISTIO_NAMESPACE, Object, shell_variable
from workshop.kubernetes.other_clusters import run_on, typed_for
from workshop.runbook.errors import WorkshopError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.results import Hint, Lasting, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.run import Run


@dataclass(frozen=True, slots=True)
class Ingress(Lasting):
    """The source of the URL (scheme, host, port) of a Service of type LoadBalancer. Waits at most `seconds`. What
    labs apply does not move it, but for the one that installs, which forgets it."""

    namespace: str = ISTIO_NAMESPACE
    service: str = INGRESS_GATEWAY
    port: str = "http2"
    seconds: float = 300.0

    async def observe(self, run: Run) -> str:
        from workshop.kubernetes.kubectl import Kubectl

        kubectl = Kubectl.of(run)
        found: list[str] = []

        async def missing() -> str:
            service = await kubectl.find("Service", self.namespace, self.service)
            if service is None:
                return f"the Service {self.namespace}/{self.service}"
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
            next_command=kubectl.typed(f"kubectl describe service {self.service} -n {self.namespace}"),
        )
        return found[0]

    def commands(self) -> tuple[str, ...]:
        """What a person types to set GATEWAY_URL."""
        return (*self.read_into("INGRESS_HOST", "INGRESS_PORT"), "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT")

    def read_into(self, host: str, port: str) -> tuple[str, str]:
        """What a person types to set these variables."""
        get = f"kubectl get service {self.service} -n {self.namespace} -o jsonpath="
        return (
            f"{host}=$({get}'{{.status.loadBalancer.ingress[0].ip}}')",
            f"{port}=$({get}'{{.spec.ports[?(@.name==\"{self.port}\")].port}}')",
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
    from workshop.kubernetes.kinds import Place

    place = Place("Node")
    nodes = (await kubectl.look([place]))[place] or ()
    addresses = [a for node in nodes for a in node.get("status", {}).get("addresses", ())]
    by_type = {address["type"]: address["address"] for address in reversed(addresses)}
    address: str = by_type.get("ExternalIP") or by_type["InternalIP"]
    return address


@dataclass(frozen=True, slots=True)
class Address:
    """The source of host and port where a Service is reached now. Raises WorkshopError while it is at none."""

    ingress: Ingress

    async def observe(self, run: Run) -> tuple[str, int]:
        from workshop.kubernetes.cluster_facts import look
        from workshop.kubernetes.kinds import Place
        from workshop.kubernetes.kubectl import Kubectl

        ingress = self.ingress
        there = await look(run, [Place("Service", ingress.namespace)])
        service = there.get("Service", ingress.namespace, ingress.service)
        entry = read(service, ingress.port) if service else "the Service"
        if isinstance(entry, str):
            raise WorkshopError(
                f"find the address of {ingress.namespace}/{ingress.service}",
                f"still missing: {entry}",
                next_command=run.use(Kubectl).typed(
                    f"kubectl get service {ingress.service} -n {ingress.namespace}"
                ),
            )
        host, port = entry
        return host or await _node_address(Kubectl.of(run)), port


@dataclass(frozen=True, slots=True)
class IngressOf:
    """Where the ingress gateway of another of the target's clusters is, as values of a manifest:
    IngressOf("secondary") gives `${secondary-host}` and `${secondary-port}`."""

    cluster: str
    ingress: Ingress = Ingress()

    @property
    def names(self) -> tuple[str, str]:
        return f"{self.cluster}-host", f"{self.cluster}-port"

    async def values(self, run: Run) -> dict[str, str]:
        """Raises WorkshopError while it is not known: there is no such cluster, or no gateway there."""
        there = run_on(run, self.cluster)
        if there is None:
            raise WorkshopError(f"find the ingress gateway of {self.cluster}", "the target has no such cluster")
        host, port = await there.observe(Address(self.ingress))
        return dict(zip(self.names, (host, str(port)), strict=True))

    def commands(self, run: Run) -> tuple[str, ...]:
        host, port = map(shell_variable, self.names)
        return tuple(typed_for(run, self.cluster, each) for each in self.ingress.read_into(host, port))


@dataclass(frozen=True, slots=True)
class HasIngress:
    """The proof that the ingress gateway has an address, which is waited for and told: not as one to be opened, for
    there may be nothing behind it."""

    ingress: Ingress = Ingress()

    async def prove(self, run: Run) -> None:
        from workshop.runbook import events

        entry = (await run.observe(self.ingress)).removeprefix("http://")
        run.emit(events.Told(run.lab, f"the ingress gateway is at {entry}"))

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"kubectl get service {self.ingress.service} -n {self.ingress.namespace}",)


class Measures(Protocol):
    """What measures traffic: a probe of the traffic layer."""

    async def measure(self, run: Run, base_url: str) -> Verdict: ...

    def commands(self, base_url: str) -> tuple[str, ...]:
        """What a person would type to see one answer."""
        ...

    def look_at(self, base_url: str) -> Hint:
        """Where a person sees it."""
        ...

    def seen(self) -> str:
        """What a person sees, in words."""
        ...


@dataclass(frozen=True, slots=True)
class ThroughIngress:
    """The proof that a probe gives when its requests enter by the ingress gateway. With `tell`, also where that is:
    for the lab that opens it. The bare address answers 404, so it is told with what answers there."""

    probe: Measures
    ingress: Ingress = Ingress()
    tell: bool = False

    async def prove(self, run: Run) -> Verdict:
        from workshop.runbook import events

        base_url = await run.observe(self.ingress)
        if self.tell:
            entry, page = base_url.removeprefix("http://"), self.probe.look_at(base_url).what
            run.emit(events.Told(run.lab, f"{page} is open\nGATEWAY_URL is {entry}"))
        return await self.probe.measure(run, base_url)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        host, port = await run.observe(Address(self.ingress))
        return (self.probe.look_at(url(host, port)),)

    def seen(self, run: Run) -> tuple[str, ...]:
        return (self.probe.seen(),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (*self.ingress.commands(), *self.probe.commands("http://$GATEWAY_URL"))


through_ingress = ThroughIngress
has_ingress = HasIngress

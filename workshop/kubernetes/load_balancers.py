"""Whether a Service of type LoadBalancer gets an address in a cluster, as far as looking tells.

For certain it is known only once one has been made, and a look makes nothing. But those that are there tell: one
with an address says that somebody gives addresses, one that has waited for minutes that nobody does. Where there is
none, the nodes say whose cloud they are of, and kinds and nodes which program of one's own gives addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from workshop.kubernetes.cluster_facts import NODES, Everywhere
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Object, name_of
from workshop.runbook.results import Finding
from workshop.runbook.run import Run

SERVICES = Everywhere("Service", fields="spec.type=LoadBalancer")

_WAITED = 300.0
"""Seconds after which no address is one that does not come: labs wait as long (`Ingress.seconds`)."""

CLOUDS = {
    "azure": "Azure",
    "aws": "AWS",
    "gce": "Google Cloud",
    "digitalocean": "DigitalOcean",
    "openstack": "OpenStack",
    "hcloud": "Hetzner Cloud",
    "ibm": "IBM Cloud",
    "oci": "Oracle Cloud",
    "linode": "Akamai (Linode)",
    "scaleway": "Scaleway",
    "sandbox": "the sandbox",
}
"""What providers put before the :// of a node's providerID, where load balancers come with the cluster."""
_GIVERS = {"metallb.io": "MetalLB", "purelb.io": "PureLB", "kube-vip.io": "kube-vip"}
"""Programs that give addresses anywhere, by groups of their kinds."""
_ADVICE = {
    "kind": "kind gives none by itself (cloud-provider-kind does)",
    "minikube": "minikube gives one while `minikube tunnel` runs",
    "k3s": "k3s gives its nodes' own, one Service for each port",
}


async def finding(row: str, run: Run) -> Finding:
    """Raises KubectlError."""
    services, nodes, kinds = await asyncio.gather(
        run.observe(SERVICES),
        run.observe(NODES),
        run.observe(Everywhere("CustomResourceDefinition", named_only=True)),
    )
    having = [service for service in services if _has_address(service)]
    late = [service for service in services if service not in having and _age(service) > _WAITED]
    kubectl = Kubectl.of(run)
    if late:
        first = late[0]["metadata"]
        command = kubectl.typed(f"kubectl describe service {first['name']} -n {first['namespace']}")
        waits = f"{name_of(late[0])} has waited {_minutes(_age(late[0]))} min for an address"
        if having:
            return Finding(row, "warn", f"{len(having)} of {len(services)} have an address, but {waits}", command)
        return Finding(row, "fail", f"nobody gives addresses: {waits}, and no other one has any", command)
    if having:
        return Finding(row, "ok", f"{len(having)} of {len(services)} Services that ask for an address have one")
    return _foreseen(row, nodes, kinds, kubectl)


def _foreseen(row: str, nodes: Sequence[Object], kinds: Iterable[Object], kubectl: Kubectl) -> Finding:
    unknown = "for certain it is known when the first Service asks for an address"
    names = [kind["metadata"]["name"] for kind in kinds]
    givers = [name for group, name in _GIVERS.items() if any(each.endswith(f".{group}") for each in names)]
    providers = {node["spec"].get("providerID", "").partition("://")[0] for node in nodes} - {""}
    if "minikube.k8s.io/name" in {label for node in nodes for label in node["metadata"].get("labels") or ()}:
        providers = {"minikube"}
    clouds = sorted(CLOUDS[provider] for provider in providers if provider in CLOUDS)
    if givers or clouds:
        by = ", ".join(givers) or f"{clouds[0]}, whose nodes these are"
        return Finding(row, "ok", f"given by {by}; {unknown}")
    advice = next((_ADVICE[provider] for provider in sorted(providers) if provider in _ADVICE), "")
    whose = advice or "the nodes name no cloud, and nothing that gives addresses (as MetalLB) is there"
    return Finding(row, "warn", f"{whose}; {unknown}", kubectl.typed("kubectl get services -A"))


def _has_address(service: Object) -> bool:
    return bool(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress"))


def _age(service: Object) -> float:
    made = datetime.fromisoformat(service["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
    return (datetime.now(UTC) - made).total_seconds()


def _minutes(seconds: float) -> int:
    return round(seconds / 60)

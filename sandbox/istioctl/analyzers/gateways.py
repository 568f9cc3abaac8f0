"""Gateways: pods that they select, Secrets that they name (IST0101), and hosts that two of them open (IST0145)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.messages import Level, Message, not_found
from sandbox.istioctl.resources import Object, Resources, labels_of, namespace_of

_Opened = set[tuple[str, str]]
"""Hosts as they are written, each with the address it is bound to."""


def missing_workloads(resources: Resources) -> Iterator[Message]:
    """A selector that no pod has, and a certificate that is not in the pods' namespace.

    Not in the Gateway's own, which may be another: it is the pods that read the Secret.
    """
    secrets = {(namespace_of(obj), obj["metadata"]["name"]) for obj in resources.of("Secret")}
    for gateway in resources.of("Gateway"):
        selector = _selector(gateway)
        pod = next((pod for pod in resources.of("Pod") if selector.items() <= labels_of(pod).items()), None)
        if pod is None:
            yield not_found(gateway, "selector", _text(selector))
            continue
        for server in gateway["spec"].get("servers") or []:
            name = (server.get("tls") or {}).get("credentialName")
            if name and (namespace_of(pod), name) not in secrets:
                yield not_found(gateway, "credentialName", name)


def conflicting(resources: Resources) -> Iterator[Message]:
    """IST0145: a host that another Gateway of the same pods has on the same port too.

    As the real one reckons (analyzers/gateway/conflictinggateway.go): hosts are compared as they are written, so
    `*` and `./*` are two, and of several servers of a Gateway with one port the last counts.
    """
    gateways = resources.of("Gateway")
    opened = {
        (_name(gateway), _number(server)): (_selector(gateway), _hosts(server))
        for gateway in gateways
        for server in gateway["spec"].get("servers") or []
    }
    for gateway in gateways:
        own = _selector(gateway)
        for server in gateway["spec"].get("servers") or []:
            others = sorted(
                name
                for (name, number), (selector, hosts) in opened.items()
                if (name != _name(gateway) and number == _number(server) and hosts & _hosts(server))
                and _same_pods(own, selector, resources)
            )
            if others:
                yield Message(
                    "IST0145",
                    Level.Error,
                    gateway,
                    f"Conflict with gateways {','.join(others)} (workload selector {_text(own)}, "
                    f"port {_number(server)}, hosts {','.join(server['hosts'])}).",
                )


def _same_pods(own: dict[str, str], other: dict[str, str], resources: Resources) -> bool:
    """The same selector; or one that has the other's text in it, and a pod that both select."""
    if own == other:
        return True
    if _text(own) not in _text(other) and _text(other) not in _text(own):
        return False
    both = own.items() | other.items()
    return any(both <= labels_of(pod).items() for pod in resources.of("Pod"))


def _selector(gateway: Object) -> dict[str, str]:
    return gateway["spec"].get("selector") or {}


def _number(server: Object) -> int:
    return int((server.get("port") or {}).get("number") or 0)


def _hosts(server: Object) -> _Opened:
    return {(host, server.get("bind", "")) for host in server.get("hosts") or []}


def _name(gateway: Object) -> str:
    return f"{namespace_of(gateway)}/{gateway['metadata']['name']}"


def _text(selector: dict[str, str]) -> str:
    return ",".join(f"{key}={selector[key]}" for key in sorted(selector))

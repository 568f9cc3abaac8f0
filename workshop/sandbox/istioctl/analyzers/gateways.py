"""Gateways: pods that they select, and Secrets that they name (IST0101)."""

from __future__ import annotations

from collections.abc import Iterator

from ..resources import Resources, labels_of, namespace_of
from .messages import Message, not_found


def missing_workloads(resources: Resources) -> Iterator[Message]:
    """A selector that no pod has, and a certificate that is not in the pods' namespace.

    Not in the Gateway's own, which may be another: it is the pods that read the Secret.
    """
    secrets = {(namespace_of(obj), obj["metadata"]["name"]) for obj in resources.of("Secret")}
    for gateway in resources.of("Gateway"):
        selector = gateway["spec"].get("selector") or {}
        pod = next((pod for pod in resources.of("Pod") if selector.items() <= labels_of(pod).items()), None)
        if pod is None:
            yield not_found(gateway, "selector", ",".join(f"{key}={selector[key]}" for key in sorted(selector)))
            continue
        for server in gateway["spec"].get("servers") or []:
            name = (server.get("tls") or {}).get("credentialName")
            if name and (namespace_of(pod), name) not in secrets:
                yield not_found(gateway, "credentialName", name)

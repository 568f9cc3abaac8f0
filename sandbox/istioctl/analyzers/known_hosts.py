"""The hosts a rule may name: services of the cluster, and what ServiceEntries add."""

from __future__ import annotations

from sandbox.istioctl.resources import Object, Resources, namespace_of
from sandbox.mesh import hosts
from sandbox.mesh.registry import DOMAIN


class KnownHosts:
    def __init__(self, resources: Resources) -> None:
        self._entries = resources.of("ServiceEntry")
        self._services = {
            f"{obj['metadata']['name']}.{namespace_of(obj)}.{DOMAIN}": obj for obj in resources.of("Service")
        }

    def __call__(self, host: str, namespace: str) -> bool:
        """Whether a rule in `namespace` may name `host` (in full); a ServiceEntry's may begin with a wildcard."""
        return host in self._services or any(
            hosts.covers(hosts.resolve(known, namespace_of(entry)), host)
            for entry in self._entries
            if _exported_to(entry, namespace)
            for known in entry["spec"].get("hosts") or []
        )

    def selector(self, host: str) -> dict[str, str]:
        """What a service's pods are labelled; empty for a ServiceEntry's host."""
        service = self._services.get(host)
        selected: dict[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
        return selected


def _exported_to(obj: Object, namespace: str) -> bool:
    exported = obj["spec"].get("exportTo") or ["*"]
    return any(name == "*" or namespace == (namespace_of(obj) if name == "." else name) for name in exported)

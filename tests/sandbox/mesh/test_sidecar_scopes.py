"""What a sidecar knows: cases/sidecars.yaml, by the view of the mesh that its configuration is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.core import service_entry_hosts as service_entries
from sandbox.core.cluster import Object
from sandbox.core.turns import Turns
from sandbox.mesh.proxy_translation import NamespaceView
from sandbox.mesh.registry import DOMAIN, Proxy, Service
from sandbox.mesh.sidecar_scopes import Scopes
from tests.kit.cases import content_of

from . import inputs

CASES = content_of(Path(__file__).parent / "cases/sidecars.yaml")
PORTS = {"one": (80,), "two": (80,), "three": (80, 81)}
PLACES = {"one": "shop", "two": "shop", "three": "other"}
SERVICES = [
    {
        "metadata": {"name": name, "namespace": PLACES[name]},
        "spec": {"clusterIP": "None", "ports": [{"port": number, "name": f"http-{number}"} for number in numbers]},
    }
    for name, numbers in PORTS.items()
]
ENTRIES = [
    {
        "metadata": {"name": "api", "namespace": namespace, "creationTimestamp": created},
        "spec": {"hosts": ["api.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
    }
    for namespace, created in (("other", "2026-02-01T00:00:00Z"), ("far", "2026-01-01T00:00:00Z"))
]


def objects(written: list[dict[str, Any]]) -> list[Object]:
    found = []
    for number, ((place, spec),) in enumerate(map(dict.items, written)):
        namespace, _, name = place.partition("/")
        created = f"2026-01-01T00:00:{number:02}Z"
        metadata = {"name": name or "a", "namespace": namespace, "creationTimestamp": created}
        found.append(
            {"metadata": metadata, "spec": {"egress": [{"hosts": spec}]} if isinstance(spec, list) else spec}
        )
    return found


def shown(service: Service) -> str:
    """As a case writes it."""
    if not service.host.endswith(DOMAIN):
        return f"{service.namespace}/{service.host}"
    numbers = tuple(port.number for port in service.ports)
    return service.name if numbers == PORTS[service.name] else f"{service.name}:{','.join(map(str, numbers))}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
async def test_what_is_known(case: dict[str, Any]) -> None:
    proxy = Proxy("sidecar", "a", case.get("in", "shop"), "127.64.16.1", {"app": "a"})
    view = NamespaceView(proxy.namespace, Scopes(objects(case["sidecars"])).of(proxy))
    rules = inputs.rules(virtual_services=objects(case.get("rules", [])))
    entries = list(service_entries.hosts(ENTRIES))
    await view.update(inputs.known(SERVICES), entries, rules, {}, frozenset(), Turns())
    if "known" in case:
        assert sorted(map(shown, view.services.services)) == sorted(case["known"])
    if "goes_by" in case:
        assert [rule["metadata"]["name"] for rule in view.rules.virtual_services] == case["goes_by"]


def test_a_gateway_knows_everything() -> None:
    proxy = Proxy("gateway", "a", "shop", "127.64.16.1", {"app": "a"})
    assert Scopes(objects([{"shop": ["~/*"]}])).of(proxy) is None

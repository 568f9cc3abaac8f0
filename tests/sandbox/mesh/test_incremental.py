"""The law of translating only what changed: after whatever changes, it is what a translation from nothing is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.mesh.control_plane import DESTINATION_RULES, GATEWAYS, VIRTUAL_SERVICES, ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.registry import SERVICE_NAME, SLICES, Proxy
from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.ads import KINDS
from tests.kit.laws import LAW

ENTRIES = "serviceentries.networking.istio.io"
NAMESPACES = ("shop", "other")
NAMES = ("one", "two")
FOREIGN = "api.example.com"
HOSTS = ("one", "two.shop.svc.cluster.local", "*.shop.svc.cluster.local", "*.example.com", FOREIGN)

PROXIES = (
    Proxy("sidecar", "a", "shop", "127.64.16.1", {"app": "one"}),
    Proxy("sidecar", "b", "other", "127.64.16.2", {"app": "b"}),
    Proxy("gateway", "gate", "shop", "127.64.16.3", {"istio": "gate"}),
    # Another pod under the name of an earlier one.
    Proxy("sidecar", "a", "shop", "127.64.16.4", {"app": "two"}),
)

_few = {"max_size": 2}
EXPORTS = st.sampled_from(([], ["."], ["*"], ["other"]))
DESTINATION = st.fixed_dictionaries(
    {"host": st.sampled_from(HOSTS[:2])},
    optional={"subset": st.sampled_from(("v1", "v2")), "port": st.sampled_from(({"number": 80}, {"number": 90}))},
)
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "uri": st.sampled_from(({"prefix": "/x"}, {"exact": "/y"})),
        "port": st.sampled_from((80, 90)),
        "sourceLabels": st.just({"app": "one"}),
        "gateways": st.sampled_from((["mesh"], ["gate"])),
    },
)
HTTP = st.fixed_dictionaries(
    {"route": st.lists(st.fixed_dictionaries({"destination": DESTINATION}), min_size=1, max_size=1)},
    optional={"match": st.lists(MATCH, min_size=1, max_size=2), "mirror": DESTINATION},
)
HASHED = {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}}
PORTS = st.lists(st.sampled_from(((80, "http"), (90, "http2"), (81, "tcp"), (82, ""))), unique=True, max_size=3)

SPECS: dict[str, st.SearchStrategy[Any]] = {
    "services": st.builds(
        lambda ports, address: {
            "clusterIP": address,
            "selector": {"istio": "gate"},
            "ports": [{"port": number, "name": name, "protocol": "TCP"} for number, name in ports],
        },
        PORTS,
        st.sampled_from(("None", "127.64.128.1", "127.64.128.2")),
    ),
    "pods": st.just({}),
    VIRTUAL_SERVICES: st.fixed_dictionaries(
        {"hosts": st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2), "http": st.lists(HTTP, max_size=2)},
        optional={"gateways": st.sampled_from((["mesh"], ["gate"], ["mesh", "gate"])), "exportTo": EXPORTS},
    ),
    DESTINATION_RULES: st.fixed_dictionaries(
        {"host": st.sampled_from(HOSTS)},
        optional={
            "subsets": st.just([{"name": "v1", "labels": {"version": "v1"}}]),
            "trafficPolicy": st.sampled_from(({"loadBalancer": {"simple": "RANDOM"}}, HASHED)),
            "exportTo": EXPORTS,
        },
    ),
    GATEWAYS: st.builds(
        lambda hosts, number: {
            "selector": {"istio": "gate"},
            "servers": [{"hosts": hosts, "port": {"number": number, "name": "http", "protocol": "HTTP"}}],
        },
        st.sampled_from((["*"], ["*.shop.svc.cluster.local"], ["other/*"])),
        st.sampled_from((80, 8080)),
    ),
    ENTRIES: st.builds(
        lambda resolution, ports: {
            "hosts": [FOREIGN],
            "resolution": resolution,
            "ports": [{"number": number, "name": name or "x", "protocol": "HTTP"} for number, name in ports],
            "endpoints": [{"address": "127.65.1.1"}],
        },
        st.sampled_from(("STATIC", "NONE")),
        PORTS,
    ),
}
_ENDPOINT = st.tuples(st.sampled_from(NAMES), st.booleans())
PIECES = st.tuples(st.sampled_from(NAMES), st.lists(_ENDPOINT, **_few), st.sampled_from(("http", "tcp")))

PLACES = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
CHANGE = st.one_of(
    st.tuples(st.just(SLICES), PLACES, st.none() | PIECES),
    *(st.tuples(st.just(kind), PLACES, st.none() | spec) for kind, spec in SPECS.items()),
    st.tuples(st.just("proxies"), st.just(("", "")), st.sampled_from(PROXIES)),
)


def _service(*ports: tuple[int, str]) -> Object:
    return {"clusterIP": "None", "ports": [{"port": number, "name": name} for number, name in ports]}


ONE, TWO = ("shop", "one"), ("shop", "two")
LEADS_TO_TWO = {"hosts": ["one"], "http": [{"route": [{"destination": {"host": "two"}}]}]}
SUBSETS = {"host": "two", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
BASE: list[tuple[str, tuple[str, str], Any]] = [
    ("services", ONE, _service((80, "http"))),
    ("services", TWO, _service((90, "http"))),
    ("pods", ONE, {}),
    (SLICES, TWO, ("two", [("one", True)], "http")),
    (VIRTUAL_SERVICES, ONE, LEADS_TO_TWO),
    (DESTINATION_RULES, TWO, SUBSETS),
]
"""Something that changes can make a difference to."""


def _object(kind: str, place: tuple[str, str], drawn: Any, number: int) -> Object:
    """Of two objects that are made one after the other either may be the older."""
    metadata: Object = {"namespace": place[0], "name": place[1], "creationTimestamp": f"2026-01-0{number % 3 + 1}"}
    if kind == "pods":
        metadata["labels"] = {"version": f"v{number % 2 + 1}"}
    if kind != SLICES:
        return {"kind": kind, "metadata": metadata, "spec": drawn}
    service, endpoints, port = drawn
    metadata["labels"] = {SERVICE_NAME: service}
    told = [
        {"addresses": [f"127.64.16.{at + 9}"], "conditions": {"ready": ready}, "targetRef": {"name": pod}}
        for at, (pod, ready) in enumerate(endpoints)
    ]
    return {"metadata": metadata, "endpoints": told, "ports": [{"name": port, "port": 9080}]}


@settings(LAW, max_examples=25)
@given(st.lists(st.lists(CHANGE, min_size=1, max_size=3), max_size=8))
@example([[("services", TWO, _service((90, "http"), (80, "http")))]]).via(
    "a rule leads to a port that another has now"
)
@example([[("pods", ONE, {})]]).via("a pod goes over to another subset")
def test_it_is_what_a_translation_from_nothing_is(rounds: list[list[tuple[str, tuple[str, str], Any]]]) -> None:
    asyncio.run(_follow(rounds))


async def _follow(rounds: list[list[tuple[str, tuple[str, str], Any]]]) -> None:
    cluster, planes = LocalCluster(), DataPlane(Path("nowhere"), lazy=True)
    for proxy in PROXIES[:3]:
        planes.register(proxy)
    following = ControlPlane(cluster, planes)
    for number, changes in enumerate([BASE, *rounds]):
        for kind, place, drawn in changes:
            if kind == "proxies":
                planes.register(drawn)
            elif drawn is not None:
                cluster.store.put(kind, _object(kind, place, drawn, number))
            elif cluster.store.get(kind, *place) is not None:
                cluster.store.remove(kind, *place)
        await following._translate()
        afresh = DataPlane(Path("nowhere"), lazy=True)
        for proxy in planes.proxies.values():
            afresh.register(proxy)
        await ControlPlane(cluster, afresh)._translate()
        assert planes._parts == afresh._parts
        assert planes._ads.wanted == afresh._ads.wanted
        for kind in KINDS:
            for resource in planes._ads.wanted[kind].values():
                whole = envoy_messages.encode(kind, resource)
                assert type(whole).FromString(envoy_messages.serialize(kind, resource)) == whole

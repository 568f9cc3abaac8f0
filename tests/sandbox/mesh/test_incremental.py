"""The law of translating only what changed: after whatever changes, it is what a translation from nothing is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.mesh.control_plane import (
    AUTHORIZATION_POLICIES,
    DESTINATION_RULES,
    GATEWAYS,
    PEER_AUTHENTICATIONS,
    SIDECARS,
    TELEMETRIES,
    VIRTUAL_SERVICES,
    ControlPlane,
)
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.identities import Authority
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.outside import Outside
from sandbox.mesh.registry import SERVICE_NAME, SLICES, Proxy
from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.ads import KINDS
from tests.kit.laws import LAW

from .test_gateway_tls import AUTHORITY
from .world import eventually

ENTRIES = "serviceentries.networking.istio.io"
WRITTEN = {
    GATEWAYS: "Gateway",
    VIRTUAL_SERVICES: "VirtualService",
    DESTINATION_RULES: "DestinationRule",
    ENTRIES: "ServiceEntry",
    SIDECARS: "Sidecar",
    PEER_AUTHENTICATIONS: "PeerAuthentication",
    AUTHORIZATION_POLICIES: "AuthorizationPolicy",
    TELEMETRIES: "Telemetry",
}
ISSUER = Authority()
"""Of all, so that certificates do not differ."""
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
SUBSETS = ("v1", "v2")
EXPORTS = st.sampled_from(([], ["."], ["*"], ["other"]))
DESTINATION = st.fixed_dictionaries(
    {"host": st.sampled_from(HOSTS[:2])},
    optional={"subset": st.sampled_from(SUBSETS), "port": st.sampled_from(({"number": 80}, {"number": 90}))},
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
    optional={
        "match": st.lists(MATCH, min_size=1, max_size=2),
        "mirror": DESTINATION,
        # Nothing that can be translated: it came in while no webhook was asked.
        "timeout": st.just("soon"),
    },
)
HASHED = {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}}
POLICIES = st.sampled_from(
    (
        {"loadBalancer": {"simple": "RANDOM"}},
        HASHED,
        {"portLevelSettings": [{"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 1}}}]},
    )
)
SUBSET = st.fixed_dictionaries(
    {"name": st.sampled_from(SUBSETS)},
    optional={
        "labels": st.sampled_from(SUBSETS).map(lambda version: {"version": version}),
        "trafficPolicy": POLICIES,
    },
)
SERVER = st.one_of(
    st.builds(
        lambda hosts, number: {"hosts": hosts, "port": {"number": number, "name": "http", "protocol": "HTTP"}},
        st.sampled_from((["*"], ["*.shop.svc.cluster.local"], ["other/*"])),
        st.sampled_from((80, 8080)),
    ),
    st.builds(
        lambda secret, mode: {
            "hosts": ["*"],
            "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
            "tls": {"mode": mode, "credentialName": secret},
        },
        st.sampled_from(NAMES),
        st.sampled_from(("SIMPLE", "MUTUAL")),
    ),
)
PORTS = st.lists(st.sampled_from(((80, "http"), (90, "http2"), (81, "tcp"), (82, ""))), unique=True, max_size=3)

PAIRS = [{"tls.crt": pair.certificate, "tls.key": pair.key} for pair in map(AUTHORITY.issue, NAMES)]

SELECTOR = st.sampled_from(("one", "two")).map(lambda app: {"matchLabels": {"app": app}})
AT_PORT = {"to": [{"operation": {"ports": ["80"], "methods": ["GET"]}}]}

SPECS: dict[str, st.SearchStrategy[Any]] = {
    "services": st.builds(
        lambda ports, address, target, nodes, kind: {
            "type": kind,
            "clusterIP": address,
            "selector": {"istio": "gate"},
            "ports": [
                {"port": number, "name": name, "protocol": "TCP", "targetPort": target or number}
                | ({"nodePort": number + 30000} if nodes else {})
                for number, name in ports
            ],
        },
        PORTS,
        st.sampled_from(("None", "127.64.128.1", "127.64.128.2")),
        st.sampled_from(("", "http", 8080)),
        st.booleans(),
        st.sampled_from(("ClusterIP", "ClusterIP", "ExternalName")),
    ),
    "pods": st.just({}),
    VIRTUAL_SERVICES: st.fixed_dictionaries(
        {"hosts": st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2), "http": st.lists(HTTP, max_size=2)},
        optional={"gateways": st.sampled_from((["mesh"], ["gate"], ["mesh", "gate"])), "exportTo": EXPORTS},
    ),
    DESTINATION_RULES: st.fixed_dictionaries(
        {"host": st.sampled_from(HOSTS)},
        optional={
            "subsets": st.lists(SUBSET, **_few, unique_by=lambda subset: subset["name"]),
            "trafficPolicy": POLICIES,
            "exportTo": EXPORTS,
        },
    ),
    GATEWAYS: st.lists(SERVER, min_size=1, max_size=2).map(
        lambda servers: {"selector": {"istio": "gate"}, "servers": servers}
    ),
    ENTRIES: st.builds(
        lambda hosts, resolution, ports, endpoint, more: {
            "hosts": hosts,
            "resolution": resolution,
            "ports": [{"number": number, "name": name or "x", "protocol": "HTTP"} for number, name in ports],
            "endpoints": [{"address": "127.65.1.1", **endpoint}],
            **more,
        },
        st.lists(st.sampled_from((FOREIGN, "other.example.com", HOSTS[1])), min_size=1, max_size=2, unique=True),
        st.sampled_from(("STATIC", "NONE")),
        PORTS,
        st.fixed_dictionaries({}, optional={"weight": st.just(2), "labels": st.just({"version": "v1"})}),
        st.fixed_dictionaries(
            {}, optional={"addresses": st.sampled_from((["127.65.2.1"], ["127.65.3.0/24"])), "exportTo": EXPORTS}
        ),
    ),
    SIDECARS: st.fixed_dictionaries(
        {
            "egress": st.lists(
                st.sampled_from(
                    ("*/*", "./*", "other/*", "~/*", f"*/{FOREIGN}", f"shop/{HOSTS[1]}", f"~shop/{HOSTS[1]}")
                ),
                min_size=1,
                max_size=3,
            ).map(lambda hosts: [{"hosts": hosts}])
        },
        optional={
            "workloadSelector": st.just({"labels": {"app": "one"}}),
            "outboundTrafficPolicy": st.just({"mode": "REGISTRY_ONLY"}),
        },
    ),
    PEER_AUTHENTICATIONS: st.fixed_dictionaries(
        {"mtls": st.sampled_from(("STRICT", "DISABLE", "UNSET")).map(lambda mode: {"mode": mode})},
        optional={"selector": SELECTOR},
    ),
    AUTHORIZATION_POLICIES: st.fixed_dictionaries(
        {"action": st.sampled_from(("ALLOW", "DENY")), "rules": st.sampled_from(([{}], [AT_PORT]))},
        optional={"selector": SELECTOR},
    ),
    TELEMETRIES: st.fixed_dictionaries(
        {"tracing": st.sampled_from(NAMES).map(lambda name: [{"providers": [{"name": name}]}])},
        optional={"selector": SELECTOR},
    ),
    "configmaps": st.sampled_from(("one", "two", "nobody")),
    "secrets": st.sampled_from((*PAIRS, {"tls.crt": b"no certificate", "tls.key": b"no key"})),
}
_ENDPOINT = st.tuples(st.sampled_from(NAMES), st.booleans())
PIECES = st.tuples(st.sampled_from(NAMES), st.lists(_ENDPOINT, **_few), st.sampled_from(("http", "tcp")))

PLACES = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
CHANGE = st.one_of(
    st.tuples(st.just(SLICES), PLACES, st.none() | PIECES),
    *(st.tuples(st.just(kind), PLACES, st.none() | spec) for kind, spec in SPECS.items()),
    st.tuples(st.sampled_from(("proxies", "proxies gone")), st.just(("", "")), st.sampled_from(PROXIES)),
)


def _service(*ports: tuple[int, str]) -> Object:
    return {"clusterIP": "None", "ports": [{"port": number, "name": name} for number, name in ports]}


ONE, TWO = ("shop", "one"), ("shop", "two")
MESH = {"namespace": "istio-system", "name": "istio"}
LEADS_TO_TWO = {"hosts": ["one"], "http": [{"route": [{"destination": {"host": "two"}}]}]}
WITH_SUBSET = {"host": "two", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
BASE: list[tuple[str, tuple[str, str], Any]] = [
    ("services", ONE, _service((80, "http"))),
    ("services", TWO, _service((90, "http"))),
    ("pods", ONE, {}),
    (SLICES, TWO, ("two", [("one", True)], "http")),
    (VIRTUAL_SERVICES, ONE, LEADS_TO_TWO),
    (DESTINATION_RULES, TWO, WITH_SUBSET),
]
"""Something that changes can make a difference to."""
REACHED = {"clusterIP": "127.64.128.1", "ports": [{"port": 80, "name": "http", "nodePort": 30080}]}
ENCRYPTED = {
    "selector": {"istio": "gate"},
    "servers": [
        {
            "hosts": ["*"],
            "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
            "tls": {"mode": "SIMPLE", "credentialName": "one"},
        }
    ],
}
BROKEN = {"hosts": ["two"], "http": [{"timeout": "soon", "route": [{"destination": {"host": "one"}}]}]}
NARROW = {"egress": [{"hosts": ["./one.shop.svc.cluster.local"]}]}
FAR = {
    "hosts": [FOREIGN],
    "resolution": "STATIC",
    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    "endpoints": [{"address": "127.65.1.1"}],
}
NODE = {
    "metadata": {"name": "node"},
    "status": {"addresses": [{"type": "InternalIP", "address": "127.64.0.9"}]},
}


def _object(kind: str, place: tuple[str, str], drawn: Any, number: int) -> Object:
    """Of two objects that are made one after the other either may be the older."""
    metadata: Object = {"namespace": place[0], "name": place[1], "creationTimestamp": f"2026-01-0{number % 3 + 1}"}
    if kind == "pods":
        metadata["labels"] = {"version": f"v{number % 2 + 1}"}
    if kind == "configmaps":
        mesh = {
            "defaultProviders": {"tracing": [drawn]},
            "extensionProviders": [
                {"name": "one", "zipkin": {"service": "one.shop.svc.cluster.local", "port": 80}},
                {"name": "two", "opentelemetry": {"service": "two.shop.svc.cluster.local", "port": 90}},
            ],
        }
        return {"metadata": {**metadata, **MESH}, "data": {"mesh": json.dumps(mesh)}}
    if kind == "secrets":
        return {
            "metadata": metadata,
            "data": {key: base64.b64encode(value).decode() for key, value in drawn.items()},
        }
    if kind != SLICES:
        return {"kind": WRITTEN.get(kind, kind), "metadata": metadata, "spec": drawn}
    service, endpoints, port = drawn
    metadata["labels"] = {SERVICE_NAME: service}
    told = [
        {"addresses": [f"127.64.16.{at + 9}"], "conditions": {"ready": ready}, "targetRef": {"name": pod}}
        for at, (pod, ready) in enumerate(endpoints)
    ]
    return {"metadata": metadata, "endpoints": told, "ports": [{"name": port, "port": 9080}]}


class Following:
    """All that translates, of one cluster."""

    def __init__(self, cluster: LocalCluster, proxies: Iterable[Proxy]) -> None:
        self.planes, services = DataPlane(Path("nowhere"), lazy=True), KnownServices(cluster)
        for proxy in proxies:
            self.planes.register(proxy)
        self.control_plane = ControlPlane(cluster, self.planes, services, ISSUER)
        self._outside = Outside(cluster, self.planes, services)

    async def translate(self) -> None:
        await self.control_plane._translate()
        await self._outside._publish()

    async def end(self, proxy: Proxy) -> None:
        """It has drained, too."""
        await self.planes.unregister(proxy)
        if (part := self.planes._parts.get(proxy.id)) is not None and proxy.id not in self.planes.proxies:
            self.planes._forget(proxy.id, part)


@settings(LAW, max_examples=25)
@given(st.lists(st.lists(CHANGE, min_size=1, max_size=3), max_size=8))
@example([[("services", TWO, _service((90, "http"), (80, "http")))]]).via(
    "a rule leads to a port that another has now"
)
@example(
    [[(DESTINATION_RULES, TWO, {"host": "two", "subsets": [{"name": "v1", "labels": {"version": "v2"}}]})]]
).via("a subset is of other pods")
@example([[("services", ONE, REACHED)], [("services", ONE, None)]]).via("a way in from outside closes")
@example([[(GATEWAYS, ONE, ENCRYPTED), ("secrets", ONE, PAIRS[0])], [("secrets", ONE, PAIRS[1])]]).via(
    "a gateway's certificate is replaced"
)
@example([[("proxies gone", ("", ""), PROXIES[0])], [("proxies", ("", ""), PROXIES[3])]]).via(
    "a pod comes under the name of one that has ended"
)
@example([[(VIRTUAL_SERVICES, TWO, BROKEN), ("services", TWO, REACHED)], [(VIRTUAL_SERVICES, TWO, None)]]).via(
    "a rule that cannot be translated comes and goes"
)
@example([[(ENTRIES, ONE, FAR)], [(ENTRIES, ONE, {**FAR, "addresses": ["127.65.2.1"]})]]).via(
    "a host outside gets another address"
)
@example([[(SIDECARS, ONE, NARROW)], [(VIRTUAL_SERVICES, ONE, None)], [(SIDECARS, ONE, None)]]).via(
    "a service is known by a rule only"
)
@example([[("pods", ONE, {})]]).via("a pod goes over to another subset")
def test_it_is_what_a_translation_from_nothing_is(rounds: list[list[tuple[str, tuple[str, str], Any]]]) -> None:
    asyncio.run(_follow(rounds))


async def test_what_went_is_forgotten() -> None:
    cluster = LocalCluster()
    cluster.store.put("services", _object("services", ONE, _service((80, "http")), 0))
    following = Following(cluster, PROXIES[:1])
    for number in range(5):
        place = ("shop", f"rule-{number}")
        cluster.store.put(VIRTUAL_SERVICES, _object(VIRTUAL_SERVICES, place, LEADS_TO_TWO, number))
        await following.translate()
        cluster.store.remove(VIRTUAL_SERVICES, *place)
    for _ in range(2):
        await following.translate()
    stood_on = following.control_plane._views["shop", None].services.stood_on
    assert not stood_on._now
    assert not stood_on._before


async def test_a_pods_other_labels_are_heard_of() -> None:
    cluster = LocalCluster()
    for kind, place, drawn in BASE:
        cluster.store.put(kind, _object(kind, place, drawn, 0))
    following = Following(cluster, PROXIES[:1])
    name = "a.shop/outbound|90|v1|two.shop.svc.cluster.local"

    async def some_selected() -> bool:
        part = following.planes._parts.get("a.shop")
        return part is not None and bool(part.endpoints[name]["endpoints"][0]["lb_endpoints"])

    async def none_selected() -> bool:
        return not await some_selected()

    running = asyncio.create_task(following.control_plane._watch.run())
    await eventually(some_selected)
    cluster.store.put("pods", _object("pods", ONE, {}, 1))
    await eventually(none_selected)
    running.cancel()


async def _follow(rounds: list[list[tuple[str, tuple[str, str], Any]]]) -> None:
    cluster = LocalCluster()
    cluster.store.put("nodes", NODE)
    following = Following(cluster, PROXIES[:3])
    planes = following.planes
    for number, changes in enumerate([BASE, *rounds]):
        for kind, place, drawn in changes:
            if kind == "proxies":
                planes.register(drawn)
            elif kind == "proxies gone":
                await following.end(drawn)
            elif drawn is not None:
                cluster.store.put(kind, _object(kind, place, drawn, number))
            elif cluster.store.get(kind, *place) is not None:
                cluster.store.remove(kind, *place)
        await following.translate()
        afresh = Following(cluster, planes.proxies.values())
        await afresh.translate()
        assert planes._parts == afresh.planes._parts
        assert planes._ads.wanted == afresh.planes._ads.wanted
        for kind in KINDS:
            for resource in planes._ads.wanted[kind].values():
                whole = envoy_messages.encode(kind, resource)
                assert type(whole).FromString(envoy_messages.serialize(kind, resource)) == whole

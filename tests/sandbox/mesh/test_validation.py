"""What may be applied, and the words in which the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.istioctl.manifests import crds
from sandbox.mesh import validation
from sandbox.mesh.supported_fields import SUPPORTED

from .webhook_world import WebhookCluster

VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
ROUTE = [{"destination": {"host": "reviews"}}]
HTTP_443 = {"number": 443, "name": "plain", "protocol": "HTTP"}


def virtual_service(**changes: Any) -> dict:
    return {"hosts": ["reviews"], "http": [{"route": ROUTE}], **changes}


def http(**fields: Any) -> dict:
    return virtual_service(http=[{"route": ROUTE, **fields}])


def gateway(**server: Any) -> dict:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    return {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": ["*"], **server}]}


def hashing(**table: Any) -> dict:
    balancer = {"consistentHash": {"httpHeaderName": "x-user", **table}}
    return {"host": "a", "trafficPolicy": {"loadBalancer": balancer}}


def https(**tls: Any) -> dict:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    return gateway(port=port, tls={"mode": "SIMPLE", "credentialName": "page", **tls})


def entry(**changes: Any) -> dict:
    """A ServiceEntry; what is None is left out."""
    whole = {
        "hosts": ["other.example"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.65.1.1"}],
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def pool(**parts: Any) -> dict:
    return {"host": "a", "trafficPolicy": {"connectionPool": parts}}


def problems(kind: str, spec: dict) -> list[str]:
    return list(validation.find_problems(kind, {"metadata": {"name": "r", "namespace": "shop"}, "spec": spec}))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("VirtualService", virtual_service(gateways=["mesh", "gate", "shop/gate"], exportTo=["*"])),
        ("VirtualService", http(name="n", timeout="10s", retries={"attempts": 3, "retryOn": "5xx,503"})),
        ("VirtualService", http(match=[{"headers": {"end-user": {"exact": "jason"}}, "uri": {"prefix": "/a"}}])),
        ("VirtualService", http(headers={"request": {"set": {"x": "y"}}})),
        ("VirtualService", virtual_service(hosts=["*"], gateways=["gate"])),
        ("VirtualService", virtual_service(http=[{"redirect": {"uri": "/", "redirectCode": 308}}])),
        ("Gateway", gateway(hosts=["*.example.com", "shop/one.example", "./two.example", "127.0.0.1"])),
        ("Gateway", gateway(tls={"httpsRedirect": True})),
        ("DestinationRule", hashing(maglev={"tableSize": 65537})),
        ("Gateway", https(mode="MUTUAL", minProtocolVersion="TLSV1_2", maxProtocolVersion="TLS_AUTO")),
        ("DestinationRule", {"host": "reviews", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}),
        ("ServiceEntry", entry(exportTo=["."], location="MESH_EXTERNAL", addresses=["127.9.0.0/16"])),
        ("ServiceEntry", entry(resolution="DNS")),
        ("ServiceEntry", entry(resolution=None, endpoints=None, addresses=["127.65.1.1"])),
        ("DestinationRule", {"host": "*.local", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}),
    ],
)
def test_what_is_fine(kind: str, spec: dict) -> None:
    assert problems(kind, spec) == []


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("VirtualService", http(delegate={"name": "other"}), "spec.http[0].delegate"),
        (
            "VirtualService",
            http(fault={"delay": {"fixedDelay": "7s", "exponentialDelay": "1s"}}),
            "spec.http[0].fault.delay.exponentialDelay",
        ),
        (
            "VirtualService",
            http(retries={"attempts": 1, "retryRemoteLocalities": True}),
            "spec.http[0].retries.retryRemoteLocalities",
        ),
        ("VirtualService", virtual_service(tcp=[{"route": ROUTE}]), "spec.tcp"),
        ("Gateway", https(cipherSuites=["ECDHE-ECDSA-AES256-GCM-SHA384"]), "spec.servers[0].tls.cipherSuites"),
        ("Gateway", https(mode="PASSTHROUGH"), "spec.servers[0].tls.mode"),
        ("Gateway", gateway(bind="127.0.0.1"), "spec.servers[0].bind"),
        (
            "Gateway",
            gateway(port={"number": 443, "name": "s", "protocol": "TLS"}),
            "spec.servers[0].port.protocol",
        ),
        ("ServiceEntry", entry(hosts=["*.example"]), "spec.hosts[0]"),
        ("ServiceEntry", entry(hosts=["one.shop.svc.cluster.local"]), "spec.hosts[0]"),
        ("ServiceEntry", entry(addresses=["10.0.0.1"]), "spec.addresses[0]"),
        ("ServiceEntry", entry(endpoints=[{"address": "8.8.8.8"}]), "spec.endpoints[0].address"),
        ("ServiceEntry", entry(endpoints=[{"address": "127.65.128.1"}]), "spec.endpoints[0].address"),
        ("ServiceEntry", entry(resolution="DNS", endpoints=[{"address": "a.b"}]), "spec.endpoints[0].address"),
        ("ServiceEntry", entry(resolution="DNS", endpoints=None), "spec.endpoints"),
        ("ServiceEntry", entry(workloadSelector={"labels": {}}), "spec.workloadSelector"),
        ("ServiceEntry", entry(ports=None), "spec.ports"),
        (
            "DestinationRule",
            {"host": "a", "trafficPolicy": {"connectionPool": {"http": {"useClientProtocol": True}}}},
            "spec.trafficPolicy.connectionPool.http.useClientProtocol",
        ),
        (
            "DestinationRule",
            {"host": "a", "subsets": [{"name": "v1", "trafficPolicy": {"loadBalancer": {"warmup": {}}}}]},
            "spec.subsets[0].trafficPolicy.loadBalancer.warmup",
        ),
        (
            "DestinationRule",
            {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}},
            "spec.trafficPolicy.loadBalancer.simple",
        ),
    ],
)
def test_what_the_sandbox_does_not_do_is_refused_by_its_path(kind: str, spec: dict, path: str) -> None:
    found = problems(kind, spec)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: ")
    assert "supported by the sandbox" in found[0]


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("VirtualService", virtual_service(hosts=[]), "at least one host"),
        ("VirtualService", virtual_service(hosts=["*"]), "wildcard host *"),
        ("VirtualService", virtual_service(hosts=["a_b"]), 'domain name "a_b" invalid'),
        ("VirtualService", virtual_service(hosts=["a", "a"]), "duplicate hosts"),
        ("VirtualService", {"hosts": ["a"]}, "http, tcp or tls must be provided"),
        ("VirtualService", virtual_service(http=[{"name": "n"}]), "route, redirect or direct_response is required"),
        ("VirtualService", http(redirect={"uri": "/"}), "cannot contain both route and redirect"),
        ("VirtualService", virtual_service(http=[{"route": ROUTE * 2}]), "total destination weight = 0"),
        ("VirtualService", virtual_service(http=[{"route": [{**ROUTE[0], "weight": -1}]}]), "weight -1 < 0"),
        (
            "VirtualService",
            virtual_service(http=[{"route": [{"destination": {}}]}]),
            "destination host is required",
        ),
        ("VirtualService", http(fault={}), "must have an abort and/or a delay"),
        ("VirtualService", http(fault={"delay": {"percent": 50}}), "no fixedDelay"),
        ("VirtualService", http(fault={"abort": {"percentage": {"value": 50}}}), "error type not set"),
        ("VirtualService", http(fault={"abort": {"httpStatus": 199}}), "not in range 200-599"),
        (
            "VirtualService",
            http(fault={"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}),
            "percentage 101 is neither 0.0, nor in range",
        ),
        ("VirtualService", http(mirror={"host": "a"}, mirrors=[{"destination": {"host": "b"}}]), "both mirror and"),
        ("VirtualService", http(mirrors=[{}]), "destination is required for mirrors"),
        ("VirtualService", http(mirror={"host": "a"}, mirrorPercent=101), "max value of 100"),
        ("VirtualService", http(timeout="soon"), "invalid duration soon"),
        ("VirtualService", http(timeout="0.1ms"), "greater than 1ms"),
        ("VirtualService", http(retries={"attempts": 1, "retryOn": "always"}), '"always" is not a valid retryOn'),
        ("VirtualService", http(match=[{"uri": {"regex": "("}}]), "error parsing regexp"),
        ("VirtualService", http(match=[{"uri": {"regex": "(?!a)b"}}]), "error parsing regexp"),
        ("Gateway", {"selector": {}, "servers": []}, "at least one server"),
        ("Gateway", gateway(hosts=[]), "at least one host"),
        ("Gateway", gateway(hosts=["shop"]), "short names (non FQDN) are not allowed"),
        ("Gateway", gateway(hosts=["a_b/shop.example"]), 'invalid namespace value "a_b"'),
        ("Gateway", https(credentialName=""), "requires a server certificate"),
        ("Gateway", https(httpsRedirect=True), "only be used with HTTP servers"),
        ("Gateway", https(minProtocolVersion="TLSV1_3", maxProtocolVersion="TLSV1_2"), "is above"),
        ("Gateway", {**https(), "servers": [{**https()["servers"][0], "tls": None}]}, "must have TLS settings"),
        ("Gateway", gateway(tls={"mode": "SIMPLE"}), "TLS settings for plain text HTTP ports"),
        (
            "Gateway",
            {"servers": [*https()["servers"], {**gateway()["servers"][0], "port": HTTP_443}]},
            "HTTP and HTTPS on port 443",
        ),
        ("Gateway", gateway(port={"number": 0, "name": "a", "protocol": "HTTP"}), "range 1..65535"),
        ("ServiceEntry", entry(hosts=[]), "at least one host"),
        ("ServiceEntry", entry(hosts=["*"]), "invalid host *"),
        ("ServiceEntry", entry(addresses=["nowhere"]), "not a valid IP address or CIDR"),
        ("ServiceEntry", entry(addresses=["127.9.0.0/16"], resolution="DNS"), "CIDR addresses are allowed only"),
        ("ServiceEntry", entry(ports=entry()["ports"] * 2), "port 80 already defined"),
        ("ServiceEntry", entry(endpoints=None), "endpoints must be provided"),
        ("ServiceEntry", entry(resolution="NONE"), "no endpoints should be provided"),
        ("ServiceEntry", entry(endpoints=[{"address": "a.b"}]), "a.b is not a valid IP address"),
        ("ServiceEntry", entry(endpoints=[{"address": "127.65.1.1", "ports": {"x": 1}}]), "x is not defined"),
        (
            "ServiceEntry",
            entry(resolution="DNS_ROUND_ROBIN", endpoints=entry()["endpoints"] * 2),
            "0 or 1 endpoint",
        ),
        ("ServiceEntry", entry(exportTo=["*", "shop"]), "both public (*) and non-public"),
        ("DestinationRule", {"subsets": []}, "host is required"),
        ("DestinationRule", {"host": "a", "trafficPolicy": {}}, "traffic policy must have at least one field"),
        ("DestinationRule", pool(), "connection pool must have at least one field"),
        ("DestinationRule", pool(tcp={"maxConnections": -1}), "max connections must be non-negative"),
        ("DestinationRule", pool(tcp={"connectTimeout": "1"}), "invalid duration 1"),
        ("DestinationRule", pool(tcp={"tcpKeepalive": {"time": "1.5s"}}), "only whole seconds"),
        (
            "DestinationRule",
            {"host": "a", "trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 101}}},
            "percentage 101 is not in range 0..100",
        ),
        (
            "DestinationRule",
            {"host": "a", "trafficPolicy": {"outlierDetection": {"consecutiveLocalOriginFailures": 1}}},
            "split external local origin errors is set to false",
        ),
        ("DestinationRule", {"host": "a", "subsets": [{"labels": {"a": "b"}}]}, "subset name cannot be empty"),
        ("DestinationRule", {"host": "a", "subsets": [{"name": "v", "labels": {"-": "b"}}]}, "invalid tag key"),
        ("ServiceEntry", entry(endpoints=[{"address": "127.65.1.1", "labels": {"a": "-"}}]), "invalid tag value"),
        (
            "Gateway",
            gateway(port={"number": 80, "protocol": "HTTP"}),
            'port name must be set: number:80 protocol:"HTTP"',
        ),
        ("DestinationRule", {"host": "a", "subsets": [{"name": "v"}] * 2}, "duplicate subset name v"),
        ("DestinationRule", hashing(maglev={}), "tableSize must be set for maglev"),
        ("DestinationRule", hashing(maglev={"tableSize": 1}), "must be a prime number"),
        ("DestinationRule", hashing(maglev={"tableSize": 65536}), "must be a prime number"),
        ("DestinationRule", hashing(maglev={"tableSize": 5000077}), "must be less than 5000011"),
        ("DestinationRule", hashing(ringHash={"minimumRingSize": 8388609}), "must be at most 8388608"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str, spec: dict, words: str) -> None:
    assert any(words in problem for problem in problems(kind, spec))


def rule(name: str, spec: Object, revision: str = "") -> Object:
    labels = {"istio.io/rev": revision} if revision else {}
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}


def test_it_is_in_force_while_the_webhooks_are_there() -> None:
    cluster = WebhookCluster()
    senseless = http(route=[])
    cluster.create(VIRTUAL_SERVICES, rule("before", senseless), manager="test")
    cluster.configured()
    cluster.istiod_answers()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("after", senseless), manager="test")
    assert refused.value.code == 400
    assert refused.value.message.startswith(
        'admission webhook "validation.istio.io" denied the request: configuration is invalid: '
    )
    with pytest.raises(ApiError, match=r'^admission webhook "rev\.validation\.istio\.io" denied'):
        cluster.create(VIRTUAL_SERVICES, rule("after", senseless, "default"), manager="test")
    cluster.create(VIRTUAL_SERVICES, rule("after", senseless, "canary"), manager="test")


def test_what_the_sandbox_does_not_support_is_refused_also_when_no_webhook_is_asked() -> None:
    cluster = WebhookCluster()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("r", http(delegate={})), manager="test")
    why = "spec.http[0].delegate: not supported by the sandbox"
    assert (refused.value.code, refused.value.message) == (403, f'{VIRTUAL_SERVICES} "r" is forbidden: {why}')
    cluster.configured()
    cluster.istiod_answers()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("r", http(delegate={})), manager="test")
    assert refused.value.message == (
        f'admission webhook "validation.istio.io" denied the request: configuration is invalid: {why}'
    )


def test_several_problems_are_a_list() -> None:
    message = validation.refusal("validation.istio.io", ["one", "two"]).message
    assert message.endswith("configuration is invalid: 2 errors occurred:\n\t* one\n\t* two\n")


def test_every_supported_field_is_one_of_istios() -> None:
    """The table has no path that the CRDs do not have."""
    schemas = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"] for crd in crds()}
    for kind, paths in SUPPORTED.items():
        for path in paths:
            schema = schemas[kind]["openAPIV3Schema"]["properties"]["spec"]
            for part in path.split("."):
                while schema.get("type") == "array":
                    schema = schema["items"]
                below = (
                    schema.get("additionalProperties") if part == "*" else schema.get("properties", {}).get(part)
                )
                assert below is not None, f"{kind}: {path}"
                schema = below

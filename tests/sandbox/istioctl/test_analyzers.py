"""Objects in, Istio's numbered messages out."""

from __future__ import annotations

from sandbox.istioctl.analyzers import Resources, find_messages


def obj(kind: str, name: str, namespace: str = "shop", **fields: object) -> dict:
    metadata = {"name": name} if kind == "Namespace" else {"name": name, "namespace": namespace}
    return {"kind": kind, "metadata": metadata, **fields}


def enabled(name: str = "shop", label: str = "enabled") -> dict:
    made = obj("Namespace", name)
    made["metadata"]["labels"] = {"istio-injection": label}
    return made


def service(name: str = "one", *ports: dict) -> dict:
    return obj("Service", name, spec={"ports": list(ports) or [{"name": "http", "port": 80, "targetPort": 8080}]})


def pod(name: str, *containers: str, **labels: str) -> dict:
    made = obj("Pod", name, spec={"containers": [{"name": container} for container in containers]})
    made["metadata"]["labels"] = {key.replace("_", "-"): value for key, value in labels.items()}
    return made


def virtual_service(name: str, namespace: str = "shop", **spec: object) -> dict:
    return obj("VirtualService", name, namespace, spec={"hosts": ["one"], **spec})


def routes(*routes: dict) -> list[tuple[str, str]]:
    """What is said of a VirtualService with these routes, all to a service that is there."""
    answer = {"route": [{"destination": {"host": "one"}}]}
    said = found(service(), virtual_service("r", http=[{**route, **answer} for route in routes]))
    return [(code, text) for code, _, text in said]


def gateway(credential: str = "", namespace: str = "shop", **selector: str) -> dict:
    tls = {"tls": {"mode": "SIMPLE", "credentialName": credential}} if credential else {}
    return obj("Gateway", "gate", namespace, spec={"selector": selector, "servers": [{"hosts": ["*"], **tls}]})


def rule(host: str = "one", subset: str = "", *gateways: str) -> dict:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    spec = {"hosts": ["one"], "gateways": list(gateways), "http": [{"route": [{"destination": destination}]}]}
    return obj("VirtualService", "r", spec=spec)


def found(*objects: dict) -> list[tuple[str, str, str]]:
    messages = find_messages(
        Resources([enabled(), *objects] if not any(o["kind"] == "Namespace" for o in objects) else objects)
    )
    return [(message.code, message.origin, message.text) for message in messages]


def codes(*objects: dict) -> list[str]:
    return [code for code, _, _ in found(*objects)]


def test_a_namespace_that_says_nothing_of_injection() -> None:
    assert found(obj("Namespace", "shop"), obj("Namespace", "kube-system"), obj("Namespace", "istio-system")) == [
        (
            "IST0102",
            "Namespace shop",
            "The namespace is not enabled for Istio injection. Run 'kubectl label namespace shop "
            "istio-injection=enabled' to enable it, or 'kubectl label namespace shop istio-injection=disabled' "
            "to explicitly mark it as not needing injection.",
        )
    ]
    assert codes(enabled(), enabled("other", "disabled")) == []


def test_a_pod_from_before_its_namespace_was_enabled() -> None:
    refused = pod("refused", "app")
    refused["metadata"]["labels"] = {"sidecar.istio.io/inject": "false"}
    noted = pod("noted", "app")
    noted["metadata"]["annotations"] = {"sidecar.istio.io/inject": "false"}
    instead = 'Annotation "sidecar.istio.io/inject" has been deprecated in favor of the '
    on_the_host = pod("host", "app")
    on_the_host["spec"]["hostNetwork"] = True
    assert found(pod("old", "app"), pod("new", "app", "istio-proxy"), refused, noted, on_the_host) == [
        (
            "IST0103",
            "Pod shop/old",
            "The pod shop/old is missing the Istio proxy. "
            "This can often be resolved by restarting or redeploying the workload.",
        ),
        (
            "IST0135",
            "Pod shop/noted",
            f'{instead}"sidecar.istio.io/inject" label and may not work in future Istio versions.',
        ),
    ]
    assert codes(enabled(label="disabled"), pod("old", "app")) == []


def test_a_port_whose_name_says_nothing() -> None:
    ports = [
        {"name": "web", "port": 80, "targetPort": 8080},
        {"name": "http-x", "port": 81},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    assert found(service("one", *ports)) == [
        (
            "IST0118",
            "Service shop/one",
            "Port name web (port: 80, targetPort: 8080) doesn't follow the naming convention of Istio port.",
        )
    ]


def test_references_to_what_is_not_there() -> None:
    subsets = obj("DestinationRule", "d", spec={"host": "one", "subsets": [{"name": "v1"}]})
    gateway = obj("Gateway", "gate", spec={})
    door = pod("door", "istio-proxy")
    assert codes(service(), rule("one")) == []
    assert codes(service(), subsets, door, gateway, rule("one", "v1", "gate", "shop/gate", "mesh")) == []
    for message, objects in {
        'Referenced host not found: "two"': [service(), rule("two")],
        'Referenced host+subset in destinationrule not found: "one+v2"': [
            service(),
            door,
            subsets,
            rule("one", "v2"),
        ],
        'Referenced gateway not found: "shop/gate"': [service(), rule("one", "", "gate")],
    }.items():
        assert found(*objects) == [("IST0101", "VirtualService shop/r", message)]


def test_hosts_of_service_entries_are_there() -> None:
    def entry(host: str, *exported: str) -> dict:
        spec = {"hosts": [host], **({"exportTo": list(exported)} if exported else {})}
        return obj("ServiceEntry", "e", "elsewhere", spec=spec)

    missing = ["IST0101"]
    assert codes(rule("outside.example")) == missing
    assert codes(entry("outside.example"), rule("outside.example")) == []
    assert codes(entry("*.example"), rule("outside.example")) == []
    assert codes(entry("*.example"), rule("example.org")) == missing
    assert codes(entry("outside.example", "."), rule("outside.example")) == missing
    assert codes(entry("outside.example", "shop"), rule("outside.example")) == []


def test_what_is_mirrored_to_must_be_there_too() -> None:
    mirrored = rule("one")
    mirrored["spec"]["http"][0]["mirror"] = {"host": "two"}
    mirrored["spec"]["http"][0]["mirrors"] = [{"destination": {"host": "three"}}]
    assert found(service(), mirrored) == [
        ("IST0101", "VirtualService shop/r", 'Referenced mirror host not found: "two"'),
        ("IST0101", "VirtualService shop/r", 'Referenced mirror host not found: "three"'),
    ]


def test_a_gateway_is_for_pods_that_are_there_and_their_namespaces_secrets() -> None:
    door, secret = pod("door", "istio-proxy", istio="door", app="d"), obj("Secret", "cert")
    assert codes(door, gateway(istio="door")) == []
    assert codes(door, secret, gateway("cert", "elsewhere", istio="door")) == []
    missing = "Gateway elsewhere/gate", 'Referenced credentialName not found: "cert"'
    there = obj("Secret", "cert", "elsewhere")
    assert found(door, there, gateway("cert", "elsewhere", istio="door")) == [("IST0101", *missing)]
    nobody = "Gateway shop/gate", 'Referenced selector not found: "app=other,istio=door"'
    assert found(door, gateway("cert", istio="door", app="other")) == [("IST0101", *nobody)]


def opening(name: str, *hosts: str, namespace: str = "shop", port: int = 8080, **selector: str) -> dict:
    servers = [{"hosts": list(hosts), "port": {"number": port, "name": "http", "protocol": "HTTP"}}]
    return obj(
        "Gateway", name, namespace, spec={"selector": selector or {"istio": "ingressgateway"}, "servers": servers}
    )


INGRESS = pod("door", "istio-proxy", istio="ingressgateway", app="istio-ingressgateway")


def test_gateways_that_open_the_same_port_for_the_same_hosts() -> None:
    """As `shared/real/istioctl/analyze-A.txt` says it of the labs' Gateways as they were."""
    gates = [
        opening("podinfo-gateway", "*", namespace="primary"),
        opening("bookinfo-gateway", "*", namespace="bookinfo"),
        opening("helloworld-gateway", "*", namespace="primary"),
    ]
    selected = "(workload selector istio=ingressgateway, port 8080, hosts *)."
    assert sorted(found(INGRESS, *gates)) == [
        ("IST0145", f"Gateway {name}", f"Conflict with gateways {others} {selected}")
        for name, others in (
            ("bookinfo/bookinfo-gateway", "primary/helloworld-gateway,primary/podinfo-gateway"),
            ("primary/helloworld-gateway", "bookinfo/bookinfo-gateway,primary/podinfo-gateway"),
            ("primary/podinfo-gateway", "bookinfo/bookinfo-gateway,primary/helloworld-gateway"),
        )
    ]


def test_gateways_that_can_be_told_apart() -> None:
    """Istio's conflictinggateway.go: the same pods, port and address, and a host that is written alike."""
    other = {**INGRESS, "metadata": {**INGRESS["metadata"], "labels": {"istio": "egressgateway"}}}
    everybody = opening("a", "*", "a.example.com")
    for apart in (
        opening("b", "./*", "b.example.com"),
        opening("b", "*", port=80),
        opening("b", "*", istio="egressgateway"),
    ):
        assert codes(INGRESS, other, everybody, apart) == []
    assert codes(INGRESS, everybody, opening("b", "b.example.com", "a.example.com")) == ["IST0145"] * 2
    assert codes(INGRESS, everybody, opening("a", "*", namespace="elsewhere")) == ["IST0145"] * 2
    one = opening("a", "*")
    one["spec"]["servers"] *= 2
    assert codes(INGRESS, one) == []


def test_gateways_whose_selectors_differ_may_still_be_for_the_same_pod() -> None:
    narrow = opening("b", "*", istio="ingressgateway", app="istio-ingressgateway")
    wide, elsewhere = opening("a", "*"), pod("other", "istio-proxy", istio="ingressgateway", app="other")
    selectors = [
        text.partition("selector ")[2].partition(", port")[0] for _, _, text in found(INGRESS, wide, narrow)
    ]
    assert selectors == ["istio=ingressgateway", "app=istio-ingressgateway,istio=ingressgateway"]
    assert codes(elsewhere, wide, narrow) == ["IST0101"]


def test_annotations_that_istio_may_stop_to_know() -> None:
    """The first as `shared/real/istioctl/analyze-A.txt` has it; the others as Istio's annotations.yaml says."""
    told, labelled, fine = pod("a", "istio-proxy"), pod("b", "istio-proxy"), pod("c", "istio-proxy")
    told["metadata"]["annotations"] = {"sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound"}
    labelled["metadata"] |= {"annotations": {"sidecar.istio.io/inject": "true"}}
    labelled["metadata"]["labels"] = {"sidecar.istio.io/inject": "true"}
    fine["metadata"]["annotations"] = {"proxy.istio.io/config": "concurrency: 1", "sidecar.istio.io/proxyCPU": "1"}
    deployment = obj("Deployment", "d", spec={})
    deployment["metadata"]["annotations"] = {"sidecar.istio.io/extraStatTags": "x"}
    text = "has been deprecated and may not work in future Istio versions."
    assert found(told, labelled, fine, deployment) == [
        ("IST0135", "Pod shop/a", f'Annotation "sidecar.istio.io/statsInclusionPrefixes" {text}'),
        ("IST0135", "Deployment shop/d", f'Annotation "sidecar.istio.io/extraStatTags" {text}'),
    ]


def test_a_destination_rule_is_for_a_host_and_pods_that_are_there() -> None:
    def subsets(host: str, *versions: str) -> dict:
        listed = [{"name": version, "labels": {"version": version}} for version in versions]
        return obj("DestinationRule", "d", spec={"host": host, "subsets": listed})

    one, other = pod("one", "istio-proxy", app="one", version="v1"), pod("two", "istio-proxy", version="v2")
    selecting = obj("Service", "one", spec={"selector": {"app": "one"}, "ports": []})
    assert codes(selecting, one, subsets("one", "v1")) == []
    assert codes(selecting, one, subsets("one.shop.svc.cluster.local", "v1")) == []
    assert found(selecting, one, other, subsets("one", "v1", "v2")) == [
        (
            "IST0173",
            "DestinationRule shop/d",
            "The Subset v2 defined in the DestinationRule does not select any pods. "
            "Which may lead to 503 UH (NoHealthyUpstream).",
        )
    ]
    assert found(one, subsets("one", "v1")) == [
        (
            "IST0174",
            "DestinationRule shop/d",
            "The host one defined in the DestinationRule does not match any services in the mesh.",
        )
    ]
    assert codes(obj("ServiceEntry", "e", spec={"hosts": ["*.example"]}), subsets("outside.example")) == []


def test_two_virtual_services_for_a_host_of_the_mesh() -> None:
    full = "one.shop.svc.cluster.local"
    first, second = virtual_service("first"), virtual_service("asecond", "else", hosts=[full])
    text = (
        f"The VirtualServices else/asecond,shop/first associated with mesh gateway define the same host */{full} "
        "which can lead to undefined behavior. "
        "This can be fixed by merging the conflicting VirtualServices into a single resource."
    )
    assert found(first, second) == [
        ("IST0109", "VirtualService else/asecond", text),
        ("IST0109", "VirtualService shop/first", text),
    ]
    assert codes(first, virtual_service("other", hosts=["two"])) == []
    assert codes(first, virtual_service("second", "else")) == []
    assert "IST0109" not in codes(first, virtual_service("second", gateways=["gate"]))
    assert codes(first, virtual_service("second", exportTo=["."])) == []
    assert codes(virtual_service("first", exportTo=["shop"]), virtual_service("second", exportTo=["."])) == [
        "IST0109",
        "IST0109",
    ]


def test_rules_that_no_request_comes_to() -> None:
    a, b = {"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}
    assert routes({"match": [a]}, {"match": [b]}, {}) == []
    assert routes({}, {"name": "twice"}, {"match": [a, b]}) == [
        ("IST0130", 'VirtualService rule "twice" not used (only the last rule can have no matches).'),
        ("IST0130", "VirtualService rule #2 not used (route without matches defined before)."),
    ]
    assert routes({"name": "first", "match": [a]}, {"match": [b, {**a, "name": "again"}]}) == [
        (
            "IST0131",
            'VirtualService rule #1 match "again" is not used (duplicate/overlapping match in rule "first").',
        )
    ]
    assert [code for code, _ in routes({"match": [a]}, {"match": [a]})] == ["IST0131", "IST0130"]


def test_matches_of_paths_that_an_earlier_prefix_has_taken() -> None:
    def under(path: str, **asked: object) -> dict:
        return {"match": [{"uri": {"prefix": path}, **asked}]}

    overlapping = (
        "VirtualService rule #1 match #0 of prefix /a/b is not used "
        "(duplicate/overlapping match in rule #0 of prefix /a on #0)."
    )
    assert routes(under("/a"), under("/a/b")) == [("IST0131", overlapping)]
    assert routes(under("/a/b"), under("/a")) == []
    jason = {"user": {"exact": "jason"}}
    assert routes(under("/a", headers=jason), under("/a/b", headers=jason)) == [("IST0131", overlapping)]
    assert routes(under("/a", headers=jason), under("/a/b")) == []
    assert routes(under("/a", headers=jason), under("/a/b", headers={"user": {"exact": "mary"}})) == []
    assert routes(under("/a", port=8080), under("/a/b", port=80)) == []
    assert routes(under("/a", method={"exact": "POST"}), under("/a/b")) == []

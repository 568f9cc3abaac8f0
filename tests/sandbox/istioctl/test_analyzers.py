"""Objects in, Istio's numbered messages out."""

from __future__ import annotations

from workshop.sandbox.istioctl.analyzers import analyze
from workshop.sandbox.istioctl.resources import Resources


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


def rule(host: str = "one", subset: str = "", *gateways: str) -> dict:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    spec = {"hosts": ["one"], "gateways": list(gateways), "http": [{"route": [{"destination": destination}]}]}
    return obj("VirtualService", "r", spec=spec)


def found(*objects: dict) -> list[tuple[str, str, str]]:
    messages = analyze(
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
    on_the_host = pod("host", "app")
    on_the_host["spec"]["hostNetwork"] = True
    assert found(pod("old", "app"), pod("new", "app", "istio-proxy"), refused, noted, on_the_host) == [
        (
            "IST0103",
            "Pod shop/old",
            "The pod shop/old is missing the Istio proxy. "
            "This can often be resolved by restarting or redeploying the workload.",
        )
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
    assert codes(service(), rule("one")) == []
    assert codes(service(), subsets, gateway, rule("one", "v1", "gate", "shop/gate", "mesh")) == []
    for message, objects in {
        'Referenced host not found: "two"': [service(), rule("two")],
        'Referenced host+subset in destinationrule not found: "one+v2"': [service(), subsets, rule("one", "v2")],
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

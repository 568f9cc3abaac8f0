"""Every field of Istio's reference is supported or refused by its path; and what is supported does something.

"Does something" is: with the field the data plane is told something else than without, whoever asks.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.istioctl.manifests import crds
from sandbox.mesh import validation
from sandbox.mesh.authorization import concerning
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.peer_authentication import peer_mode
from sandbox.mesh.registry import Proxy
from sandbox.mesh.security_validation import KINDS
from sandbox.mesh.supported_fields import SUPPORTED, VALUES
from sandbox.mesh.xds.ads import Configuration
from tools import istio_fields

from .field_examples import BASE, BESIDE, base, changes_nothing, example
from .test_gateway_tls import AUTHORITY
from .world import World

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
ROOT = Path(__file__).resolve().parents[3]
FIELDS = list(istio_fields.fields())
SCHEMAS = {(kind, path): schema for kind, path, schema in FIELDS}
SPECS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for crd in crds()
}
RESOURCES = {crd["spec"]["names"]["kind"]: crd["metadata"]["name"] for crd in crds()}
PORT = "8080"
"""The key of a map by ports."""
TO = {"destination": {"host": "one"}}


def refused() -> Iterator[tuple[str, str]]:
    for kind, path, _ in FIELDS:
        if path not in SUPPORTED[kind]:
            yield kind, path


def supported() -> Iterator[tuple[str, str]]:
    for kind, paths in SUPPORTED.items():
        for path in paths:
            yield kind, path


def put(spec: dict[str, Any], kind: str, path: str, value: Any) -> str:
    """Write `value` at `path`, in the first item of every list; what the path looks like in a message."""
    schema = SPECS[kind]
    written, at = "spec", spec
    *above, last = path.split(".")
    any_key = PORT if path.startswith("portLevelMtls") else "key"
    for part in above:
        schema = schema["additionalProperties"] if part == "*" else schema["properties"][part]
        written += f"[{any_key}]" if part == "*" else f".{part}"
        key = any_key if part == "*" else part
        if schema.get("type") == "array":
            schema = schema["items"]
            written += "[0]"
            at = at.setdefault(key, [{}])[0]
        else:
            at = at.setdefault(key, {})
    schema = schema["additionalProperties"] if last == "*" else schema["properties"][last]
    at[any_key if last == "*" else last] = [value] if schema.get("type") == "array" else value
    return written + (f"[{any_key}]" if last == "*" else f".{last}")


def sample(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][-1]
    return {"integer": 1, "number": 1.5, "boolean": True, "object": {}}.get(schema.get("type", ""), "1s")


@pytest.mark.parametrize(("kind", "path"), list(refused()))
def test_a_field_that_is_not_supported_is_refused_by_its_path(kind: str, path: str) -> None:
    """The message names the field, or the part of the rule that is refused with all its fields."""
    spec: dict[str, Any] = {}
    written = put(spec, kind, path, sample(SCHEMAS[kind, path]))
    found = validation.find_problems(kind, {"metadata": {"name": "r", "namespace": "shop"}, "spec": spec})
    named = [problem.partition(": ")[0] for problem in found if "not supported by the sandbox" in problem]
    assert any(written == name or written.startswith((f"{name}.", f"{name}[")) for name in named)


def test_nothing_is_supported_that_istio_does_not_have() -> None:
    assert [(kind, path) for kind, path in supported() if (kind, path) not in SCHEMAS] == []
    assert [key for key in VALUES if key[1] not in SUPPORTED[key[0]]] == []


@pytest.mark.parametrize(("kind", "path"), [key for key in VALUES if "enum" in SCHEMAS[key]])
def test_of_values_the_others_are_refused(kind: str, path: str) -> None:
    for value in SCHEMAS[kind, path]["enum"]:
        spec = copy.deepcopy(BASE[kind])
        written = put(spec, kind, path, value)
        found = validation.find_problems(kind, {"metadata": {"name": "r", "namespace": "shop"}, "spec": spec})
        said = any(problem.startswith(written) and "by the sandbox" in problem for problem in found)
        assert said == (value not in VALUES[kind, path])


def test_the_table_of_fields_is_up_to_date() -> None:
    """If not: python -m tools.istio_fields > docs/istio-fields.md."""
    assert (ROOT / "docs/istio-fields.md").read_text(encoding="utf-8") == istio_fields.table()


# What is supported does something


class Recorder:
    """Between the control plane and the data plane, if there is one: keeps what is told."""

    def __init__(self, proxies: Iterable[Proxy], data_plane: DataPlane | None) -> None:
        self.proxies = {proxy.id: proxy for proxy in proxies}
        self.changed: list[Any] = []
        self.told: Mapping[str, Configuration] = {}
        self._data_plane = data_plane
        self.access_logs = data_plane.access_logs if data_plane else SimpleNamespace(open=lambda: None)

    async def publish(self, parts: Mapping[str, Configuration]) -> None:
        self.told = parts
        if self._data_plane is not None:
            await self._data_plane.publish(parts)


class SmallMesh:
    """Some services, two sidecars and a gateway (with these addresses), told by a control plane."""

    def __init__(self, addresses: Iterable[str], data_plane: DataPlane | None = None) -> None:
        self._cluster = LocalCluster()
        for crd in crds():
            self._cluster.create(CRDS, crd, manager="test")
        for namespace in ("shop", "other", "istio-system"):
            self._cluster.create("namespaces", {"metadata": {"name": namespace}}, manager="test")
        served = (("one", 80, "http"), ("two", 81, "http"), ("three", 80, "http2"), ("four", 82, "tcp"))
        for name, port, speaks in served:
            ports = [{"port": port, "name": speaks, "protocol": "TCP"}]
            service = {
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {
                    "clusterIP": "127.64.128.4" if name == "four" else "None",
                    "selector": {"app": name},
                    "ports": ports,
                },
            }
            self._cluster.create("services", service, manager="test")
        endpoints = []
        for name, region in (("one", "key"), ("another", "lock")):
            pod = {
                "metadata": {"name": name, "namespace": "shop", "labels": {"app": "one", "istio-locality": region}},
                "spec": {"containers": [{"name": "one", "image": "one"}]},
            }
            self._cluster.create("pods", pod, manager="test")
            address = f"127.64.1.{9 + len(endpoints)}"
            ready = {"ready": True}
            endpoints.append({"addresses": [address], "conditions": ready, "targetRef": {"name": name}})
        piece = {
            "metadata": {"name": "one", "namespace": "shop", "labels": {"kubernetes.io/service-name": "one"}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }
        self._cluster.create("endpointslices.discovery.k8s.io", piece, manager="test")
        for name in ("a", "b"):
            pair = AUTHORITY.issue(f"{name}.example")
            data = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": AUTHORITY.pem}
            secret = {
                "metadata": {"name": name, "namespace": "shop"},
                "type": "kubernetes.io/tls",
                "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
            }
            self._cluster.create("secrets", secret, manager="test")
        told = {
            "extensionProviders": [
                {"name": name, "zipkin": {"service": f"{name}.shop.svc.cluster.local", "port": port}}
                for name, port in (("one", 80), ("two", 81))
            ]
        }
        mesh = {"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": json.dumps(told)}}
        self._cluster.create("configmaps", mesh, manager="test")
        leaf = {
            "metadata": {"name": "leaf", "namespace": "shop"},
            "spec": {"http": [{"directResponse": {"status": 418}}]},
        }
        self._cluster.create("virtualservices.networking.istio.io", leaf, manager="test")
        whom = (("sidecar", "a", "shop"), ("sidecar", "b", "other"), ("gateway", "gate", "shop"))
        self.proxies = [
            Proxy(kind, name, namespace, address, {"app": name})
            for (kind, name, namespace), address in zip(whom, addresses, strict=True)
        ]
        self._recorder = Recorder(self.proxies, data_plane)
        self._before: dict[str, Mapping[str, Configuration]] = {}
        self._control_plane = ControlPlane(self._cluster, self._recorder)  # type: ignore[arg-type]

    async def told(self, kind: str, spec: dict[str, Any]) -> Mapping[str, Configuration]:
        """Everything the proxies are told where this rule is the only one of its kind."""
        rules = {"Gateway": BASE["Gateway"], **BESIDE.get(kind, {}), kind: spec}
        keys = []
        for of, rule in rules.items():
            name, key = "gate" if of == "Gateway" else "rule", RESOURCES[of]
            keys.append((key, name))
            obj = {"metadata": {"name": name, "namespace": "shop"}, "spec": copy.deepcopy(rule)}
            self._cluster.create(key, obj, manager="test")
        try:
            await self._control_plane._translate()
        finally:
            for key, name in keys:
                self._cluster.delete(key, "shop", name)
        return self._recorder.told

    async def told_before(self, kind: str, spec: dict[str, Any]) -> Mapping[str, Configuration]:
        """The same for a rule that many fields begin with."""
        key = json.dumps([kind, spec], sort_keys=True)
        if key not in self._before:
            self._before[key] = await self.told(kind, spec)
        return self._before[key]


@pytest.fixture(scope="module")
def mesh() -> SmallMesh:
    return SmallMesh(f"127.64.16.{number}" for number in (1, 2, 3))


@pytest.mark.parametrize(("kind", "path"), [one for one in supported() if one[0] not in KINDS])
async def test_a_supported_field_makes_a_difference(mesh: SmallMesh, kind: str, path: str) -> None:
    without = base(kind, path)
    with_field = copy.deepcopy(without)
    put(with_field, kind, path, example(kind, path, sample(SCHEMAS[kind, path])))
    assert with_field != without
    obj = {"metadata": {"name": "rule", "namespace": "shop"}, "spec": with_field}
    assert list(validation.find_problems(kind, obj)) == []
    same = await mesh.told(kind, with_field) == await mesh.told_before(kind, without)
    assert same == changes_nothing(kind, path)


def effect(kind: str, spec: dict[str, Any]) -> Any:
    """Of what says who may ask a workload, on one."""
    policy = {"metadata": {"name": "rule", "namespace": "shop"}, "spec": spec}
    if kind == "PeerAuthentication":
        found = peer_mode([policy], "shop", {"app": "one"})
        return found.mode, found.of(int(PORT))
    return concerning([policy], "shop", {"app": "one"}).http_filters()


@pytest.mark.parametrize(("kind", "path"), [one for one in supported() if one[0] in KINDS])
def test_a_supported_field_of_security_makes_a_difference(kind: str, path: str) -> None:
    without = base(kind, path)
    with_field = copy.deepcopy(without)
    put(with_field, kind, path, example(kind, path, sample(SCHEMAS[kind, path])))
    obj = {"metadata": {"name": "rule", "namespace": "shop"}, "spec": with_field}
    assert list(validation.find_problems(kind, obj)) == []
    assert (effect(kind, with_field) == effect(kind, without)) == changes_nothing(kind, path)


async def test_envoy_takes_what_is_made_of_every_supported_field(world: World) -> None:
    """A real one, one field after the other, and it lives on: some values would end it, as a hash table of
    one entry. All levels of traffic policies have the same fields, so one will do.
    """
    plane = world.mesh.data_plane
    mesh = SmallMesh((world.network.pods.take() for _ in range(3)), plane)
    await world.mesh.control_plane.stop()
    for proxy in mesh.proxies:
        plane.register(proxy)
    await mesh.told("Gateway", BASE["Gateway"])
    for proxy in mesh.proxies:
        await plane.live(proxy)
    running = plane.pid
    refused = {}
    for kind, path in supported():
        if kind not in KINDS and not path.startswith(("subsets.trafficPolicy", "trafficPolicy.portLevelSettings")):
            spec = base(kind, path)
            put(spec, kind, path, example(kind, path, sample(SCHEMAS[kind, path])))
            await mesh.told(kind, spec)
            if plane.refused or plane.pid != running:
                refused[kind, path] = dict(plane.refused)
    assert refused == {}
    assert await plane.admin("/ready") == "LIVE\n"
    await mesh.told("VirtualService", {**BASE["VirtualService"], "http": [{"directResponse": {"status": 1}}]})
    assert "RouteConfiguration" in str(plane.refused)
    world.mesh.control_plane.start()

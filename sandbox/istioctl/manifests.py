"""The objects that `install` creates, by component, in the order in which they are applied."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import resources
from string import Template
from typing import Any

import yaml

from sandbox.core.addresses import may_listen
from sandbox.core.cluster import Object
from sandbox.istioctl.install_options import Options
from sandbox.mesh import mesh_config
from sandbox.mesh.istio import HEALTH_PORT, PORTS_NOTE, VERSION

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, which is ten times as fast, where PyYAML was built with it."""

COMPONENT_LABEL = "operator.istio.io/component"


class Component(Enum):
    BASE = "Base"
    PILOT = "Pilot"
    INGRESS = "IngressGateways"
    EGRESS = "EgressGateways"


def _owned(obj: Object, component: Component) -> Object:
    """With the labels by which istioctl knows its own."""
    labels = obj["metadata"].setdefault("labels", {})
    labels.update(
        {
            COMPONENT_LABEL: component.value,
            "operator.istio.io/managed": "Reconcile",
            "operator.istio.io/version": VERSION,
            "install.operator.istio.io/owning-resource": "unknown",
            "release": "istio",
        }
    )
    return obj


KINDS = (
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("v1", "ServiceAccount"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)
"""Kinds of what is installed, in the order of removal: first the webhooks, which need a running istiod."""


def components(chosen: Options) -> Iterator[tuple[Component, list[Object]]]:
    """Components that are switched on, each with its objects."""
    written = yaml.load(_data("install.yaml"), _Loader)  # noqa: S506 - both loaders are safe ones
    named = {"hub": chosen.hub, "tag": chosen.tag}
    if chosen.pilot:
        yield (
            Component.BASE,
            [_owned(obj, Component.BASE) for obj in (*crds(), *refused_crds(), *_filled(written["Base"], named))],
        )
        objects = _filled(written["Pilot"], named)
        _configure(next(obj for obj in objects if obj["metadata"]["name"] == mesh_config.NAME), chosen)
        yield Component.PILOT, [_owned(obj, Component.PILOT) for obj in objects]
    for component, role, switched_on in (
        (Component.EGRESS, "egressgateway", chosen.egress),
        (Component.INGRESS, "ingressgateway", chosen.ingress),
    ):
        if switched_on:
            objects = _filled(written["Gateway"], {**named, "name": f"istio-{role}", "role": role})
            _open(next(obj for obj in objects if obj["kind"] == "Service"), component, chosen)
            yield component, [_owned(obj, component) for obj in objects]


def _configure(mesh: Object, chosen: Options) -> None:
    """What the mesh's ConfigMap says: the defaults, and what is asked for. The file is sorted."""
    asked = {
        "accessLogEncoding": chosen.access_log_encoding,
        "accessLogFile": chosen.access_log_file,
        "accessLogFormat": chosen.access_log_format,
    }
    said = {**{field: value for field, value in asked.items() if value}, **chosen.mesh}
    if said:
        whole = _merged(yaml.safe_load(mesh["data"][mesh_config.KEY]), said)
        mesh["data"][mesh_config.KEY] = yaml.safe_dump(whole, width=10**6).rstrip("\n")


def _merged(below: Object, above: Mapping[str, Any]) -> Object:
    """As Helm merges values: objects field by field."""
    made = dict(below)
    for field, value in above.items():
        both = isinstance(value, dict) and isinstance(made.get(field), dict)
        made[field] = _merged(made[field], value) if both else value
    return made


def where_real_ports_lead(here: str) -> str:
    """What is said of 80 and 443, which a gateway has on a real cluster."""
    return "lead there, too" if may_listen(80) else f"are root's {here}"


def _open(service: Object, component: Component, chosen: Options) -> None:
    """Give a gateway's Service its type and ports.

    The ingress gateway is entered from this machine at its load balancer's address, where nobody but root listens
    on 80 or 443. So its service has `http2` and `https` on 8080 and 8443, and the commands by which tutorials find
    address and port hold without root.
    """
    spec = service["spec"]
    if component is Component.EGRESS:
        spec |= {"type": "ClusterIP", "ports": [_port("http2", 80, 8080), _port("https", 443, 8443)]}
        return
    ports = [("status-port", HEALTH_PORT), ("http2", 8080), ("https", 8443)]
    spec |= {"type": chosen.ingress_type, "ports": [_port(name, number, number) for name, number in ports]}
    if chosen.ingress_address:
        spec["loadBalancerIP"] = chosen.ingress_address
    service["metadata"]["annotations"] = {
        PORTS_NOTE: f"8080 for http, 8443 for https: 80 and 443 {where_real_ports_lead('on this machine')}",
        **chosen.ingress_annotations,
    }


def _port(name: str, port: int, target: int) -> Object:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target}


def _filled(value: Any, named: Mapping[str, str]) -> Any:
    """A copy in which texts have these names' values in place of `$NAME`."""
    if isinstance(value, dict):
        return {key: _filled(inner, named) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, named) for inner in value]
    return Template(value).safe_substitute(named) if isinstance(value, str) else value


def _data(name: str) -> str:
    return (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")


def crds() -> list[Object]:
    """Those of the kinds the sandbox's mesh knows, from packaged data (see tools/extract_istio_schema.py)."""
    return [_crd(packed) for packed in json.loads(_data("crds.json"))]


_ALPHA = ("v1", "v1alpha3", "v1beta1")
_REFUSED = (
    ("networking.istio.io", "EnvoyFilter", "", ("v1alpha3",)),
    ("networking.istio.io", "ProxyConfig", "", ("v1beta1",)),
    ("networking.istio.io", "Sidecar", "", _ALPHA),
    ("networking.istio.io", "WorkloadEntry", "we", _ALPHA),
    ("networking.istio.io", "WorkloadGroup", "wg", _ALPHA),
    ("extensions.istio.io", "TrafficExtension", "", ("v1alpha1",)),
    ("extensions.istio.io", "WasmPlugin", "", ("v1alpha1",)),
    ("security.istio.io", "AuthorizationPolicy", "ap", ("v1", "v1beta1")),
    ("security.istio.io", "PeerAuthentication", "pa", ("v1", "v1beta1")),
    ("security.istio.io", "RequestAuthentication", "ra", ("v1", "v1beta1")),
    ("telemetry.istio.io", "Telemetry", "telemetry", ("v1", "v1alpha1")),
)
"""Istio's kinds that the mesh here does nothing with: group, kind, short name, versions."""


def refused_crds() -> list[Object]:
    """Those of Istio's kinds that are there, as on every cluster with Istio, and of which no object gets in."""
    here = {(crd["spec"]["group"], crd["spec"]["names"]["kind"]) for crd in crds()}
    return [_crd(_open_kind(*one)) for one in _REFUSED if one[:2] not in here]


def _open_kind(group: str, kind: str, short: str, versions: tuple[str, ...]) -> Object:
    singular = kind.lower()
    plural = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
    names: Object = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular}
    names["categories"] = ["istio-io", f"{group.partition('.')[0]}-istio-io"]
    if short:
        names["shortNames"] = [short]
    return {
        "group": group,
        "names": names,
        "versions": versions,
        "columns": [],
        "labels": {"app": "istio-pilot", "chart": "istio", "heritage": "Tiller", "release": "istio"},
        "schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }


def _crd(packed: Object) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{packed['names']['plural']}.{packed['group']}", "labels": packed["labels"]},
        "spec": {
            "group": packed["group"],
            "names": packed["names"],
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": packed["schema"]},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": packed["columns"],
                }
                for index, version in enumerate(packed["versions"])
            ],
        },
    }

"""istiod: its Deployment and Service, and the two ConfigMaps that configure mesh and injection."""

from __future__ import annotations

import json

from sandbox.istioctl.manifests.common import Object, autoscaler, disruption_budget, named, service_port
from sandbox.istioctl.options import Options
from sandbox.mesh.injection import CONFIGURATION

_SELECTOR = {"app": "istiod", "istio": "pilot"}
_LABELS = {**_SELECTOR, "istio.io/rev": "default"}
_MESH = """\
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
rootNamespace: istio-system
trustDomain: cluster.local
"""


def objects(chosen: Options) -> list[Object]:
    values = {"global": {"hub": chosen.hub, "tag": chosen.tag, "istioNamespace": "istio-system"}}
    return [
        named(
            "v1",
            "ConfigMap",
            "istio",
            labels={"istio.io/rev": "default"},
            data={"mesh": _MESH, "meshNetworks": "networks: {}"},
        ),
        named(
            "v1",
            "ConfigMap",
            CONFIGURATION,
            labels={"istio.io/rev": "default"},
            data={"values": json.dumps(values, indent=2)},
        ),
        named(
            "v1",
            "ConfigMap",
            "values",
            labels={"istio.io/rev": "default"},
            data={"merged-values": json.dumps(values, indent=2)},
        ),
        _deployment(chosen),
        _service("istiod", _LABELS, _SELECTOR),
        _service(
            "istiod-revision-tag-default",
            {**_LABELS, "istio.io/tag": "default"},
            {"app": "istiod", "istio.io/rev": "default"},
        ),
        autoscaler("istiod", _LABELS),
        disruption_budget("istiod", _SELECTOR),
    ]


def _service(name: str, labels: dict[str, str], selector: dict[str, str]) -> Object:
    ports = [
        service_port("grpc-xds", 15010),
        service_port("https-dns", 15012),
        service_port("https-webhook", 443, 15017),
        service_port("http-monitoring", 15014),
    ]
    return named("v1", "Service", name, labels=labels, spec={"ports": ports, "selector": selector})


def _deployment(chosen: Options) -> Object:
    container = {
        "name": "discovery",
        "image": f"{chosen.hub}/pilot:{chosen.tag}",
        "args": [
            *("discovery", "--monitoringAddr=:15014", "--log_output_level=default:info"),
            *("--domain", "cluster.local", "--keepaliveMaxServerConnectionAge", "30m"),
        ],
        "ports": [
            {"containerPort": port, "protocol": "TCP", "name": name}
            for port, name in (
                (8080, "http-debug"),
                (15010, "grpc-xds"),
                (15012, "tls-xds"),
                (15017, "https-webhooks"),
            )
        ],
        "env": [
            {"name": "REVISION", "value": "default"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "SERVICE_ACCOUNT", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
        ],
        "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    labels = {**_LABELS, "sidecar.istio.io/inject": "false"}
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": "istiod", "containers": [container]}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}}
    spec = {"strategy": strategy, "selector": {"matchLabels": _SELECTOR}, "template": template}
    return named("apps/v1", "Deployment", "istiod", labels=_LABELS, spec=spec)

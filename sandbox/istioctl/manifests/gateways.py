"""The gateways that come with a profile: Envoy at the mesh's edge, with a service in front.

The ingress gateway is entered from this machine at its load balancer's address, where nobody but root may listen on
80 or 443. So its service has `http2` and `https` on 8080 and 8443, and the commands by which tutorials find address
and port hold without root.
"""

from __future__ import annotations

from sandbox.istioctl.manifests import permissions
from sandbox.istioctl.manifests.common import Object, autoscaler, disruption_budget, named, service_port
from sandbox.istioctl.options import Options

_HEALTH_PORT = 15021


def ingress(chosen: Options) -> list[Object]:
    spec: Object = {"type": chosen.ingress_type}
    if chosen.ingress_address:
        spec["loadBalancerIP"] = chosen.ingress_address
    ports = [
        service_port("status-port", _HEALTH_PORT),
        service_port("http2", 8080, 8080),
        service_port("https", 8443, 8443),
    ]
    return _gateway("istio-ingressgateway", chosen, {**spec, "ports": ports}, chosen.ingress_annotations)


def egress(chosen: Options) -> list[Object]:
    ports = [service_port("http2", 80, 8080), service_port("https", 443, 8443)]
    return _gateway("istio-egressgateway", chosen, {"type": "ClusterIP", "ports": ports}, {})


def _gateway(name: str, chosen: Options, service: Object, annotations: dict[str, str]) -> list[Object]:
    labels = {"app": name, "istio": name.removeprefix("istio-")}
    account = f"{name}-service-account"
    front = named("v1", "Service", name, labels=labels, spec={**service, "selector": labels})
    if annotations:
        front["metadata"]["annotations"] = dict(annotations)
    secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}]
    return [
        named("v1", "ServiceAccount", account, labels=labels),
        *permissions.role(f"{name}-sds", account, labels, secrets),
        named("apps/v1", "Deployment", name, labels=labels, spec=_deployment(chosen, account, labels)),
        front,
        autoscaler(name, labels),
        disruption_budget(name, labels),
    ]


def _deployment(chosen: Options, account: str, labels: dict[str, str]) -> Object:
    ports = (_HEALTH_PORT, 8080, 8443)
    container = {
        "name": "istio-proxy",
        "image": f"{chosen.hub}/proxyv2:{chosen.tag}",
        "args": [
            *("proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"),
            *("--proxyLogLevel=warning", "--log_output_level=default:info"),
        ],
        "ports": [
            *({"containerPort": port, "protocol": "TCP"} for port in ports),
            {"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/healthz/ready", "port": _HEALTH_PORT, "scheme": "HTTP"},
            "periodSeconds": 2,
            "failureThreshold": 30,
        },
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "INSTANCE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2000m", "memory": "1024Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    template = {
        "metadata": {
            "labels": {
                **labels,
                "istio.io/rev": "default",
                "service.istio.io/canonical-name": labels["app"],
                "service.istio.io/canonical-revision": "latest",
                "sidecar.istio.io/inject": "false",
            }
        },
        "spec": {"serviceAccountName": account, "containers": [container]},
    }
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}}
    return {"strategy": strategy, "selector": {"matchLabels": labels}, "template": template}

"""Injection: what istiod makes of a pod that the injection webhook hands to it, by one of its templates
(`injection_templates.py`): one with a sidecar, or a gateway.

A sidecar is native, as real ones are since Istio 1.29 on Kubernetes 1.33: `istio-proxy` is an init container with
`restartPolicy: Always`, which has started before the pod's own containers do and ends after them. A pod that exists
is never touched, so a namespace that is labelled later keeps its pods as they are until they are made anew.
"""

from __future__ import annotations

import json

from sandbox.api import admission_webhooks as webhooks
from sandbox.core.cluster import Admission, Cluster, Object
from sandbox.mesh import injection_templates as templates
from sandbox.mesh import sidecar_annotations as says
from sandbox.mesh.agent_status import PROBERS_VARIABLE, SCRAPING_VARIABLE
from sandbox.mesh.istio import INJECTOR, ISTIO_NAMESPACE, KUBERNETES_NAMESPACES, POD_LABEL, STATUS_PORT
from sandbox.mesh.istio_annotations import unsupported
from sandbox.mesh.workload_names import workload_of
from sandbox.schema.patch import strategic_merge
from sandbox.schema.types import of_kind


def service(cluster: Cluster) -> webhooks.Service:
    """What istiod answers at `/inject`. It may still leave a pod alone that the webhook's selectors let through."""

    def inject_proxy(admission: Admission, webhook: str) -> None:
        pod = admission.object
        if not wanted(pod):
            return
        if reason := unsupported(pod["metadata"].get("annotations") or {}):
            raise webhooks.denied(webhook, f"injection failed: {reason}")
        inject(pod, _settings(cluster))

    return inject_proxy


def wanted(pod: Object) -> bool:
    """Whether a pod that was handed over gets a proxy. Which are, the webhooks' selectors have decided."""
    metadata = pod["metadata"]
    if metadata["namespace"] in KUBERNETES_NAMESPACES or pod["spec"].get("hostNetwork"):
        return False
    annotations = metadata.get("annotations") or {}
    said = {**annotations, **(metadata.get("labels") or {})}
    return said.get(POD_LABEL) != "false" and _STATUS not in annotations


def inject(pod: Object, settings: Object | None = None) -> None:
    """Add the proxy to a pod, in place. `settings` are the `global` values istiod was installed with.

    What the pod itself says of a container that is added is laid over it. Raises ValueError for annotations that
    `unsupported` finds something to say of.
    """
    spec, metadata = pod["spec"], pod["metadata"]
    annotations = metadata.setdefault("annotations", {})
    is_gateway = annotations.get(says.TEMPLATES) == says.GATEWAY
    workload = workload_of(pod)
    added = (templates.gateway if is_gateway else templates.sidecar)(pod, settings or {})
    status = {
        "initContainers": _names(added.get("initContainers")),
        "containers": _names(added.get("containers")),
        "volumes": _names(added["volumes"]),
        "imagePullSecrets": None,
        "revision": "default",
    }
    said = {kind: [own for one in added.get(kind) or () if (own := _taken(spec, one["name"]))] for kind in _KINDS}
    if said := {kind: owns for kind, owns in said.items() if owns}:
        annotations[says.OVERRIDES] = json.dumps(said, separators=(",", ":"))
    for kind, owns in said.items():
        by_name = {own["name"]: own for own in owns}
        added[kind] = [_laid_over(one, by_name.get(one["name"])) for one in added[kind]]
    proxy = (added.get("containers") or added["initContainers"])[-1]
    _label(metadata, workload.name, is_gateway=is_gateway)
    _merge_metrics(annotations, proxy)
    if says.truth(annotations.get(says.REWRITE_PROBES), True):
        _rewrite_probes(spec, proxy)
    annotations.setdefault("istio.io/rev", "default")
    if spec["containers"]:
        annotations.setdefault("kubectl.kubernetes.io/default-container", spec["containers"][0]["name"])
        annotations.setdefault("kubectl.kubernetes.io/default-logs-container", spec["containers"][0]["name"])
    annotations[_STATUS] = json.dumps(status, separators=(",", ":"))
    # Before the pod's own, so that these are in the mesh, too; a gateway's comes last.
    spec["containers"] = [*spec["containers"], *(added.get("containers") or ())]
    if initial := [*(added.get("initContainers") or ()), *(spec.get("initContainers") or ())]:
        spec["initContainers"] = initial
    named = _names(added["volumes"]) or ()
    others = (volume for volume in spec.get("volumes") or () if volume["name"] not in named)
    spec["volumes"] = [*added["volumes"], *others]
    if "securityContext" in added:
        spec["securityContext"] = {**(spec.get("securityContext") or {}), **added["securityContext"]}


_STATUS = "sidecar.istio.io/status"
_KINDS = ("containers", "initContainers")


def _names(items: list[Object] | None) -> list[str] | None:
    return None if items is None else [item["name"] for item in items]


def _taken(spec: Object, name: str) -> Object | None:
    """What the pod itself says of that container, which is no longer there then. `image: auto` says nothing."""
    found = None
    for kind in _KINDS:
        found = next((one for one in spec.get(kind) or () if one["name"] == name), found)
        if spec.get(kind):
            spec[kind] = [one for one in spec[kind] if one["name"] != name]
    return found and {field: value for field, value in found.items() if (field, value) != ("image", "auto")}


def _laid_over(container: Object, own: Object | None) -> Object:
    """As a strategic merge patch."""
    if own is None:
        return container
    pods = of_kind("v1", "Pod")
    assert pods is not None
    kind = pods.fields["spec"].type.fields["containers"].type.element
    assert kind is not None
    return strategic_merge(kind, container, own)


def _label(metadata: Object, workload: str, *, is_gateway: bool) -> None:
    labels = metadata.setdefault("labels", {})
    name = labels.get("app.kubernetes.io/name") or labels.get("app") or workload
    revision = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    if not is_gateway:
        labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", name[:63].strip("-_."))
    labels.setdefault("service.istio.io/canonical-revision", revision)


def _merge_metrics(annotations: Object, proxy: Object) -> None:
    """Have Prometheus ask the agent, which gives the proxy's figures and the pod's own."""
    if not says.truth(annotations.get("prometheus.io/scrape"), True):
        return
    port = str(STATUS_PORT)
    if not says.truth(annotations.get(says.MERGE_METRICS), True) or annotations.get("prometheus.io/port") == port:
        return
    asked = {field: annotations.get(f"prometheus.io/{field}", "") for field in ("scrape", "path", "port")}
    if any(asked.values()):
        value = json.dumps(asked, separators=(",", ":"))
        proxy["env"].append({"name": SCRAPING_VARIABLE, "value": value})
    for field, value in (("path", "/stats/prometheus"), ("port", port), ("scrape", "true")):
        annotations[f"prometheus.io/{field}"] = value


def _rewrite_probes(spec: Object, proxy: Object) -> None:
    """Have kubelets ask the agent, whom mTLS does not keep out, and tell it what to ask the application."""
    probers: Object = {}
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports") or () if port.get("name")}
        for field, path in _PROBES.items():
            probe = container.get(field) or {}
            kind = next((kind for kind in ("httpGet", "tcpSocket") if probe.get(kind)), None)
            if kind is None or probe[kind]["port"] == STATUS_PORT:
                continue
            action = probe[kind]
            url = f"/app-health/{container['name']}/{path}"
            if (port := ports.get(action["port"], action["port"])) and not isinstance(port, str):
                wanted = {
                    field: action[field] for field in ("path", "host", "scheme", "httpHeaders") if field in action
                }
                asked = {**({"path": wanted.pop("path")} if "path" in wanted else {}), "port": port, **wanted}
                limit = probe.get("timeoutSeconds")
                probers[url] = {kind: asked, **({"timeoutSeconds": limit} if limit else {})}
            del probe[kind]
            kept = {key: action[key] for key in ("host", "httpHeaders") if key in action and kind == "httpGet"}
            probe["httpGet"] = {**kept, "path": url, "port": STATUS_PORT, "scheme": "HTTP"}
    if probers:
        value = json.dumps(dict(sorted(probers.items())), separators=(",", ":"))
        proxy["env"].append({"name": PROBERS_VARIABLE, "value": value})


_PROBES = {"readinessProbe": "readyz", "livenessProbe": "livez", "startupProbe": "startupz"}


def _settings(cluster: Cluster) -> Object:
    """The `global` values of the installation: where images come from and which tag they have."""
    found = cluster.find("configmaps", ISTIO_NAMESPACE, INJECTOR)
    if found is None:
        return {}
    values: Object = json.loads((found.get("data") or {}).get("values") or "{}")
    return values.get("global") or {}

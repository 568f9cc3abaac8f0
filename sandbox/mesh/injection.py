"""Sidecar injection: what istiod makes of a pod that the injection webhook hands to it.

A sidecar is native, as real ones are since Istio 1.29 on Kubernetes 1.33: `istio-proxy` is an init container with
`restartPolicy: Always`, which has started before the pod's own containers do and ends after them. A pod that exists
is never touched, so a namespace that is labelled later keeps its pods as they are until they are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from sandbox.api import admission_webhooks as webhooks
from sandbox.core.cluster import Admission, Cluster, Object
from sandbox.core.objects import clone
from sandbox.mesh import sidecar_annotations as says
from sandbox.mesh.agent_status import PROBERS_VARIABLE, SCRAPING_VARIABLE
from sandbox.mesh.istio import (
    CONTAINER,
    HUB,
    INJECTOR,
    ISTIO_NAMESPACE,
    KUBERNETES_NAMESPACES,
    POD_LABEL,
    STATUS_PORT,
    VERSION,
)
from sandbox.mesh.istio_annotations import proxy_config_as_json, unsupported
from sandbox.mesh.workload_names import workload_name, workload_of


def service(cluster: Cluster) -> webhooks.Service:
    """What istiod answers at `/inject`. It may still leave a pod alone that the webhook's selectors let through."""

    def inject_sidecar(admission: Admission, webhook: str) -> None:
        pod = admission.object
        if not wanted(pod):
            return
        if reason := unsupported(pod["metadata"].get("annotations") or {}):
            raise webhooks.denied(webhook, f"injection failed: {reason}")
        inject(pod, _settings(cluster))

    return inject_sidecar


def wanted(pod: Object) -> bool:
    """Whether a pod that was handed over gets a sidecar. Which are, the webhooks' selectors have decided."""
    metadata, spec = pod["metadata"], pod["spec"]
    if metadata["namespace"] in KUBERNETES_NAMESPACES or spec.get("hostNetwork"):
        return False
    if any(
        container["name"] == CONTAINER for container in (*spec["containers"], *(spec.get("initContainers") or ()))
    ):
        return False
    said = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    return said.get(POD_LABEL) != "false"


def inject(pod: Object, settings: Object | None = None) -> None:
    """Add the proxy to a pod, in place. `settings` are the `global` values istiod was installed with.

    Raises ValueError for annotations that `unsupported` finds something to say of.
    """
    spec, metadata = pod["spec"], pod["metadata"]
    annotations = metadata.setdefault("annotations", {})
    added = clone(_template())
    redirection, proxy = added["initContainers"]
    for container in (redirection, proxy):
        container["image"] = _image(annotations, settings or {})
        container["resources"] = _resources(annotations) or container["resources"]
    redirection["args"] = _redirection(redirection["args"], annotations)
    proxy["args"] = [_log_levels(word, annotations) for word in proxy["args"]]
    redirection["args"] = [_log_levels(word, annotations) for word in redirection["args"]]
    for field in _READINESS:
        if value := annotations.get(f"{says.READINESS}/{field}"):
            proxy["readinessProbe"][field] = int(value)
    for name, mount in json.loads(annotations.get(says.USER_VOLUME_MOUNT) or "{}").items():
        proxy["volumeMounts"].append({"name": name, **mount})
    for name, volume in json.loads(annotations.get(says.USER_VOLUME) or "{}").items():
        added["volumes"].append({"name": name, **volume})
    names = ",".join(container["name"] for container in spec["containers"])
    workload = workload_of(pod)
    proxy["env"] = _filled(
        proxy["env"],
        PROXY_CONFIG=f"{proxy_config_as_json(annotations)}\n",
        ISTIO_META_POD_PORTS=_pod_ports(spec["containers"]),
        ISTIO_META_APP_CONTAINERS=names,
        ISTIO_META_WORKLOAD_NAME=workload_name(pod),
        ISTIO_META_OWNER=workload.owner(metadata["namespace"]),
    )
    status = {
        "initContainers": [container["name"] for container in added["initContainers"]],
        "containers": None,
        "volumes": [volume["name"] for volume in added["volumes"]],
        "imagePullSecrets": None,
        "revision": "default",
    }
    _label(metadata, workload.name)
    _merge_metrics(annotations, proxy)
    if says.truth(annotations.get(says.REWRITE_PROBES), True):
        _rewrite_probes(spec, proxy)
    annotations.setdefault("istio.io/rev", "default")
    annotations.setdefault("kubectl.kubernetes.io/default-container", spec["containers"][0]["name"])
    annotations.setdefault("kubectl.kubernetes.io/default-logs-container", spec["containers"][0]["name"])
    annotations["sidecar.istio.io/status"] = json.dumps(status, separators=(",", ":"))
    # Before the pod's own, so that these are in the mesh, too.
    others = spec.get("initContainers") or []
    spec["initContainers"] = [redirection, proxy, *others]
    spec["volumes"] = [*added["volumes"], *(spec.get("volumes") or ())]


_READINESS = ("initialDelaySeconds", "periodSeconds", "failureThreshold")


def _label(metadata: Object, workload: str) -> None:
    labels = metadata.setdefault("labels", {})
    name = labels.get("app.kubernetes.io/name") or labels.get("app") or workload
    revision = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", name[:63].strip("-_."))
    labels.setdefault("service.istio.io/canonical-revision", revision)


def _image(annotations: Mapping[str, str], values: Object) -> str:
    """A whole image's name is one with a slash; Istio ignores others, and so does this."""
    if "/" in (asked := annotations.get(says.PROXY_IMAGE, "")):
        return asked
    kind = annotations.get(says.PROXY_IMAGE_TYPE, "")
    image = f"{values.get('hub', HUB)}/proxyv2:{values.get('tag', VERSION)}"
    return f"{image}-{kind}" if kind and kind != "default" else image


def _resources(annotations: Mapping[str, str]) -> Object:
    """Nothing but what they say, if they say anything."""
    asked = {
        "requests": {"cpu": says.PROXY_CPU, "memory": says.PROXY_MEMORY},
        "limits": {"cpu": says.PROXY_CPU_LIMIT, "memory": says.PROXY_MEMORY_LIMIT},
    }
    found = {
        kind: {what: annotations[name] for what, name in names.items() if name in annotations}
        for kind, names in asked.items()
    }
    return {kind: amounts for kind, amounts in found.items() if amounts}


def _redirection(args: list[str], annotations: Mapping[str, str]) -> list[str]:
    """What leads traffic to the proxy, with the pod's own exceptions."""
    made = list(args)
    said = (("-i", "includeOutboundIPRanges"), ("-x", "excludeOutboundIPRanges"), ("-b", "includeInboundPorts"))
    for flag, name in said:
        if (value := annotations.get(f"{says.TRAFFIC}/{name}")) is not None:
            made[made.index(flag) + 1] = value
    if excluded := annotations.get(f"{says.TRAFFIC}/excludeInboundPorts"):
        # Before the status port, unless it is among them.
        written = [part.strip() for part in excluded.split(",") if part.strip()]
        own = excluded if str(STATUS_PORT) in excluded.split(",") else ",".join([*written, str(STATUS_PORT)])
        at = made.index("-d") + 1
        made[at] = made[at].removesuffix(str(STATUS_PORT)) + own
    for flag, name in (("-q", "includeOutboundPorts"), ("-o", "excludeOutboundPorts")):
        if (value := annotations.get(f"{says.TRAFFIC}/{name}")) is not None:
            made[-1:-1] = [flag, value]
    return made


def _log_levels(word: str, annotations: Mapping[str, str]) -> str:
    flag = word.partition("=")[0]
    asked = annotations.get(_LEVELS.get(flag, ""))
    return word if asked is None else f"{flag}={asked}"


_LEVELS = {
    "--proxyLogLevel": says.LOG_LEVEL,
    "--proxyComponentLogLevel": says.COMPONENT_LOG_LEVEL,
    "--log_output_level": says.AGENT_LOG_LEVEL,
}


def _filled(variables: list[Object], **values: str) -> list[Object]:
    return [
        {**variable, "value": values[variable["name"]]} if variable["name"] in values else variable
        for variable in variables
    ]


def _pod_ports(containers: list[Object]) -> str:
    """One on a line, as the template writes them."""
    fields = ("name", "hostPort", "containerPort", "protocol", "hostIP")
    ports = [
        json.dumps({field: port[field] for field in fields if port.get(field)}, separators=(",", ":"))
        for container in containers
        for port in container.get("ports") or ()
    ]
    return "[\n" + "".join(f"    {',' if index else ''}{port}\n" for index, port in enumerate(ports)) + "]"


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


@cache
def _template() -> Object:
    text = (resources.files(__package__) / "data" / "sidecar.yaml").read_text(encoding="utf-8")
    template: Object = yaml.safe_load(text)
    return template


def _settings(cluster: Cluster) -> Object:
    """The `global` values of the installation: where images come from and which tag they have."""
    found = cluster.find("configmaps", ISTIO_NAMESPACE, INJECTOR)
    if found is None:
        return {}
    values: Object = json.loads((found.get("data") or {}).get("values") or "{}")
    return values.get("global") or {}

"""Istio's injection templates, filled for one pod: `sidecar`, and `gateway` for a pod that is a gateway itself.

What comes of one is that part of a pod which the injector lays around what the pod says (`injection.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from sandbox.core.cluster import Object
from sandbox.core.objects import clone
from sandbox.mesh import sidecar_annotations as says
from sandbox.mesh.istio import CONTAINER, HUB, STATUS_PORT, VERSION
from sandbox.mesh.istio_annotations import proxy_config_as_json
from sandbox.mesh.workload_names import workload_name, workload_of


def sidecar(pod: Object, values: Object) -> Object:
    """`values` are the `global` ones that istiod was installed with."""
    annotations = pod["metadata"].get("annotations") or {}
    made: Object = clone(_templates()["sidecar"])
    redirection, proxy = made["initContainers"]
    for container in (redirection, proxy):
        container["image"] = _image(annotations, values)
        container["resources"] = _resources(annotations) or container["resources"]
        container["args"] = [_log_levels(word, annotations) for word in container["args"]]
    redirection["args"] = _redirection(redirection["args"], annotations)
    for field in _READINESS:
        if value := annotations.get(f"{says.READINESS}/{field}"):
            proxy["readinessProbe"][field] = int(value)
    for name, mount in json.loads(annotations.get(says.USER_VOLUME_MOUNT) or "{}").items():
        proxy["volumeMounts"].append({"name": name, **mount})
    for name, volume in json.loads(annotations.get(says.USER_VOLUME) or "{}").items():
        made["volumes"].append({"name": name, **volume})
    proxy["env"] = _variables(proxy["env"], pod)
    return made


def gateway(pod: Object, values: Object) -> Object:
    """Of the annotations it knows those of image and log levels only, as Istio's own."""
    annotations = pod["metadata"].get("annotations") or {}
    made: Object = clone(_templates()["gateway"])
    (proxy,) = made["containers"]
    proxy["image"] = _image(annotations, values)
    proxy["args"] = [_log_levels(word, annotations) for word in proxy["args"]]
    proxy["env"] = _variables(proxy["env"], pod)
    return made


_READINESS = ("initialDelaySeconds", "periodSeconds", "failureThreshold")


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


def _variables(variables: list[Object], pod: Object) -> list[Object]:
    metadata, containers = pod["metadata"], pod["spec"]["containers"]
    values = {
        "PROXY_CONFIG": f"{proxy_config_as_json(metadata.get('annotations') or {})}\n",
        "ISTIO_META_POD_PORTS": _pod_ports(containers),
        "ISTIO_META_APP_CONTAINERS": ",".join(one["name"] for one in containers if one["name"] != CONTAINER),
        "ISTIO_META_WORKLOAD_NAME": workload_name(pod),
        "ISTIO_META_OWNER": workload_of(pod).owner(metadata["namespace"]),
    }
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


@cache
def _templates() -> Object:
    text = (resources.files(__package__) / "data" / "injection.yaml").read_text(encoding="utf-8")
    templates: Object = yaml.safe_load(text)
    return templates

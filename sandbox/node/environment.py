"""What a container is given: environment variables and the content of its volumes, from the API's objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sandbox.core.cluster import Cluster, Object
from sandbox.core.quantities import divided
from sandbox.images.container_files import Content, Files
from sandbox.images.program import expand

NODE_CPU, NODE_MEMORY = "2", "7Gi"
"""What a container may use when it has no limit: a node's capacity."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotConfigured(Exception):
    """Something the container refers to is not there (yet)."""


def environment(cluster: Cluster, pod: Object, container: Object, ip: str, host_ip: str) -> dict[str, str]:
    """Raises NotConfigured."""
    env = {"PATH": _PATH, "HOSTNAME": pod["metadata"]["name"]}
    if container.get("tty"):
        env["TERM"] = "xterm"
    env |= _service_links(cluster, pod)
    for source in container.get("envFrom") or ():
        for kind, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if reference := source.get(kind):
                data = _data(cluster, pod, resource, reference["name"], bool(reference.get("optional")))
                env |= {
                    source.get("prefix", "") + name: value.decode(errors="replace") for name, value in data.items()
                }
    for variable in container.get("env") or ():
        value = _value(cluster, pod, container, variable, env, ip, host_ip)
        if value is not None:
            env[variable["name"]] = value
    return env


def _service_links(cluster: Cluster, pod: Object) -> dict[str, str]:
    links: dict[str, str] = {}
    services = [cluster.find("services", "default", "kubernetes")]
    if pod["spec"].get("enableServiceLinks", True):
        services += cluster.list("services", pod["metadata"]["namespace"])
    for service in services:
        address = service["spec"].get("clusterIP") if service else None
        if service is None or address in (None, "", "None"):
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        ports = service["spec"].get("ports") or []
        links[f"{name}_SERVICE_HOST"] = address
        for index, port in enumerate(ports):
            protocol, number = port.get("protocol", "TCP"), str(port["port"])
            prefix = f"{name}_PORT_{number}_{protocol}"
            url = f"{protocol.lower()}://{address}:{number}"
            if index == 0:
                links |= {f"{name}_SERVICE_PORT": number, f"{name}_PORT": url}
            if port.get("name"):
                links[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = number
            links |= {
                prefix: url,
                f"{prefix}_PROTO": protocol.lower(),
                f"{prefix}_PORT": number,
                f"{prefix}_ADDR": address,
            }
    return links


def _value(
    cluster: Cluster,
    pod: Object,
    container: Object,
    variable: Object,
    env: Mapping[str, str],
    ip: str,
    host_ip: str,
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value") or "", env)
    if reference := source.get("fieldRef"):
        return field(pod, reference["fieldPath"], ip, host_ip)
    if reference := source.get("resourceFieldRef"):
        return resource_field(pod, reference, container)
    for kind, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if reference := source.get(kind):
            optional = bool(reference.get("optional"))
            data = _data(cluster, pod, resource, reference["name"], optional)
            if reference["key"] in data:
                return data[reference["key"]].decode(errors="replace")
            if not optional:
                where = f"{resource.rstrip('s').capitalize()} {pod['metadata']['namespace']}/{reference['name']}"
                raise NotConfigured(f"couldn't find key {reference['key']} in {where}")
    return None


def field(pod: Object, path: str, ip: str, host_ip: str) -> str:
    """The downward API's value of a field of the pod."""
    metadata, spec = pod["metadata"], pod["spec"]
    if path.endswith("']"):
        name, _, key = path[:-2].partition("['")
        return str((metadata.get(name.removeprefix("metadata.")) or {}).get(key, ""))
    if path in ("metadata.labels", "metadata.annotations"):
        values = metadata.get(path.removeprefix("metadata.")) or {}
        return "".join(f'{key}="{value}"\n' for key, value in sorted(values.items()))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": ip,
        "status.podIPs": ip,
    }
    if path not in values:
        raise NotConfigured(f"unsupported fieldPath: {path}")
    return str(values[path])


def resource_field(pod: Object, reference: Object, container: Object | None) -> str:
    """The value of `resource: limits.cpu` and the like, in units of its divisor."""
    if name := reference.get("containerName"):
        every = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        container = next((one for one in every if one["name"] == name), None)
    kind, _, what = reference["resource"].partition(".")
    amounts = ((container or {}).get("resources") or {}).get(kind) or {}
    default = {"cpu": NODE_CPU, "memory": NODE_MEMORY}.get(what, "0") if kind == "limits" else "0"
    return str(divided(amounts.get(what, default), str(reference.get("divisor") or "1")))


def _data(cluster: Cluster, pod: Object, resource: str, name: str, optional: bool) -> dict[str, bytes]:
    found = cluster.find(resource, pod["metadata"]["namespace"], name)
    if found is None:
        if optional:
            return {}
        raise NotConfigured(f'{resource.rstrip("s")} "{name}" not found')
    plain = {} if resource == "secrets" else {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
    binary = found.get("data" if resource == "secrets" else "binaryData") or {}
    return plain | {key: base64.b64decode(value) for key, value in binary.items()}


def volumes(cluster: Cluster, pod: Object, ip: str, host_ip: str) -> dict[str, Content]:
    """The content of the pod's volumes by name. Raises NotConfigured."""
    return {
        volume["name"]: _content(cluster, pod, volume, ip, host_ip) for volume in pod["spec"].get("volumes") or ()
    }


def _content(cluster: Cluster, pod: Object, source: Object, ip: str, host_ip: str) -> Content:
    for kind, resource in (("configMap", "configmaps"), ("secret", "secrets")):
        if (reference := source.get(kind)) is not None:
            name = reference.get("secretName") or reference.get("name", "")
            data = _data(cluster, pod, resource, name, bool(reference.get("optional")))
            items = reference.get("items")
            return {item["path"]: data[item["key"]] for item in items if item["key"] in data} if items else data
    if (projected := source.get("projected")) is not None:
        content: Content = {}
        for part in projected.get("sources") or ():
            content |= _content(cluster, pod, part, ip, host_ip)
        return content
    if (downward := source.get("downwardAPI")) is not None:
        return {item["path"]: _downward(pod, item, ip, host_ip).encode() for item in downward.get("items") or ()}
    if (token := source.get("serviceAccountToken")) is not None:
        account = pod["spec"].get("serviceAccountName", "default")
        return {token["path"]: f"sandbox:{pod['metadata']['namespace']}:{account}".encode()}
    return {}


def _downward(pod: Object, item: Mapping[str, Any], ip: str, host_ip: str) -> str:
    if reference := item.get("fieldRef"):
        return field(pod, reference["fieldPath"], ip, host_ip)
    return resource_field(pod, item["resourceFieldRef"], None)


def files(pod: Object, container: Object, content: Mapping[str, Content], ip: str) -> Files:
    """The container's files: its volumes, and the few every container has."""
    name = pod["metadata"]["name"]
    seen = Files()
    domain = f"{pod['metadata']['namespace']}.svc.cluster.local svc.cluster.local cluster.local"
    seen.write("/etc/hostname", f"{name}\n".encode())
    seen.write("/etc/hosts", f"127.0.0.1\tlocalhost\n{ip}\t{name}\n".encode())
    seen.write("/etc/resolv.conf", f"search {domain}\noptions ndots:5\n".encode())
    for mount in container.get("volumeMounts") or ():
        volume = content.get(mount["name"], {})
        path, part = mount["mountPath"], mount.get("subPath", "")
        if part in volume:
            seen.write(path, volume[part])
        else:
            inside = {key[len(part) + 1 :]: data for key, data in volume.items() if key.startswith(f"{part}/")}
            seen.mount(path, inside if part else volume, read_only=bool(mount.get("readOnly")))
    return seen

"""What a container is given: environment variables and the content of its volumes, from the API's objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sandbox.core.cluster import Cluster, Object
from sandbox.core.quantities import divided
from sandbox.images.container_files import Content, Files
from sandbox.images.program import expand

NODE_CPU, NODE_MEMORY = "2", "7Gi"
"""What a container may use when it has no limit: a node's capacity."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FILLED = {"configMap", "secret", "projected", "downwardAPI"}


class NotConfigured(Exception):
    """Something the container refers to is not there (yet)."""


@lru_cache(maxsize=8192)
def _links_to(service: str, address: str, ports: tuple[tuple[str, int, str | None], ...]) -> dict[str, str]:
    """The variables that tell pods of a service: the same texts for all of them."""
    name = service.upper().replace("-", "_")
    links = {f"{name}_SERVICE_HOST": address}
    for index, (protocol, port, port_name) in enumerate(ports):
        number = str(port)
        prefix = f"{name}_PORT_{number}_{protocol}"
        url = f"{protocol.lower()}://{address}:{number}"
        if index == 0:
            links |= {f"{name}_SERVICE_PORT": number, f"{name}_PORT": url}
        if port_name:
            links[f"{name}_SERVICE_PORT_{port_name.upper().replace('-', '_')}"] = number
        links |= {
            prefix: url,
            f"{prefix}_PROTO": protocol.lower(),
            f"{prefix}_PORT": number,
            f"{prefix}_ADDR": address,
        }
    return links


@dataclass(frozen=True, slots=True)
class Environment:
    """Of one pod's containers."""

    cluster: Cluster
    pod: Object
    ip: str
    host_ip: str

    @property
    def _namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    def variables(self, container: Object) -> dict[str, str]:
        """Raises NotConfigured."""
        env = {"PATH": _PATH, "HOSTNAME": self.pod["metadata"]["name"]}
        if container.get("tty"):
            env["TERM"] = "xterm"
        env |= self._service_links()
        for source in container.get("envFrom") or ():
            for kind, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
                if reference := source.get(kind):
                    data = self._data(resource, reference["name"], bool(reference.get("optional")))
                    prefix = source.get("prefix", "")
                    env |= {prefix + name: value.decode(errors="replace") for name, value in data.items()}
        for variable in container.get("env") or ():
            value = self._value(container, variable, env)
            if value is not None:
                env[variable["name"]] = value
        return env

    def _service_links(self) -> dict[str, str]:
        links: dict[str, str] = {}
        services = [self.cluster.find("services", "default", "kubernetes")]
        if self.pod["spec"].get("enableServiceLinks", True):
            services += self.cluster.list("services", self._namespace)
        for service in services:
            address = service["spec"].get("clusterIP") if service else None
            if service is not None and address not in (None, "", "None"):
                ports = tuple(
                    (port.get("protocol", "TCP"), port["port"], port.get("name"))
                    for port in service["spec"].get("ports") or []
                )
                links |= _links_to(service["metadata"]["name"], address, ports)
        return links

    def _value(self, container: Object, variable: Object, env: Mapping[str, str]) -> str | None:
        source = variable.get("valueFrom")
        if not source:
            return expand(variable.get("value") or "", env)
        if source.get("fieldRef") or source.get("resourceFieldRef"):
            return self._downward(source, container)
        for kind, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if reference := source.get(kind):
                optional = bool(reference.get("optional"))
                data = self._data(resource, reference["name"], optional)
                if reference["key"] in data:
                    return data[reference["key"]].decode(errors="replace")
                if not optional:
                    where = f"{resource.rstrip('s').capitalize()} {self._namespace}/{reference['name']}"
                    raise NotConfigured(f"couldn't find key {reference['key']} in {where}")
        return None

    # The downward API.

    def _downward(self, source: Object, container: Object | None) -> str:
        if reference := source.get("fieldRef"):
            return self._field(reference["fieldPath"])
        return self._resource(source["resourceFieldRef"], container)

    def _field(self, path: str) -> str:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
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
            "status.hostIP": self.host_ip,
            "status.hostIPs": self.host_ip,
            "status.podIP": self.ip,
            "status.podIPs": self.ip,
        }
        if path not in values:
            raise NotConfigured(f"unsupported fieldPath: {path}")
        return str(values[path])

    def _resource(self, reference: Object, container: Object | None) -> str:
        """The value of `resource: limits.cpu` and the like, in units of its divisor."""
        if name := reference.get("containerName"):
            every = [*(self.pod["spec"].get("initContainers") or ()), *self.pod["spec"]["containers"]]
            container = next((one for one in every if one["name"] == name), None)
        kind, _, what = reference["resource"].partition(".")
        amounts = ((container or {}).get("resources") or {}).get(kind) or {}
        default = {"cpu": NODE_CPU, "memory": NODE_MEMORY}.get(what, "0") if kind == "limits" else "0"
        return str(divided(amounts.get(what, default), str(reference.get("divisor") or "1")))

    def _data(self, resource: str, name: str, optional: bool) -> dict[str, bytes]:
        found = self.cluster.find(resource, self._namespace, name)
        if found is None:
            if optional:
                return {}
            raise NotConfigured(f'{resource.rstrip("s")} "{name}" not found')
        plain = {} if resource == "secrets" else {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
        binary = found.get("data" if resource == "secrets" else "binaryData") or {}
        return plain | {key: base64.b64decode(value) for key, value in binary.items()}

    # Volumes.

    def volumes(self) -> dict[str, Content]:
        """The content of the pod's volumes by name. Raises NotConfigured."""
        return {volume["name"]: self._content(volume) for volume in self.pod["spec"].get("volumes") or ()}

    def filled(self, volume: Object) -> Content | None:
        """The content of one that is filled from objects; None of another. Raises NotConfigured."""
        return self._content(volume) if _FILLED & volume.keys() else None

    def _content(self, source: Object) -> Content:
        for kind, resource in (("configMap", "configmaps"), ("secret", "secrets")):
            if (reference := source.get(kind)) is not None:
                name = reference.get("secretName") or reference.get("name", "")
                data = self._data(resource, name, bool(reference.get("optional")))
                items = reference.get("items")
                return {item["path"]: data[item["key"]] for item in items if item["key"] in data} if items else data
        if (projected := source.get("projected")) is not None:
            content: Content = {}
            for part in projected.get("sources") or ():
                content |= self._content(part)
            return content
        if (downward := source.get("downwardAPI")) is not None:
            return {item["path"]: self._downward(item, None).encode() for item in downward.get("items") or ()}
        if (token := source.get("serviceAccountToken")) is not None:
            account = self.pod["spec"].get("serviceAccountName", "default")
            return {token["path"]: f"sandbox:{self._namespace}:{account}".encode()}
        return {}

    def files(self, container: Object, volumes: Mapping[str, Content]) -> Files:
        """The container's files: the volumes, and the few every container has."""
        name = self.pod["metadata"]["name"]
        files = Files()
        domain = f"{self._namespace}.svc.cluster.local svc.cluster.local cluster.local"
        files.write("/etc/hostname", f"{name}\n".encode())
        files.write("/etc/hosts", f"127.0.0.1\tlocalhost\n{self.ip}\t{name}\n".encode())
        files.write("/etc/resolv.conf", f"search {domain}\noptions ndots:5\n".encode())
        for mount in container.get("volumeMounts") or ():
            volume = volumes.get(mount["name"], {})
            path, part = mount["mountPath"], mount.get("subPath", "")
            if part in volume:
                files.write(path, volume[part])
            else:
                inside = {key[len(part) + 1 :]: data for key, data in volume.items() if key.startswith(f"{part}/")}
                files.mount(path, inside if part else volume, read_only=bool(mount.get("readOnly")))
        return files

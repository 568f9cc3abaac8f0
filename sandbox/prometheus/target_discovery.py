"""What Kubernetes knows of those who may be asked: a mapping of labels for each, as Prometheus makes them
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config).

`pod`: each port that a container says. `service`: each port, at the service's name. `endpoints`: each port of each
address behind a service, with what is known of the service and of the pod, and that pod's other ports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

Object = Mapping[str, Any]
Look = Callable[[str], Iterable[Object]]
"""The objects of a resource ("pods"), as the API has them; never changed in place."""
Found = dict[str, str]

ADDRESS = "__address__"
_NO_SERVICE: Object = {}
_META = "__meta_kubernetes_"
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)


def discovered(role: str, look: Look) -> Iterator[tuple[tuple[Object, ...], Callable[[], Iterator[Found]]]]:
    """The objects that something is made of, and what makes it."""
    if role == "pod":
        yield from (((pod,), partial(of_pod, pod)) for pod in look("pods"))
    elif role == "service":
        yield from (((service,), partial(of_service, service)) for service in look("services"))
    elif role == "endpoints":
        services, pods = _by_name(look("services")), _by_name(look("pods"))
        for endpoints in look("endpoints"):
            service = services.get(_key(endpoints), _NO_SERVICE)
            behind = [pods[key] for key in _pods_of(endpoints) if key in pods]
            yield (endpoints, service, *behind), partial(of_endpoints, endpoints, service, behind)


ROLES = ("pod", "service", "endpoints")


def of_pod(pod: Object) -> Iterator[Found]:
    """Of a container that says no port, the pod's address alone."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        return
    known = _of_pod(pod)
    for container, of_container in _containers(pod):
        ports: Iterable[Object] = container.get("ports") or ({},)
        for port in ports:
            at = _at(address, port.get("containerPort"))
            yield {**known, **of_container, **_container_port(port), ADDRESS: at}


def of_service(service: Object) -> Iterator[Found]:
    known = _of_service(service)
    metadata = service["metadata"]
    for port in service["spec"].get("ports") or ():
        of_port = {
            "service_port_name": port.get("name", ""),
            "service_port_number": str(port["port"]),
            "service_port_protocol": port.get("protocol", "TCP"),
        }
        host = f"{metadata['name']}.{metadata['namespace']}.svc"
        yield {**known, **_labels(of_port), ADDRESS: _at(host, port["port"])}


def of_endpoints(endpoints: Object, service: Object, pods: Iterable[Object]) -> Iterator[Found]:
    metadata, there = endpoints["metadata"], _by_name(pods)
    of_all = {
        **_labels({"namespace": metadata["namespace"], "endpoints_name": metadata["name"]}),
        **_labels(_own(metadata, "labels", "endpoints_label")),
        **(_of_service(service) if service else {}),
    }
    seen: dict[tuple[str, str], set[int]] = {key: set() for key in there}
    for subset in endpoints.get("subsets") or ():
        for kind, ready in (("addresses", "true"), ("notReadyAddresses", "false")):
            for address in subset.get(kind) or ():
                target = address.get("targetRef") or {}
                key = (target.get("namespace", ""), target.get("name", ""))
                pod = there.get(key) if target.get("kind") == "Pod" else None
                for port in subset.get("ports") or ():
                    if pod is not None:
                        seen[key].add(port["port"])
                    of_port = {
                        "endpoint_ready": ready,
                        "endpoint_port_name": port.get("name", ""),
                        "endpoint_port_protocol": port.get("protocol", "TCP"),
                        "endpoint_node_name": address.get("nodeName", ""),
                        "endpoint_address_target_kind": target.get("kind", ""),
                        "endpoint_address_target_name": target.get("name", ""),
                    }
                    of_container = _container_of(pod, port["port"]) if pod is not None else {}
                    of_its_pod = _of_pod(pod) if pod is not None else {}
                    found = {**of_all, **_labels(of_port), **of_its_pod, **of_container}
                    yield {**found, ADDRESS: _at(address["ip"], port["port"])}
    for key, pod in there.items():
        for container, of_container in _containers(pod):
            for port in container.get("ports") or ():
                if port["containerPort"] not in seen[key]:
                    at = _at(pod["status"]["podIP"], port["containerPort"])
                    yield {**of_all, **_of_pod(pod), **of_container, **_container_port(port), ADDRESS: at}


def _of_pod(pod: Object) -> Found:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
    owners: Iterable[Object] = metadata.get("ownerReferences") or ()
    owner = next((one for one in owners if one.get("controller")), {})
    known = {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_uid": metadata["uid"],
        "pod_ip": status.get("podIP", ""),
        "pod_host_ip": status.get("hostIP", ""),
        "pod_node_name": spec.get("nodeName", ""),
        "pod_phase": status.get("phase", ""),
        "pod_ready": ready[0].lower() if ready else "unknown",
        "pod_controller_kind": owner.get("kind", ""),
        "pod_controller_name": owner.get("name", ""),
    }
    return _labels(
        {**known, **_own(metadata, "labels", "pod_label"), **_own(metadata, "annotations", "pod_annotation")}
    )


def _of_service(service: Object) -> Found:
    metadata, spec = service["metadata"], service["spec"]
    known = {
        "namespace": metadata["namespace"],
        "service_name": metadata["name"],
        "service_type": spec.get("type", "ClusterIP"),
        "service_cluster_ip": spec.get("clusterIP", ""),
        "service_loadbalancer_ip": spec.get("loadBalancerIP", ""),
    }
    own = {**_own(metadata, "labels", "service_label"), **_own(metadata, "annotations", "service_annotation")}
    return _labels({**known, **own})


def _own(metadata: Object, field: str, prefix: str) -> Found:
    """Labels or annotations, and that they are there."""
    found: Found = {}
    for name, value in (metadata.get(field) or {}).items():
        sound = _NO_LABEL.sub("_", name)
        found |= {f"{prefix}_{sound}": value, f"{prefix}present_{sound}": "true"}
    return found


def _containers(pod: Object) -> Iterator[tuple[Object, Found]]:
    for kind, init in (("containers", "false"), ("initContainers", "true")):
        for container in (pod.get("spec") or {}).get(kind) or ():
            known = {"name": container.get("name", ""), "image": container.get("image", ""), "init": init}
            yield container, _labels({f"pod_container_{name}": value for name, value in known.items()})


def _container_of(pod: Object, number: int) -> Found:
    """What is known of the one that says this port."""
    for container, of_container in _containers(pod):
        for port in container.get("ports") or ():
            if port["containerPort"] == number:
                return {**of_container, **_container_port(port)}
    return {}


def _container_port(port: Object) -> Found:
    if "containerPort" not in port:
        return {}
    known = {
        "number": str(port["containerPort"]),
        "name": port.get("name", ""),
        "protocol": port.get("protocol", "TCP"),
    }
    return _labels({f"pod_container_port_{name}": value for name, value in known.items()})


def _labels(known: Found) -> Found:
    return {f"{_META}{name}": value for name, value in known.items() if value}


def _at(host: str, port: int | None) -> str:
    return f"{host}:{port}" if port else host


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _by_name(objects: Iterable[Object]) -> dict[tuple[str, str], Object]:
    return {_key(obj): obj for obj in objects}


def _pods_of(endpoints: Object) -> Iterator[tuple[str, str]]:
    for subset in endpoints.get("subsets") or ():
        for address in (*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())):
            if (target := address.get("targetRef") or {}).get("kind") == "Pod":
                yield target.get("namespace", ""), target.get("name", "")

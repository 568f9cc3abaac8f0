"""Rules of a pod's spec: containers, their ports, environment, probes and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, duplicate, forbidden, required, show, unsupported
from sandbox.schema.selector_rules import labels

_VARIABLE_SOURCES = ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_HANDLERS = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
"""Of a single container, since Kubernetes 1.35 also of one that is no sidecar (KEP-5307)."""
_SUFFIXES = {
    **{"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal("1e3")},
    **{"M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18")},
    **{f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")},
}


def containers(spec: Object, path: str) -> Iterator[Cause]:
    """Findings on a pod's spec at `path`."""
    volumes = list(spec.get("volumes") or ())
    known = {volume.get("name") for volume in volumes}
    yield from _volumes(volumes, f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    seen: set[str] = set()
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind) or ()):
            place = f"{path}.{kind}[{i}]"
            yield from _container(container, place, known)
            policy = container.get("restartPolicy")
            if policy is not None and policy not in _RESTART_POLICIES:
                yield unsupported(f"{place}.restartPolicy", policy, _RESTART_POLICIES)
            if kind == "initContainers" and policy != "Always":
                yield from _only_for_sidecars(container, place)
            name = container.get("name", "")
            if name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        yield bad_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")
    yield from labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    if (account := spec.get("serviceAccountName")) and (wrong := names.subdomain(account)):
        yield bad_value(f"{path}.serviceAccountName", account, wrong)
    for key in ("hostname", "subdomain"):
        if (value := spec.get(key)) and (wrong := names.label(value)):
            yield bad_value(f"{path}.{key}", value, wrong)


def _volumes(volumes: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for i, volume in enumerate(volumes):
        name = volume.get("name", "")
        if wrong := names.label(name):
            yield bad_value(f"{path}[{i}].name", name, wrong)
        if name in seen:
            yield duplicate(f"{path}[{i}].name", name)
        seen.add(name)
        sources = sorted(key for key in volume if key != "name")
        if len(sources) > 1:
            yield forbidden(f"{path}[{i}].{sources[1]}", "may not specify more than 1 volume type")


def _container(container: Object, path: str, volumes: set[Any]) -> Iterator[Cause]:
    if wrong := names.label(container.get("name", "")):
        yield bad_value(f"{path}.name", container.get("name", ""), wrong)
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from _ports(container.get("ports") or (), f"{path}.ports")
    yield from _environment(container, path)
    mounted: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        place = f"{path}.volumeMounts[{i}]"
        if mount.get("name") not in volumes:
            yield Cause(f"{place}.name", "FieldValueNotFound", f"Not found: {show(mount.get('name'))}")
        if mount.get("mountPath") in mounted:
            yield bad_value(f"{place}.mountPath", mount["mountPath"], "must be unique")
        mounted.add(mount.get("mountPath", ""))
    for kind in _PROBES:
        if kind in container:
            yield from _probe(container[kind], f"{path}.{kind}", once=kind != "readinessProbe")
    for event, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield from _handler(handler, f"{path}.lifecycle.{event}")
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _only_for_sidecars(container: Object, path: str) -> Iterator[Cause]:
    for field in ("lifecycle", *_PROBES):
        if container.get(field) is not None:
            detail = "may not be set for init containers without restartPolicy=Always"
            yield forbidden(f"{path}.{field}", detail)


def _ports(ports: Any, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        place = f"{path}[{i}]"
        if name := port.get("name"):
            if wrong := names.port_name(name):
                yield bad_value(f"{place}.name", name, wrong)
            elif name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
        if not port.get("containerPort"):
            yield required(f"{place}.containerPort")
        elif wrong := names.port_number(port["containerPort"]):
            yield bad_value(f"{place}.containerPort", port["containerPort"], wrong)
        if port.get("hostPort") and (wrong := names.port_number(port["hostPort"])):
            yield bad_value(f"{place}.hostPort", port["hostPort"], wrong)


def _environment(container: Object, path: str) -> Iterator[Cause]:
    for i, variable in enumerate(container.get("env") or ()):
        place = f"{path}.env[{i}]"
        if wrong := names.variable(variable.get("name", "")):
            yield bad_value(f"{place}.name", variable.get("name", ""), wrong)
        source = variable.get("valueFrom")
        if source is None:
            continue
        found = [kind for kind in _VARIABLE_SOURCES if kind in source]
        if not found:
            detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            yield bad_value(f"{place}.valueFrom", "", detail)
        elif variable.get("value"):
            yield bad_value(f"{place}.valueFrom", "", "may not be specified when `value` is not empty")
        elif len(found) > 1:
            yield bad_value(f"{place}.valueFrom", "", "may not have more than one field specified at a time")
        field = (source.get("fieldRef") or {}).get("fieldPath", "metadata.name")
        if field not in _FIELDS and not field.startswith(("metadata.labels['", "metadata.annotations['")):
            detail = "error converting fieldPath: field label not supported"
            yield bad_value(f"{place}.valueFrom.fieldRef.fieldPath", field, detail)
    for i, source in enumerate(container.get("envFrom") or ()):
        if not ("configMapRef" in source) ^ ("secretRef" in source):
            detail = "must specify one of: `configMapRef` or `secretRef`"
            yield bad_value(f"{path}.envFrom[{i}]", "", detail)


def _probe(probe: Object, path: str, *, once: bool) -> Iterator[Cause]:
    yield from _handler(probe, path)
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        if (probe.get(key) or 0) < 0:
            yield bad_value(f"{path}.{key}", probe[key], "must be greater than or equal to 0")
    if once and probe.get("successThreshold", 1) != 1:
        yield bad_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Object, path: str) -> Iterator[Cause]:
    found = [kind for kind in _HANDLERS if kind in handler]
    if not found:
        yield required(path, "must specify a handler type")
    for kind in found[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    for kind in ("httpGet", "tcpSocket"):
        if kind in found and (wrong := names.port_number_or_name(handler[kind].get("port"))):
            yield bad_value(f"{path}.{kind}.port", handler[kind].get("port"), wrong)


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if name not in ("cpu", "memory", "ephemeral-storage") and "/" not in name and "hugepages-" not in name:
                yield bad_value(f"{path}.{kind}", name, "must be a standard resource for containers")
            if quantity(amount) < 0:
                yield bad_value(f"{path}.{kind}.{name}", amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        if name in limits and quantity(amount) > quantity(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            yield bad_value(f"{path}.requests", str(amount), detail)


def quantity(value: Any) -> Decimal:
    """An amount in its base unit: cores, bytes."""
    text = str(value)
    for suffix in (text[-2:], text[-1:]):
        if suffix in _SUFFIXES:
            return Decimal(text[: -len(suffix)]) * _SUFFIXES[suffix]
    return Decimal(text)

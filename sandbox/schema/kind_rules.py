"""Rules of built-in kinds beyond their shape: workloads and their pods, services, configuration, access."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from sandbox.core import quantities
from sandbox.core.cluster import Object
from sandbox.core.label_selectors import matches
from sandbox.schema import names
from sandbox.schema.findings import (
    Cause,
    bad_value,
    forbidden,
    not_negative,
    required,
    show,
    too_long,
    unique,
    unsupported,
    well_formed,
)
from sandbox.schema.names import labels, selector

_VARIABLE_SOURCES = ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_HANDLERS = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
"""Of a single container, since Kubernetes 1.35 also of one that is no sidecar (KEP-5307)."""
_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_LIMIT = 1024 * 1024
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_RBAC = "rbac.authorization.k8s.io"


# Workloads and pods


def pod(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from containers(obj["spec"], "spec")
    if old is not None:
        yield from _pod_change(obj["spec"], old["spec"])


def _pod_change(new: Object, old: Object) -> Iterator[Cause]:
    if new == old:
        return
    for kind in ("containers", "initContainers"):
        if len(new.get(kind) or ()) != len(old.get(kind) or ()):
            yield forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    added = [each for each in old.get("tolerations") or () if each not in (new.get("tolerations") or ())]
    if added:
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    changed = sorted(
        key
        for key in {**new, **old}
        if _fixed(key, new.get(key)) != _fixed(key, old.get(key))
        and not (key == "nodeName" and not old.get(key))  # binding it to a node
    )
    if changed:
        what = ", ".join(f"spec.{key}" for key in changed)
        yield forbidden("spec", f"pod updates may not change fields other than {_MAY_CHANGE}\nchanged: {what}\n")


def _fixed(key: str, value: Any) -> Any:
    """The part of a pod's field that may not change."""
    if key in ("containers", "initContainers"):
        return [{inner: each[inner] for inner in each if inner != "image"} for each in value or ()]
    return None if key in ("tolerations", "activeDeadlineSeconds") else value


def deployment(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    yield from _replicated(spec, old)
    yield from _strategy(spec.get("strategy") or {})
    yield from not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield bad_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def replica_set(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _replicated(obj["spec"], old)
    yield from not_negative(obj["spec"], "spec", "minReadySeconds")


def _replicated(spec: Object, old: Object | None) -> Iterator[Cause]:
    """Replicas of a pod template that a selector finds again."""
    yield from not_negative(spec, "spec", "replicas")
    found = spec["selector"]
    wrong = list(selector(found, "spec.selector"))
    yield from wrong
    if not found.get("matchLabels") and not found.get("matchExpressions"):
        yield bad_value("spec.selector", found, "empty selector is invalid for deployment")
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    given = metadata.get("labels") or {}
    if not wrong and not matches(found, given):
        yield bad_value("spec.template.metadata.labels", given, "`selector` does not match template `labels`")
    yield from labels(given, "spec.template.metadata.labels")
    yield from names.annotation_keys(metadata.get("annotations") or {}, "spec.template.metadata.annotations")
    pods = template.get("spec")
    if pods is None:
        yield required("spec.template.spec.containers")
    else:
        yield from containers(pods, "spec.template.spec")
        if pods.get("restartPolicy") != "Always":
            yield unsupported("spec.template.spec.restartPolicy", pods.get("restartPolicy"), ["Always"])
        if "activeDeadlineSeconds" in pods:
            detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
            yield forbidden("spec.template.spec.activeDeadlineSeconds", detail)
    if old is not None and old["spec"].get("selector") != found:
        yield bad_value("spec.selector", found, "field is immutable")


def _strategy(strategy: Object) -> Iterator[Cause]:
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden("spec.strategy.rollingUpdate", detail)
        return
    path = "spec.strategy.rollingUpdate"
    amounts = {key: (rolling or {}).get(key, "25%") for key in ("maxUnavailable", "maxSurge")}
    for key, value in amounts.items():
        if wrong := names.count_or_percent(value):
            yield bad_value(f"{path}.{key}", value, wrong)
            return
    if all(int(str(value).rstrip("%")) == 0 for value in amounts.values()):
        detail = "may not be 0 when `maxSurge` is 0"
        yield bad_value(f"{path}.maxUnavailable", amounts["maxUnavailable"], detail)
    yield from _at_most_all(amounts["maxUnavailable"], f"{path}.maxUnavailable")


def _at_most_all(value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and re.fullmatch(r"\d+%", value) and int(value[:-1]) > 100:
        yield bad_value(path, value, "must not be greater than 100%")


def autoscaler(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if least < 1:
        yield bad_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield bad_value("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield bad_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for i, metric in enumerate(spec.get("metrics") or ()):
        kind = metric.get("type", "")
        source = kind[:1].lower() + kind[1:]
        if source not in metric:
            detail = f"must populate information for {source} metric source type"
            yield required(f"spec.metrics[{i}].{source}", detail)


def disruption_budget(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield bad_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for key in ("minAvailable", "maxUnavailable"):
        if key in spec:
            yield from well_formed(f"spec.{key}", spec[key], names.count_or_percent)
            yield from _at_most_all(spec[key], f"spec.{key}")
    yield from selector(spec.get("selector") or {}, "spec.selector")


def containers(spec: Object, path: str) -> Iterator[Cause]:
    """Findings on a pod's spec at `path`."""
    volumes = list(spec.get("volumes") or ())
    known = {volume.get("name") for volume in volumes}
    yield from _volumes(volumes, f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    found: list[tuple[str, Any]] = []
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind) or ()):
            place = f"{path}.{kind}[{i}]"
            found.append((f"{place}.name", container.get("name", "")))
            yield from _container(container, place, known)
            policy = container.get("restartPolicy")
            if policy is not None and policy not in _RESTART_POLICIES:
                yield unsupported(f"{place}.restartPolicy", policy, _RESTART_POLICIES)
            if kind == "initContainers" and policy != "Always":
                yield from _only_for_sidecars(container, place)
    yield from unique(found)
    yield from not_negative(spec, path, "terminationGracePeriodSeconds")
    yield from labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    if account := spec.get("serviceAccountName"):
        yield from well_formed(f"{path}.serviceAccountName", account, names.subdomain)
    for key in ("hostname", "subdomain"):
        if value := spec.get(key):
            yield from well_formed(f"{path}.{key}", value, names.label)


def _volumes(volumes: list[Object], path: str) -> Iterator[Cause]:
    yield from unique((f"{path}[{i}].name", volume.get("name", "")) for i, volume in enumerate(volumes))
    for i, volume in enumerate(volumes):
        yield from well_formed(f"{path}[{i}].name", volume.get("name", ""), names.label)
        sources = sorted(key for key in volume if key != "name")
        if len(sources) > 1:
            yield forbidden(f"{path}[{i}].{sources[1]}", "may not specify more than 1 volume type")


def _container(container: Object, path: str, volumes: set[Any]) -> Iterator[Cause]:
    yield from well_formed(f"{path}.name", container.get("name", ""), names.label)
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from _container_ports(container.get("ports") or (), f"{path}.ports")
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


def _container_ports(ports: Any, path: str) -> Iterator[Cause]:
    yield from unique((f"{path}[{i}].name", port.get("name") or None) for i, port in enumerate(ports))
    for i, port in enumerate(ports):
        place = f"{path}[{i}]"
        if name := port.get("name"):
            yield from well_formed(f"{place}.name", name, names.port_name)
        if not port.get("containerPort"):
            yield required(f"{place}.containerPort")
        for key in ("containerPort", "hostPort"):
            if port.get(key):
                yield from well_formed(f"{place}.{key}", port[key], names.port_number)


def _environment(container: Object, path: str) -> Iterator[Cause]:
    for i, variable in enumerate(container.get("env") or ()):
        place = f"{path}.env[{i}]"
        yield from well_formed(f"{place}.name", variable.get("name", ""), names.variable)
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
    yield from not_negative(
        probe, path, "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"
    )
    if once and probe.get("successThreshold", 1) != 1:
        yield bad_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Object, path: str) -> Iterator[Cause]:
    found = [kind for kind in _HANDLERS if kind in handler]
    if not found:
        yield required(path, "must specify a handler type")
    for kind in found[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    for kind in ("httpGet", "tcpSocket"):
        if kind in found:
            yield from well_formed(f"{path}.{kind}.port", handler[kind].get("port"), names.port_number_or_name)


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if name not in ("cpu", "memory", "ephemeral-storage") and "/" not in name and "hugepages-" not in name:
                yield bad_value(f"{path}.{kind}", name, "must be a standard resource for containers")
            if quantities.parse(amount) < 0:
                yield bad_value(f"{path}.{kind}.{name}", amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        if name in limits and quantities.parse(amount) > quantities.parse(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            yield bad_value(f"{path}.requests", str(amount), detail)


# Services, configuration, access


def service(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield bad_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        yield from _external_name(spec)
    yield from _service_ports(spec)
    yield from labels(spec.get("selector") or {}, "spec.selector")
    yield from _addresses(spec, old)
    yield from _only_for(spec, kind)


def _external_name(spec: Object) -> Iterator[Cause]:
    if spec.get("clusterIP") or spec.get("clusterIPs"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield required("spec.externalName")
    else:
        yield from well_formed("spec.externalName", name, names.subdomain)


def _service_ports(spec: Object) -> Iterator[Cause]:
    ports = spec.get("ports") or ()
    identities, node_ports = [], []
    for i, port in enumerate(ports):
        path, protocol = f"spec.ports[{i}]", port.get("protocol")
        identities.append((path, {"port": port.get("port"), "protocol": protocol}))
        if name := port.get("name"):
            yield from well_formed(f"{path}.name", name, names.label)
        elif len(ports) > 1:
            yield required(f"{path}.name")
        yield from well_formed(f"{path}.port", port.get("port"), names.port_number)
        yield from well_formed(f"{path}.targetPort", port.get("targetPort", 1), names.port_number_or_name)
        if application := port.get("appProtocol"):
            yield from well_formed(f"{path}.appProtocol", application, names.qualified_name)
        if node_port := port.get("nodePort"):
            node_ports.append((f"{path}.nodePort", {"nodePort": node_port, "protocol": protocol}))
            if spec.get("type") == "ClusterIP":
                yield forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
    yield from unique((f"spec.ports[{i}].name", port.get("name") or None) for i, port in enumerate(ports))
    yield from unique([*identities, *node_ports])


def _addresses(spec: Object, old: Object | None) -> Iterator[Cause]:
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if address and addresses and addresses[0] != address:
        yield bad_value("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    for i, each in enumerate(addresses or ([address] if address else ())):
        if each not in ("None", ""):
            yield from well_formed(f"spec.clusterIPs[{i}]", each, _ip_address)
    for i, each in enumerate(spec.get("externalIPs") or ()):
        yield from well_formed(f"spec.externalIPs[{i}]", each, _ip_address)
    if old is None or "ExternalName" in (spec.get("type"), (old.get("spec") or {}).get("type")):
        return
    before = old["spec"].get("clusterIP")
    if before and address != before:
        yield bad_value("spec.clusterIPs[0]", address, "may not change once set")


def _ip_address(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return None


def _only_for(spec: Object, kind: str | None) -> Iterator[Cause]:
    if kind != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges"):
            if spec.get(key) is not None:
                yield forbidden(f"spec.{key}", "may only be used when `type` is 'LoadBalancer'")
    outside = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if spec.get("externalTrafficPolicy") and not outside:
        detail = "may only be set for externally-accessible services"
        yield bad_value("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], detail)


def config_map(obj: Object, old: Object | None) -> Iterator[Cause]:
    text, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for kind, data in (("data", text), ("binaryData", binary)):
        for key in data:
            yield from well_formed(f"{kind}[{key}]", key, names.config_key)
    for key in text:
        if key in binary:
            yield bad_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    if sum(map(len, chain(text.values(), binary.values()))) > _LIMIT:
        yield too_long("", _LIMIT)
    yield from _immutable(obj, old, "data", "binaryData")


def secret(obj: Object, old: Object | None) -> Iterator[Cause]:
    data = obj.get("data") or {}
    for key in data:
        yield from well_formed(f"data[{key}]", key, names.config_key)
    if sum(map(len, data.values())) * 3 // 4 > _LIMIT:
        yield too_long("data", _LIMIT)
    for key in _NEEDED.get(obj.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")
    if old is not None and obj.get("type") != old.get("type"):
        yield bad_value("type", obj.get("type"), "field is immutable")
    yield from _immutable(obj, old, "data")


def _immutable(obj: Object, old: Object | None, *parts: str) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    detail = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        yield forbidden("immutable", detail)
    for part in parts:
        if (obj.get(part) or {}) != (old.get(part) or {}):
            yield forbidden(part, detail)


def role(obj: Object, old: Object | None) -> Iterator[Cause]:
    for i, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{i}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if urls := rule.get("nonResourceURLs"):
            field = f"{path}.nonResourceURLs"
            if obj.get("kind") == "Role":
                yield bad_value(field, urls, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                yield bad_value(field, urls, "rules cannot apply to both regular resources and non-resource URLs")
            continue
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def binding(obj: Object, old: Object | None) -> Iterator[Cause]:
    reference = obj["roleRef"]
    if reference.get("apiGroup") != _RBAC:
        yield unsupported("roleRef.apiGroup", reference.get("apiGroup"), [_RBAC])
    kinds = ["ClusterRole", "Role"] if obj.get("kind") == "RoleBinding" else ["ClusterRole"]
    if reference.get("kind") not in kinds:
        yield unsupported("roleRef.kind", reference.get("kind"), kinds)
    if old is not None and reference != old["roleRef"]:
        yield bad_value("roleRef", reference, "cannot change roleRef")
    for i, subject in enumerate(obj.get("subjects") or ()):
        path, kind = f"subjects[{i}]", subject.get("kind")
        if kind == "ServiceAccount":
            yield from well_formed(f"{path}.name", subject.get("name", ""), names.subdomain)
            if obj.get("kind") == "ClusterRoleBinding" and not subject.get("namespace"):
                yield required(f"{path}.namespace")
        elif kind not in ("User", "Group"):
            yield unsupported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"])


def webhooks(obj: Object, old: Object | None) -> Iterator[Cause]:
    configured = obj.get("webhooks") or ()
    yield from unique((f"webhooks[{i}].name", webhook["name"]) for i, webhook in enumerate(configured))
    for i, webhook in enumerate(configured):
        path, client = f"webhooks[{i}]", webhook["clientConfig"]
        yield from well_formed(f"{path}.name", webhook["name"], _webhook_name)
        if ("url" in client) == ("service" in client):
            yield required(f"{path}.clientConfig", "exactly one of url or service is required")
        if webhook["sideEffects"] not in ("None", "NoneOnDryRun"):
            yield unsupported(f"{path}.sideEffects", webhook["sideEffects"], ["None", "NoneOnDryRun"])
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            detail = "the timeout value must be between 1 and 30 seconds"
            yield bad_value(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], detail)
        for key in ("namespaceSelector", "objectSelector"):
            yield from selector(webhook.get(key) or {}, f"{path}.{key}")


def _webhook_name(name: str) -> str | None:
    few = "should be a domain with at least three segments separated by dots"
    return names.subdomain(name) or (few if name.count(".") < 2 else None)

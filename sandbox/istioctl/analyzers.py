"""The analyzers: each looks for some of Istio's numbered messages (IST0101, ...).

The real one has many more; README.md lists these. What of a file is no valid rule (IST0106) is found before them,
by `analyzed_files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from sandbox.core.cluster import Object
from sandbox.core.istio_exports import EVERYBODY, exported_to, exports
from sandbox.istioctl.cluster_status import has_proxy
from sandbox.mesh.istio import ISTIO_NAMESPACE, KUBERNETES_NAMESPACES, NAMESPACE_LABEL, POD_LABEL, REVISION_LABEL
from sandbox.mesh.registry import DOMAIN, protocol
from sandbox.mesh.rules import MESH, bound_gateways, covers, full_host, full_hosts
from sandbox.mesh.unreachable_rules import find_unreachable

_SYSTEM = (ISTIO_NAMESPACE, *KUBERNETES_NAMESPACES)


class Resources:
    def __init__(self, objects: Iterable[Object]) -> None:
        self._by_kind: dict[str, list[Object]] = {}
        for obj in objects:
            self._by_kind.setdefault(obj["kind"], []).append(obj)

    def of(self, kind: str) -> list[Object]:
        return self._by_kind.get(kind, [])

    def outside_the_system(self, kind: str) -> list[Object]:
        """Those of namespaces that are a user's."""
        return [obj for obj in self.of(kind) if namespace_of(obj) not in _SYSTEM]


def namespace_of(obj: Object) -> str:
    """The namespace an object is in, or is."""
    metadata = obj["metadata"]
    return str(metadata["name"] if obj["kind"] == "Namespace" else metadata.get("namespace") or "default")


def full_name(obj: Object) -> str:
    return f"{namespace_of(obj)}/{obj['metadata']['name']}"


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


class Level(Enum):
    Info = 1
    Warning = 2
    Error = 3


_MESSAGES = {
    "IST0101": (Level.Error, 'Referenced {what} not found: "{name}"'),
    "IST0102": (
        Level.Info,
        "The namespace is not enabled for Istio injection. Run '{label}=enabled' to enable it, or "
        "'{label}=disabled' to explicitly mark it as not needing injection.",
    ),
    "IST0103": (
        Level.Warning,
        "The pod {pod} is missing the Istio proxy. "
        "This can often be resolved by restarting or redeploying the workload.",
    ),
    "IST0106": (Level.Error, "Schema validation error: {problem}"),
    "IST0109": (
        Level.Error,
        "The VirtualServices {rules} associated with mesh gateway define the same host {host} which can lead to "
        "undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.",
    ),
    "IST0110": (
        Level.Error,
        'The Sidecars {sidecars} in namespace "{namespace}" select the same workload pod "{pod}", '
        "which can lead to undefined behavior.",
    ),
    "IST0111": (
        Level.Error,
        'The Sidecars {sidecars} in namespace "{namespace}" have no workload selector, which can lead to undefined '
        "behavior.",
    ),
    "IST0118": (
        Level.Info,
        "Port name {name} (port: {port}, targetPort: {target}) doesn't follow the naming convention of Istio port.",
    ),
    "IST0127": (Level.Warning, "No matching workloads for this resource with the following labels: {labels}"),
    "IST0130": (Level.Warning, "VirtualService {what}."),
    "IST0131": (Level.Info, "VirtualService {what}."),
    "IST0135": (
        Level.Info,
        'Annotation "{name}" has been deprecated{instead} and may not work in future Istio versions.',
    ),
    "IST0145": (
        Level.Error,
        "Conflict with gateways {others} (workload selector {selector}, port {port}, hosts {hosts}).",
    ),
    "IST0173": (
        Level.Error,
        "The Subset {subset} defined in the DestinationRule does not select any pods. "
        "Which may lead to 503 UH (NoHealthyUpstream).",
    ),
    "IST0174": (
        Level.Warning,
        "The host {host} defined in the DestinationRule does not match any services in the mesh.",
    ),
}
"""Levels and words as in Istio's own messages.yaml."""


@dataclass(frozen=True, slots=True)
class Message:
    code: str
    level: Level
    obj: Object
    text: str

    @property
    def namespace(self) -> str:
        return namespace_of(self.obj)

    @property
    def origin(self) -> str:
        metadata = self.obj["metadata"]
        if self.obj["kind"] == "Namespace":
            return f"Namespace {metadata['name']}"
        return f"{self.obj['kind']} {full_name(self.obj)}"

    @property
    def comparator(self) -> str:
        """What the real one sorts by: the name comes before the namespace."""
        return f"{self.obj['kind']}/{self.obj['metadata']['name']}/{self.namespace}"


def message(code: str, obj: Object, **values: object) -> Message:
    level, text = _MESSAGES[code]
    return Message(code, level, obj, text.format(**values))


class _KnownHosts:
    def __init__(self, resources: Resources) -> None:
        self._entries = resources.of("ServiceEntry")
        self._services = {
            f"{obj['metadata']['name']}.{namespace_of(obj)}.{DOMAIN}": obj for obj in resources.of("Service")
        }

    def __call__(self, host: str, namespace: str) -> bool:
        """Whether a rule in `namespace` may name `host` (in full); a ServiceEntry's may begin with a wildcard."""
        return host in self._services or any(
            covers(full_host(known, namespace_of(entry)), host)
            for entry in self._entries
            if exported_to(entry, namespace)
            for known in entry["spec"].get("hosts") or []
        )

    def selector(self, host: str) -> dict[str, str]:
        """What a service's pods are labelled; empty for a ServiceEntry's host."""
        service = self._services.get(host)
        selected: dict[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
        return selected


def missing_references(resources: Resources) -> Iterator[Message]:
    """IST0101: a VirtualService names a host, a subset or a gateway that is not there."""
    known = _KnownHosts(resources)
    gateways = {full_name(obj) for obj in resources.of("Gateway")}
    for rule in resources.of("VirtualService"):
        for written, gateway in zip(rule["spec"].get("gateways") or [MESH], bound_gateways(rule), strict=True):
            if gateway != MESH and gateway not in gateways:
                yield message("IST0101", rule, what="gateway", name=written)
        for what, destination in _destinations(rule):
            host = full_host(destination.get("host", ""), namespace_of(rule))
            subset = destination.get("subset")
            if not known(host, namespace_of(rule)):
                yield message("IST0101", rule, what=what, name=destination.get("host", ""))
            elif subset and subset not in _subsets(resources, host):
                yield message(
                    "IST0101", rule, what="host+subset in destinationrule", name=f"{destination['host']}+{subset}"
                )


def _destinations(rule: Object) -> list[tuple[str, Object]]:
    """Each destination of a VirtualService once, and what it is called when it is missing."""
    found: list[tuple[str, Object]] = []
    for http in rule["spec"].get("http") or []:
        found += [("host", route["destination"]) for route in http.get("route") or []]
        found += [("mirror host", http["mirror"])] if http.get("mirror") else []
        found += [("mirror host", mirror["destination"]) for mirror in http.get("mirrors") or []]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _subsets(resources: Resources, host: str) -> set[str]:
    return {
        subset["name"]
        for rule in resources.of("DestinationRule")
        if covers(full_host(rule["spec"].get("host", ""), namespace_of(rule)), host)
        for subset in rule["spec"].get("subsets") or []
    }


def conflicting_hosts(resources: Resources) -> Iterator[Message]:
    """IST0109: for sidecars one rule speaks for a host, so of two the later is never heard.

    Those count that are exported to the same namespaces, or both to all: `*/HOST` in the message.
    """
    by_host: dict[str, list[Object]] = {}
    for rule in sorted(resources.of("VirtualService"), key=full_name):
        if MESH in bound_gateways(rule):
            scopes = exports(rule)
            for scope in {EVERYBODY} if EVERYBODY in scopes else scopes:
                for host in full_hosts(rule):
                    by_host.setdefault(f"{scope}/{host}", []).append(rule)
    for host, rules in by_host.items():
        for rule in rules if len(rules) > 1 else ():
            yield message("IST0109", rule, rules=",".join(map(full_name, rules)), host=host)


_Opened = set[tuple[str, str]]
"""Hosts as they are written, each with the address it is bound to."""


def missing_workloads(resources: Resources) -> Iterator[Message]:
    """A selector that no pod has, and a certificate that is not in the pods' namespace.

    Not in the Gateway's own, which may be another: it is the pods that read the Secret.
    """
    secrets = {(namespace_of(obj), obj["metadata"]["name"]) for obj in resources.of("Secret")}
    for gateway in resources.of("Gateway"):
        selector = _selector(gateway)
        pod = next((pod for pod in resources.of("Pod") if selector.items() <= labels_of(pod).items()), None)
        if pod is None:
            yield message("IST0101", gateway, what="selector", name=_selector_text(selector))
            continue
        for server in gateway["spec"].get("servers") or []:
            name = (server.get("tls") or {}).get("credentialName")
            if name and (namespace_of(pod), name) not in secrets:
                yield message("IST0101", gateway, what="credentialName", name=name)


def conflicting(resources: Resources) -> Iterator[Message]:
    """IST0145: a host that another Gateway of the same pods has on the same port too.

    As the real one reckons (analyzers/gateway/conflictinggateway.go): hosts are compared as they are written, so
    `*` and `./*` are two, and of several servers of a Gateway with one port the last counts.
    """
    gateways = resources.of("Gateway")
    opened = {
        (full_name(gateway), _number(server)): (_selector(gateway), _hosts(server))
        for gateway in gateways
        for server in gateway["spec"].get("servers") or []
    }
    for gateway in gateways:
        own = _selector(gateway)
        for server in gateway["spec"].get("servers") or []:
            others = sorted(
                name
                for (name, number), (selector, hosts) in opened.items()
                if (name != full_name(gateway) and number == _number(server) and hosts & _hosts(server))
                and _same_pods(own, selector, resources)
            )
            if others:
                hosts_ = ",".join(server["hosts"])
                values = {"selector": _selector_text(own), "port": _number(server), "hosts": hosts_}
                yield message("IST0145", gateway, others=",".join(others), **values)


def _same_pods(own: dict[str, str], other: dict[str, str], resources: Resources) -> bool:
    """The same selector; or one that has the other's text in it, and a pod that both select."""
    if own == other:
        return True
    if _selector_text(own) not in _selector_text(other) and _selector_text(other) not in _selector_text(own):
        return False
    both = own.items() | other.items()
    return any(both <= labels_of(pod).items() for pod in resources.of("Pod"))


def _selector(gateway: Object) -> dict[str, str]:
    return gateway["spec"].get("selector") or {}


def _number(server: Object) -> int:
    return int((server.get("port") or {}).get("number") or 0)


def _hosts(server: Object) -> _Opened:
    return {(host, server.get("bind", "")) for host in server.get("hosts") or []}


def _selector_text(selector: dict[str, str]) -> str:
    return ",".join(f"{key}={selector[key]}" for key in sorted(selector))


def _enabled(namespace: Object) -> bool | None:
    """What a namespace's labels say of injection; None when they say nothing."""
    labels = labels_of(namespace)
    if NAMESPACE_LABEL in labels:
        return labels[NAMESPACE_LABEL] == "enabled"
    return True if labels.get(REVISION_LABEL) == "default" else None


def namespaces_not_injected(resources: Resources) -> Iterator[Message]:
    """IST0102: nobody said whether pods of a namespace are to have sidecars."""
    for namespace in resources.outside_the_system("Namespace"):
        if _enabled(namespace) is None:
            label = f"kubectl label namespace {namespace['metadata']['name']} istio-injection"
            yield message("IST0102", namespace, label=label)


def missing_proxies(resources: Resources) -> Iterator[Message]:
    """IST0103: a pod from before its namespace was enabled, also while it ends, until it is gone."""
    injected = {obj["metadata"]["name"] for obj in resources.outside_the_system("Namespace") if _enabled(obj)}
    for pod in resources.of("Pod"):
        metadata = pod["metadata"]
        says = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(POD_LABEL, "")
        left_alone = has_proxy(pod) or says.lower() == "false" or pod["spec"].get("hostNetwork")
        if namespace_of(pod) in injected and not left_alone:
            yield message("IST0103", pod, pod=full_name(pod))


def port_names(resources: Resources) -> Iterator[Message]:
    """IST0118: a port whose name does not say what is spoken there."""
    for service in resources.outside_the_system("Service"):
        for port in service["spec"].get("ports") or []:
            if port.get("protocol", "TCP") == "TCP" and protocol(port) == "auto":
                name, target = port.get("name", ""), port.get("targetPort", port["port"])
                yield message("IST0118", service, name=name, port=port["port"], target=target)


def unreachable(resources: Resources) -> Iterator[Message]:
    for rule in resources.of("VirtualService"):
        for code, what in find_unreachable(rule["spec"]):
            yield message(code, rule, what=what)


def serving_nobody(resources: Resources) -> Iterator[Message]:
    """What of a DestinationRule is for nobody. As in the real one, a subset's pods may be in any namespace."""
    known = _KnownHosts(resources)
    pods = [labels_of(pod).items() for pod in resources.of("Pod")]
    for rule in resources.of("DestinationRule"):
        written = rule["spec"].get("host", "")
        host = full_host(written, namespace_of(rule))
        if not known(host, namespace_of(rule)):
            yield message("IST0174", rule, host=written)
            continue
        for subset in rule["spec"].get("subsets") or []:
            wanted = {**known.selector(host), **(subset.get("labels") or {})}
            if not any(wanted.items() <= labels for labels in pods):
                yield message("IST0173", rule, subset=subset["name"])


def authorizing_nobody(resources: Resources) -> Iterator[Message]:
    """An AuthorizationPolicy for no pod of the mesh (IST0127), or that names a namespace that is not there."""
    namespaces = [obj["metadata"]["name"] for obj in resources.of("Namespace")]
    enabled = {obj["metadata"]["name"]: _enabled(obj) for obj in resources.of("Namespace")}
    pods = [pod for pod in resources.of("Pod") if _in_mesh(pod, enabled.get(namespace_of(pod)))]
    for policy in resources.of("AuthorizationPolicy"):
        spec, place = policy.get("spec") or {}, namespace_of(policy)
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        concerned = [pod for pod in pods if place in (ISTIO_NAMESPACE, namespace_of(pod))]
        of_all = place == ISTIO_NAMESPACE and spec.get("selector") is None
        if not of_all and not any(wanted.items() <= labels_of(pod).items() for pod in concerned):
            yield message("IST0127", policy, labels=_selector_text(wanted))
        for rule in spec.get("rules") or []:
            for part in rule.get("from") or []:
                source = part.get("source") or {}
                for name in (*(source.get("namespaces") or ()), *(source.get("notNamespaces") or ())):
                    if not any(_is_meant(name, one) for one in namespaces):
                        yield message("IST0101", policy, what="namespace", name=name)


def _in_mesh(pod: Object, enabled: bool | None) -> bool:
    """Whether a pod has a sidecar, or would get one; `enabled` is what its namespace says."""
    says = {**(pod["metadata"].get("annotations") or {}), **labels_of(pod)}.get(POD_LABEL)
    return has_proxy(pod) or (bool(enabled) if says is None else says == "true")


def _is_meant(pattern: str, namespace: str) -> bool:
    """Whether it is `pattern`, which may begin or end with a wildcard; capitals do not count."""
    if pattern.startswith("*"):
        return namespace.endswith(pattern[1:])
    if pattern.endswith("*"):
        return namespace.startswith(pattern[:-1])
    return namespace.lower() == pattern.lower()


def sidecars(resources: Resources) -> Iterator[Message]:
    """Sidecars that select no pod, the same pods as another one, or all as another one of their namespace does."""
    by_pod: dict[str, list[Object]] = {}
    of_all: dict[str, list[Object]] = {}
    pods = {full_name(pod): pod for pod in resources.of("Pod")}
    for sidecar in resources.of("Sidecar"):
        wanted = (sidecar["spec"].get("workloadSelector") or {}).get("labels") or {}
        if not wanted:
            of_all.setdefault(namespace_of(sidecar), []).append(sidecar)
            continue
        selected = [
            name
            for name, pod in pods.items()
            if namespace_of(pod) == namespace_of(sidecar) and wanted.items() <= labels_of(pod).items()
        ]
        if not selected:
            yield message("IST0101", sidecar, what="selector", name=_selector_text(wanted))
        for name in selected:
            by_pod.setdefault(name, []).append(sidecar)
    for name, found in by_pod.items():
        namespace, _, pod_name = name.partition("/")
        for sidecar in found if len(found) > 1 else ():
            yield message("IST0110", sidecar, sidecars=_names(found), namespace=namespace, pod=pod_name)
    for namespace, found in of_all.items():
        for sidecar in found if len(found) > 1 else ():
            yield message("IST0111", sidecar, sidecars=_names(found), namespace=namespace)


def _names(found: list[Object]) -> str:
    """As Go prints a list."""
    return f"[{' '.join(sorted(one['metadata']['name'] for one in found))}]"


_KINDS = ("Namespace", "Service", "Pod", "Deployment")

_DEPRECATED = frozenset(
    (
        *("alpha.istio.io/canonical-serviceaccounts", "alpha.istio.io/kubernetes-serviceaccounts"),
        *("sidecar.istio.io/discoveryAddress", "sidecar.istio.io/extraStatTags", POD_LABEL),
        *("sidecar.istio.io/statsCompression", "sidecar.istio.io/statsInclusionPrefixes"),
        *("sidecar.istio.io/statsInclusionRegexps", "sidecar.istio.io/statsInclusionSuffixes"),
        "traffic.sidecar.istio.io/kubevirtInterfaces",
    )
)
"""Those marked so in Istio's API (annotation/annotations.yaml)."""


def deprecated(resources: Resources) -> Iterator[Message]:
    """Whoever has the label beside the annotation knows, and is left alone."""
    for kind in _KINDS:
        for obj in resources.of(kind):
            for name in sorted(_DEPRECATED & (obj["metadata"].get("annotations") or {}).keys()):
                if name == POD_LABEL and name in labels_of(obj):
                    continue
                instead = f' in favor of the "{POD_LABEL}" label' if name == POD_LABEL else ""
                yield message("IST0135", obj, name=name, instead=instead)


_ANALYZERS = (
    missing_references,
    missing_workloads,
    conflicting,
    namespaces_not_injected,
    missing_proxies,
    conflicting_hosts,
    port_names,
    unreachable,
    serving_nobody,
    authorizing_nobody,
    sidecars,
    deprecated,
)


def find_messages(resources: Resources) -> Iterator[Message]:
    """Everything that any analyzer has to say."""
    for analyzer in _ANALYZERS:
        yield from analyzer(resources)

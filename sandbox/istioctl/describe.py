"""`istioctl x describe pod` and `service`: the configuration that a pod is under, as its Envoy and the ingress
gateway's have it, in the real one's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.cluster import Object
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.cluster_status import has_proxy
from sandbox.istioctl.command_line import IstioctlError, UsageError
from sandbox.istioctl.proxy_config import ask
from sandbox.mesh.authorization import selects
from sandbox.mesh.istio import CONTAINER, VERSION
from sandbox.mesh.peer_authentication import peer_mode
from sandbox.mesh.registry import DOMAIN
from sandbox.mesh.rules import full_host

_RULE = "-" * 20
_NETWORKING, _SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
_REQUIREMENTS = f"https://istio.io/v{'.'.join(VERSION.split('.')[:2])}/docs/ops/deployment/requirements/"
_OLD_REQUIREMENTS = "https://istio.io/docs/setup/kubernetes/additional-setup/requirements/"
_CANONICAL = {
    "name": ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"),
    "revision": ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"),
}
_PROTOCOLS = {
    **{name: name.upper() for name in ("http", "http2", "grpc", "tcp", "tls", "https")},
    **{"grpc-web": "GRPC-Web", "mongo": "Mongo", "redis": "Redis", "mysql": "MySQL"},
}
_ORIGIN = re.compile(r"/apis/networking\.istio\.io/v1/namespaces/([^/]+)/(virtual-service|destination-rule)/(.+)")
_KINDS = {"virtual-service": "VirtualService", "destination-rule": "DestinationRule"}


def _named(invocation: Invocation, kind: str) -> tuple[Object, str]:
    """The one object that is named, and its namespace."""
    words = invocation.arguments.words
    if len(words) != 1:
        raise UsageError(f"expecting {kind.lower()} name")
    name, namespace = _place(words[0], invocation.namespace)
    found = invocation.client.find("v1", kind, namespace, name)
    if found is None:
        raise IstioctlError(f'{kind.lower()}s "{name}" not found')
    return found, namespace


def describe_pod(invocation: Invocation) -> int:
    client = invocation.client
    pod, namespace = _named(invocation, "Pod")
    described = _Described(client, invocation.namespace, [_labels(pod)])
    services = [one for one in client.list("v1", "Service", namespace) if _is_before(one, pod)]
    _print(described.pod(pod))
    if not services:
        known = described.name(pod)
        print(f"Warning: No Kubernetes Services select pod {known} (see {_OLD_REQUIREMENTS} )")
    print(_RULE)
    _print(described.services(pod, services))
    print(_RULE)
    _print(described.peer_authentication(pod, invocation.istio_namespace))
    _print(described.ways_in(services))
    return 0


def describe_service(invocation: Invocation) -> int:
    client = invocation.client
    service, namespace = _named(invocation, "Service")
    pods = [one for one in client.list("v1", "Pod", namespace) if _is_before(service, one)]
    described = _Described(client, invocation.namespace, [])
    meshed = []
    for pod in pods:
        phase, status = pod["status"].get("phase"), _proxy_status(pod)
        if phase != "Running":
            print(f"   Pod is not Running ({phase})")
        elif status is None:
            print(f'Pod {described.name(pod)}: no container "{CONTAINER}" in pod')
        elif not status.get("ready"):
            print(f"WARNING: Pod {described.name(pod)} Container {CONTAINER} NOT READY")
        else:
            meshed.append(pod)
    if not meshed:
        if not pods:
            print(f'Service "{described.name(service)}" has no pods.')
            return 0
        print(f'Service "{described.name(service)}" has no Istio pods.  ({len(pods)} pods in service).')
        print("Use `istioctl kube-inject` or redeploy with Istio automatic sidecar injection.")
        return 0
    described.pods = [_labels(pod) for pod in meshed]
    _print(described.services(meshed[0], [service]))
    _print(described.ways_in([service]))
    return 0


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _place(given: str, namespace: str) -> tuple[str, str]:
    """Of NAME or NAME.NAMESPACE."""
    name, dot, after = given.rpartition(".")
    return (name, after) if dot else (given, namespace)


def _labels(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _is_before(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= _labels(pod).items()


def _statuses(pod: Object, kind: str) -> list[Object]:
    return pod["status"].get(kind) or []


def _proxy_status(pod: Object) -> Object | None:
    every = (*_statuses(pod, "containerStatuses"), *_statuses(pod, "initContainerStatuses"))
    return next((one for one in every if one["name"] == CONTAINER), None)


@dataclass
class _Described:
    """`namespace` is the caller's: names in it stand alone. `pods` are the labels of those that are described."""

    client: Client
    namespace: str
    pods: list[Mapping[str, str]]

    def name(self, obj: Object) -> str:
        metadata = obj["metadata"]
        known = metadata.get("namespace") == self.namespace
        return str(metadata["name"]) if known else f"{metadata['name']}.{metadata['namespace']}"

    # The pod

    def pod(self, pod: Object) -> Iterator[str]:
        name, containers = self.name(pod), pod["spec"]["containers"]
        yield f"Pod: {name}"
        yield f"   Pod Revision: {'default' if has_proxy(pod) else ''}"
        ports = [
            f"{port['containerPort']}{_protocol_suffix(port)} ({container['name']})"
            for container in containers
            for port in container.get("ports") or ()
        ]
        yield f"   Pod Ports: {', '.join(ports)}" if ports else "   Pod does not expose ports"
        phase = pod["status"].get("phase")
        if phase != "Running":
            yield f"   Pod is not Running ({phase})"
            return
        for kind, called in (("containerStatuses", "Container"), ("initContainerStatuses", "Init Container")):
            for status in _statuses(pod, kind):
                if not status.get("ready"):
                    yield f"WARNING: Pod {name} {called} {status['name']} NOT READY"
        if not has_proxy(pod):
            yield f"WARNING: {name} is not part of mesh; no Istio sidecar"
            return
        for what, labels in _CANONICAL.items():
            if not any(label in _labels(pod) for label in labels):
                required = f"add required service {what} label for Istio telemetry"
                yield f"Suggestion: {required}. See {_REQUIREMENTS}."

    # Its services, and what its own proxy has of them

    def services(self, pod: Object, services: list[Object]) -> Iterator[str]:
        dump = _dump(self.client, pod)
        for row, service in enumerate(services):
            if row:
                yield _RULE
            yield f"Service: {self.name(service)}"
            ports = service["spec"].get("ports") or []
            for port in ports:
                if port.get("protocol", "TCP") == "TCP":
                    yield f"   {_port_line(port, pod)}"
            level = 3 if len(ports) > 1 else 0
            for port in ports:
                if level:
                    yield f"{port['port']}:"
                rule = self._destination_rule(dump, service, port["port"])
                if rule is not None:
                    yield from _indented(self._of_destination_rule(rule), level)
                routed = self._virtual_service(dump, service, port["port"])
                if routed is not None:
                    yield from _indented(self._of_virtual_service(routed, service, rule), level)
                policies = dump.policies()
                if policies:
                    of_port = f"{port['port']} " if level else ""
                    yield f"{of_port}RBAC policies: {', '.join(policies)}"

    def _destination_rule(self, dump: _Dump, service: Object, port: int) -> Object | None:
        return self._named(dump.of_cluster(_host(service), port))

    def _virtual_service(self, dump: _Dump, service: Object, port: int) -> Object | None:
        return self._named(dump.of_route(_host(service), port))

    def _named(self, origin: str) -> Object | None:
        found = _ORIGIN.fullmatch(origin)
        return self.client.find(_NETWORKING, _KINDS[found[2]], found[1], found[3]) if found else None

    def _subsets(self, rule: Object | None) -> tuple[list[str], list[str]]:
        """Of a DestinationRule those that any of the pods is in, and the others."""
        matching: list[str] = []
        others: list[str] = []
        for subset in (rule or {}).get("spec", {}).get("subsets") or ():
            wanted = (subset.get("labels") or {}).items()
            (matching if any(wanted <= labels.items() for labels in self.pods) else others).append(subset["name"])
        return matching, others

    def _of_destination_rule(self, rule: Object) -> Iterator[str]:
        spec = rule["spec"]
        yield f'DestinationRule: {self.name(rule)} for "{spec["host"]}"'
        matching, others = self._subsets(rule)
        if others and not matching:
            yield f"   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets {','.join(others)})"
        if matching or others:
            yield f"   Matching subsets: {','.join(matching)}"
        if others:
            yield f"      (Non-matching subsets {','.join(others)})"
        policy = spec.get("trafficPolicy")
        if policy is None:
            yield "   No Traffic Policy"
            return
        if policy.get("tls"):
            yield f"   Traffic Policy TLS Mode: {policy['tls'].get('mode', 'DISABLE')}"
        yield from (f"   {line}" for line in _policies(policy))
        if policy.get("portLevelSettings"):
            yield "   Port Level Settings:"
            for one in policy["portLevelSettings"]:
                yield f"    {one['port']['number']}:"
                if one.get("tls"):
                    yield f"      TLS Mode: {one['tls'].get('mode', 'DISABLE')}"
                yield from (f"      {line}" for line in _policies(one))

    def _of_virtual_service(self, rule: Object, service: Object, destinations: Object | None) -> Iterator[str]:
        yield f"VirtualService: {self.name(rule)}"
        routes = rule["spec"].get("http") or []
        found = [self._of_route(rule, route, service, destinations) for route in routes]
        facts = [fact for matched, said in found if matched for fact in said]
        notes = [note for matched, said in found if not matched for note in said]
        matches = sum(matched for matched, _ in found)
        yield from (f"   {fact}" for fact in facts)
        if not matches:
            if routes:
                yield f"   WARNING: No destinations match pod subsets (checked {len(routes)} HTTP routes)"
            yield from (f"      {note}" for note in notes)
        elif matches < len(routes):
            yield f"   {len(routes) - matches} additional destination(s) that will not reach this pod"
            yield from (f"      {note}" for note in notes if not facts)
        elif not facts:
            yield f"   {len(routes)} HTTP route(s)"

    def _of_route(
        self, rule: Object, route: Object, service: Object, destinations: Object | None
    ) -> tuple[bool, list[str]]:
        """Whether it leads to the service, and what is to be said of it."""
        matching, others = self._subsets(destinations)
        facts: list[str] = []
        notes: list[str] = []
        matched = False
        for one in route.get("route") or ():
            to, weight = one["destination"], one.get("weight", 0)
            subset, led = to.get("subset", ""), f'Route to host "{to["host"]}"'
            in_full = f'{led} subset "{subset}"' if subset else led
            if full_host(to["host"], rule["metadata"]["namespace"]) != _host(service):
                odd = f"Route to {to['host']} with invalid config"
                facts.append(odd if subset else f"{led} with weight {weight}%")
            elif subset in others:
                notes.append(f"Route to non-matching subset {subset} for ({_matches(route.get('match') or [])})")
            elif subset and subset not in matching and destinations is None:
                notes.append(f"Warning: Route to subset {subset} but NO DESTINATION RULE defining subsets!")
            elif subset and subset not in matching:
                where = self.name(destinations or {})
                notes.append(f"Warning: Route to UNKNOWN subset {subset}; check DestinationRule {where}")
            else:
                matched = True
                if weight:
                    facts.append(f"{in_full} with weight {weight}%")
        if not matched:
            return False, [*facts, *notes]
        asked = [f"Fault injection {_text(route['fault'])}"] if route.get("fault") else []
        asked += [_match(one) for one in route.get("match") or ()]
        return True, [*facts, ", ".join(asked)] if asked else facts

    # Who may ask it

    def peer_authentication(self, pod: Object, root: str) -> Iterator[str]:
        """In the real one's order: the root namespace's first; all that select the pod are called applied."""
        namespace = pod["metadata"]["namespace"]
        policies = [
            one
            for place in dict.fromkeys((root, namespace))
            for one in self.client.list(_SECURITY, "PeerAuthentication", place)
            if selects(one, _labels(pod))
        ]
        ages = sorted(policies, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
        found = peer_mode(ages, namespace, _labels(pod))
        yield "Effective PeerAuthentication:"
        yield f"   Workload mTLS mode: {found.mode}"
        if found.ports:
            yield "   Port Level mTLS mode:"
            yield from (f"      {port}: {mode}" for port, mode in sorted(found.ports.items()))
        if policies:
            yield "Applied PeerAuthentication:"
            names = ("{name}.{namespace}".format_map(one["metadata"]) for one in policies)
            yield f"   {', '.join(names)}"

    # From where it is reached

    def ways_in(self, services: list[Object]) -> Iterator[str]:
        gates = [
            pod
            for pod in self.client.list("v1", "Pod", labels="istio=ingressgateway")
            if pod["status"].get("phase") == "Running"
        ]
        if not gates:
            yield "Skipping Gateway information (no ingress gateway pods)"
            return
        entrances = [
            service
            for namespace in dict.fromkeys(pod["metadata"]["namespace"] for pod in gates)
            for service in self.client.list("v1", "Service", namespace)
            if any(_is_before(service, pod) for pod in gates)
        ]
        if not entrances:
            yield "Skipping Gateway information (no ingress gateway service)"
        seen: set[tuple[str, str]] = set()
        for pod in gates:
            dump = _dump(self.client, pod)
            for service in services:
                for port in service["spec"].get("ports") or ():
                    rule = self._virtual_service(dump, service, port["port"])
                    for gateway in self._gateways(rule, seen) if rule else ():
                        selector = gateway["spec"].get("selector") or {}
                        if not selector.items() <= _labels(pod).items():
                            continue
                        yield _RULE
                        yield from (line for one in entrances for line in _exposed(one))
                        destinations = self._destination_rule(dump, service, port["port"])
                        yield from self._of_virtual_service(rule or {}, service, destinations)

    def _gateways(self, rule: Object, seen: set[tuple[str, str]]) -> Iterator[Object]:
        """Those of a VirtualService that are there, each once for all."""
        for written in rule["spec"].get("gateways") or ():
            namespace, _, name = written.rpartition("/")
            place = (namespace or rule["metadata"]["namespace"], name)
            if written != "mesh" and place not in seen:
                found = self.client.find(_NETWORKING, "Gateway", *place)
                if found is not None:
                    seen.add(place)
                    yield found


def _protocol_suffix(port: Object) -> str:
    protocol = port.get("protocol", "TCP")
    return "" if protocol == "TCP" else f"/{protocol}"


def _host(service: Object) -> str:
    return f"{service['metadata']['name']}.{service['metadata']['namespace']}.{DOMAIN}"


def _port_line(port: Object, pod: Object) -> str:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        named = (one for container in pod["spec"]["containers"] for one in container.get("ports") or ())
        number = next((one["containerPort"] for one in named if one.get("name") == target), None)
        if number is None:
            return f"no suitable port for manifest: {pod['metadata'].get('uid', '')}"
        target = number
    return f"Port: {port.get('name', '')} {port['port']}/{_protocol(port)} targets pod port {target}"


def _protocol(port: Object) -> str:
    if not port.get("name") and not port.get("appProtocol"):
        return "auto-detect"
    declared = (port.get("appProtocol") or port["name"]).lower()
    if declared.startswith("grpc-web"):
        return _PROTOCOLS["grpc-web"]
    return _PROTOCOLS.get(declared.partition("-")[0], "UnsupportedProtocol")


def _policies(policy: Object) -> Iterator[str]:
    called = {"loadBalancer": "load balancer", "connectionPool": "connection pool"}
    called["outlierDetection"] = "outlier detection"
    found = [name for field, name in called.items() if policy.get(field)]
    if found:
        yield f"Policies: {'/'.join(found)}"


def _matches(matches: list[Object]) -> str:
    return ", ".join(map(_match, matches)) or "everything"


def _match(match: Object) -> str:
    said = "Match: " + _string_match(match.get("uri")) + (" uncased" if match.get("ignoreUriCase") else "")
    if match.get("headers"):
        said += " when headers are " + "; ".join(
            f"{name}={_string_match(value)}" for name, value in match["headers"].items()
        )
    return said.strip()


def _string_match(match: Object | None) -> str:
    match = match or {}
    if "prefix" in match:
        return f"{match['prefix']}*"
    return f'regex:"{match["regex"]}"' if "regex" in match else str(match.get("exact", ""))


def _text(value: Any) -> str:
    """As protobuf prints it, in short."""
    if not isinstance(value, Mapping):
        return str(value)
    parts = []
    for key, item in value.items():
        name = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key)
        if isinstance(item, str) and (seconds := re.fullmatch(r"(\d+)s", item)):
            item = {"seconds": seconds[1]}
        parts.append(f"{name}:{{{_text(item)}}}" if isinstance(item, Mapping) else f"{name}:{item}")
    return " ".join(parts)


def _exposed(service: Object) -> Iterator[str]:
    given = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or [{}]
    for port in service["spec"].get("ports") or ():
        if port.get("name") in ("http", "http2"):
            suffix = "" if port["port"] == 80 else f":{port['port']}"
            yield f"Exposed on Ingress Gateway http://{given[0].get('ip', 'unknown')}{suffix}"


def _indented(lines: Iterable[str], spaces: int) -> Iterator[str]:
    return (" " * spaces + line for line in lines)


# What an Envoy has


class _Dump:
    """A proxy's config_dump."""

    def __init__(self, dump: Object) -> None:
        self._configs = dump.get("configs") or []

    def _of(self, section: str) -> Iterator[Object]:
        for config in self._configs:
            yield from config.get(section) or ()

    def of_cluster(self, host: str, port: int) -> str:
        """The rule that a service's clusters say they are from."""
        for one in self._of("dynamic_active_clusters"):
            made = one["cluster"]
            if made["name"].startswith(f"outbound|{port}|") and made["name"].endswith(f"|{host}"):
                return _origin(made)
        return ""

    def of_route(self, host: str, port: int) -> str:
        """The rule that the first route to a service says it is from."""
        for one in self._of("dynamic_route_configs"):
            table = one["route_config"]
            if table.get("name") != str(port) and not table.get("name", "").startswith(("http.", "https.")):
                continue
            for virtual_host in table.get("virtual_hosts") or ():
                for route in virtual_host.get("routes") or ():
                    if host in virtual_host["domains"] or _leads_to(route, host, port):
                        return _origin(route)
        return ""

    def policies(self) -> list[str]:
        """Of the first HTTP that comes in: the names of what says who may ask."""
        for one in self._of("dynamic_listeners"):
            listener = one.get("active_state", {}).get("listener", {})
            if listener.get("name") == "virtualInbound":
                for chain in listener.get("filter_chains") or ():
                    for filter_ in chain.get("filters") or ():
                        if "http_filters" in filter_.get("typed_config", {}):
                            return _policy_names(filter_["typed_config"]["http_filters"])
        return []


def _policy_names(filters: list[Object]) -> list[str]:
    for one in filters:
        if one["name"] == "envoy.filters.http.rbac":
            return sorted(one["typed_config"].get("rules", {}).get("policies") or {})
    return []


def _leads_to(route: Object, host: str, port: int) -> bool:
    action = route.get("route") or {}
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or [{}]
    name = action.get("cluster") or weighted[0].get("name", "")
    return bool(name.startswith(f"outbound|{port}|") and name.endswith(f"|{host}"))


def _origin(made: Object) -> str:
    found = ((made.get("metadata") or {}).get("filter_metadata") or {}).get("istio") or {}
    return str(found.get("config", ""))


def _dump(client: Client, pod: Object) -> _Dump:
    metadata = pod["metadata"]
    return _Dump(ask(client, metadata["name"], metadata["namespace"], "config_dump"))

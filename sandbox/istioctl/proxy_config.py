"""`istioctl proxy-config`: what a pod's Envoy has been told, asked of Envoy itself by exec in its container.

A sidecar of the sandbox has one listener with a chain for each destination, where a real one has a listener for
each port: nobody redirects connections here, so they say themselves where they were going.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox.core.cluster import Object
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.cluster_status import has_proxy, is_ready, table
from sandbox.istioctl.command_line import Arguments, IstioctlError, UsageError, print_as
from sandbox.mesh.envoy_clusters import BLACK_HOLE, INBOUND_PASSTHROUGH, PASSTHROUGH
from sandbox.mesh.istio import CONTAINER

_GAPS = {"listeners": 1}
_SELECTING = {
    **dict.fromkeys(("deploy", "deployment", "deployments"), ("apps/v1", "Deployment")),
    **dict.fromkeys(("rs", "replicaset", "replicasets"), ("apps/v1", "ReplicaSet")),
    **dict.fromkeys(("svc", "service", "services"), ("v1", "Service")),
}
_PODS = ("po", "pod", "pods")


def proxy_config(invocation: Invocation) -> int:
    arguments = invocation.arguments
    kind = arguments.command[-1]
    output = arguments.text("output")
    if output not in ("short", "json", "yaml"):
        raise UsageError(f'output format "{output}" not supported')
    if len(arguments.words) != 1:
        raise UsageError(f"{kind[:-1]} requires pod name or --file parameter; the sandbox's istioctl has no --file")
    if "port" in arguments.flags and (port := arguments.text("port")) and not port.isdigit():
        raise UsageError(f'invalid argument "{port}" for "--port" flag: it is a number')
    pod, namespace = pod_of(invocation.client, arguments.words[0], invocation.namespace)
    path, found, rows = _SHOWN[kind]
    shown = found(ask(invocation.client, pod, namespace, path), arguments)
    if output == "short":
        print("\n".join(table(rows(shown, arguments), _GAPS.get(kind, 5))))
    else:
        print_as(output, _camel(shown), indent=4)
    return 0


def ask(client: Client, pod: str, namespace: str, path: str) -> Object:
    try:
        answer: Object = json.loads(
            client.execute(namespace, pod, CONTAINER, "pilot-agent", "request", "GET", path)
        )
    except IstioctlError as error:
        raise IstioctlError(f"failed to execute command on {pod}.{namespace} sidecar: {error}") from error
    return answer


def pod_of(client: Client, given: str, namespace: str) -> tuple[str, str]:
    """A pod's name and namespace, of `POD`, `POD.NAMESPACE`, `deploy/NAME`, `deploy/NAME.NAMESPACE`."""
    kind, slash, name = given.rpartition("/")
    name, dot, after = name.rpartition(".") if "." in name else (name, "", "")
    namespace = after if dot else namespace
    if not slash or kind.lower() in _PODS:
        if client.find("v1", "Pod", namespace, name) is None:
            raise IstioctlError(f'failed to execute command on {name}.{namespace} sidecar: pods "{name}" not found')
        return name, namespace
    if kind.lower() not in _SELECTING:
        known = ", ".join(("pod", *(found.lower() for _, found in dict.fromkeys(_SELECTING.values()))))
        raise UsageError(f'the sandbox\'s istioctl finds pods by {known}, not by "{kind}"')
    selecting = client.find(*_SELECTING[kind.lower()], namespace, name)
    if selecting is None:
        raise IstioctlError(f'failed retrieving: {kind} "{name}" not found in the "{namespace}" namespace')
    selector = selecting["spec"].get("selector") or {}
    labels = selector.get("matchLabels", selector)
    pods = client.list("v1", "Pod", namespace, ",".join(f"{key}={value}" for key, value in labels.items()))
    ready = [pod for pod in pods if has_proxy(pod) and is_ready(pod)] or pods
    if not ready or not labels:
        raise IstioctlError(f'no pods match "{given}"')
    newest = max(ready, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return str(newest["metadata"]["name"]), namespace


def _camel(value: Any, key: str = "") -> Any:
    """Messages with their fields in protobuf's JSON names, as istioctl prints them; maps keep their keys."""
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if isinstance(value, dict):
        if key in _MAPS:
            return {name: value[name] if key == "filter_metadata" else _camel(value[name]) for name in value}
        return {re.sub("_([a-z0-9])", lambda m: m[1].upper(), name): _camel(value[name], name) for name in value}
    return value


_MAPS = ("filter_metadata", "typed_extension_protocol_options", "typed_per_filter_config")


Rows = list[tuple[str, ...]]
"""A table, its first row being the head."""


def _resources(dump: Object, kind: str, dynamic: str, *way: str) -> Iterator[Object]:
    """A section's resources, each at `way` below an entry of its list. Proxies here have no static ones."""
    for config in dump["configs"]:
        if config["@type"].endswith(f".{kind}"):
            for one in config.get(dynamic) or ():
                for step in way:
                    one = one[step]
                yield one


def _asked_for(arguments: Arguments, **values: str) -> bool:
    """Whether the flags of these names say so, or nothing."""
    return all(arguments.text(flag).lower() in ("", value.lower()) for flag, value in values.items())


def _rule(resource: Object) -> str:
    """`NAME.NAMESPACE` of the rule that a route or a cluster comes from (`rules.origin`)."""
    told = (resource.get("metadata") or {}).get("filter_metadata") or {}
    if "config" not in told.get("istio", {}):  # that of spans alone (`tracing.Tracing.named`)
        return ""
    *_, namespace, _, name = told["istio"]["config"].split("/")
    return f"{name}.{namespace}"


def _match(route_match: Object) -> str:
    """Of a route; headers are left out."""
    if "prefix" in route_match:
        return f"{route_match['prefix']}*"
    return str(route_match["path"]) if "path" in route_match else f"regex {route_match['safe_regex']['regex']}"


def _clusters(dump: Object, arguments: Arguments) -> list[Object]:
    wanted = [arguments.text("fqdn"), arguments.text("direction"), arguments.text("subset")]
    wanted.append(f"|{arguments.text('port')}|" if arguments.text("port") else "")
    clusters = _resources(dump, "ClustersConfigDump", "dynamic_active_clusters", "cluster")
    chosen = [one for one in clusters if all(word in one["name"] for word in wanted)]
    return sorted(chosen, key=lambda one: _service(one)[::-1])


def _service(cluster: Object) -> tuple[str, int, str, str]:
    """Direction, port, subset and host; of one that is for no service only its name."""
    words = cluster["name"].split("|")
    return (words[0], int(words[1]), words[2], words[3]) if len(words) == 4 else ("-", 0, "", cluster["name"])


def _cluster_rows(clusters: list[Object], arguments: Arguments) -> Rows:
    made: Rows = [("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")]
    for one in clusters:
        direction, port, subset, host = _service(one)
        made.append((host, str(port or "-"), subset or "-", direction, one["type"], _rule(one)))
    return made


def _endpoints(answer: Object, arguments: Arguments) -> list[Object]:
    """Clusters with any host that was asked for."""
    return [one for one in answer["cluster_statuses"] if any(_hosts(one, arguments))]


def _hosts(cluster: Object, arguments: Arguments) -> Iterator[tuple[str, int, str, str]]:
    """Address, port, health and outlier check of those that were asked for."""
    for host in cluster.get("host_statuses") or ():
        socket, health = host["address"]["socket_address"], host.get("health_status") or {}
        address, port, status = socket["address"], socket["port_value"], health.get("eds_health_status", "UNKNOWN")
        if _asked_for(arguments, address=address, port=str(port), status=status, cluster=cluster["name"]):
            yield address, port, status, "FAILED" if health.get("failed_outlier_check") else "OK"


def _endpoint_rows(clusters: list[Object], arguments: Arguments) -> Rows:
    hosts = sorted((*host[:2], one["name"], *host[2:]) for one in clusters for host in _hosts(one, arguments))
    rows = [(f"{address}:{port}", status, check, name) for address, port, name, status, check in hosts]
    return [("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), *rows]


_HTTP, _TCP = "HttpConnectionManager", "TcpProxy"


def _listeners(dump: Object, arguments: Arguments) -> list[Object]:
    def key(listener: Object) -> tuple[int, str, str]:
        return _address(listener)[1], _address(listener)[0], _type(listener)

    found = _resources(dump, "ListenersConfigDump", "dynamic_listeners", "active_state", "listener")
    keyed = sorted(((key(one), one) for one in found), key=lambda pair: pair[0])
    return [
        one
        for (port, address, type_), one in keyed
        if _asked_for(arguments, address=address, port=str(port), type=type_)
    ]


def _listener_rows(listeners: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        return [("ADDRESSES", "PORT", "TYPE"), *((*map(str, _address(one)), _type(one)) for one in listeners)]
    made: Rows = [("ADDRESSES", "PORT", "MATCH", "DESTINATION")]
    for one in listeners:
        address, port = _address(one)
        chains = [
            (_destination(chain), _chain_match(chain.get("filter_chain_match") or {})) for chain in _chains(one)
        ]
        chains.sort(key=lambda chain: chain[0], reverse=True)
        made += [(address, str(port), matched, destination) for destination, matched in chains]
    return made


def _chains(listener: Object) -> list[Object]:
    default = listener.get("default_filter_chain")
    return [*(listener.get("filter_chains") or ()), *([default] if default else ())]


def _address(listener: Object) -> tuple[str, int]:
    socket = listener["address"]["socket_address"]
    return socket["address"], socket["port_value"]


def _filter(chain: Object) -> tuple[str, Object]:
    """The kind of the filter that a chain ends with, and its settings."""
    last = chain["filters"][-1]["typed_config"]
    return last["@type"].rpartition(".")[2], last


def _type(listener: Object) -> str:
    kinds = {_filter(chain)[0] for chain in _chains(listener)}
    return "+".join(name for name, kind in (("HTTP", _HTTP), ("TCP", _TCP)) if kind in kinds)


_PROTOCOLS = {"http/1.0,http/1.1,h2c": "HTTP", "istio-peer-exchange,istio": "TCP TLS"}
"""Lists that have a name."""


def _chain_match(chain_match: Object) -> str:
    said = []
    if names := chain_match.get("server_names"):
        said.append(f"SNI: {','.join(names)}")
    if "transport_protocol" in chain_match:
        said.append(f"Trans: {chain_match['transport_protocol']}")
    if protocols := ",".join(chain_match.get("application_protocols") or ()):
        said.append(f"App: {_PROTOCOLS.get(protocols, protocols)}")
    if "destination_port" in chain_match:
        prefixes = [
            f"{one['address_prefix']}/{one['prefix_len']}" for one in chain_match.get("prefix_ranges") or ()
        ]
        said.append(f"Addr: {','.join(prefixes) or '*'}:{chain_match['destination_port']}")
    return "; ".join(said) or "ALL"


_OF_ALL = {
    PASSTHROUGH: PASSTHROUGH,
    INBOUND_PASSTHROUGH: INBOUND_PASSTHROUGH,
    BLACK_HOLE: "Non-HTTP/Non-TCP",
}
"""Clusters that every proxy has, as they are called as destinations."""


def _destination(chain: Object) -> str:
    kind, settings = _filter(chain)
    if kind == _TCP:
        name: str = settings["cluster"]
        return _OF_ALL.get(name, f"Cluster: {name}")
    if "rds" in settings:
        return f"Route: {settings['rds']['route_config_name']}"
    inline = [route for host in settings["route_config"]["virtual_hosts"] for route in host["routes"]]
    if cluster := next((route["route"]["cluster"] for route in inline if "route" in route), ""):
        return _OF_ALL.get(cluster, f"Cluster: {cluster}")
    routes = [_match(route["match"]) for route in inline]
    return f"Inline Route: {', '.join(routes)}"


def _routes(dump: Object, arguments: Arguments) -> list[Object]:
    tables = _resources(dump, "RoutesConfigDump", "dynamic_route_configs", "route_config")
    chosen = [one for one in tables if arguments.text("name") in ("", one["name"])]
    return sorted(chosen, key=lambda one: (not one["name"].isdigit(), one["name"].zfill(5)))


def _route_rows(tables: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        counted = ((one["name"], str(len(one.get("virtual_hosts") or ()))) for one in tables)
        return [("NAME", "VIRTUAL HOSTS"), *counted]
    made: Rows = [("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")]
    for one in tables:
        for host in one.get("virtual_hosts") or ():
            for route in host["routes"]:
                if (route.get("route") or {}).get("cluster") != PASSTHROUGH:
                    domains = _domains(host["domains"])
                    made.append((one["name"], host["name"], domains, _match(route["match"]), _rule(route)))
    return made


def _domains(domains: list[str]) -> str:
    """The two shortest of those that say the same, and how many more there are."""
    longer = {f"{domain}.svc.cluster.local" for domain in domains} | {f"{domain}.svc" for domain in domains}
    short = [domain for domain in domains if domain not in longer]
    return ", ".join(short[:2]) + (f" + {len(short) - 2} more..." if len(short) > 2 else "")


def _secrets(dump: Object, arguments: Arguments) -> list[Object]:
    return list(_resources(dump, "SecretsConfigDump", "dynamic_active_secrets"))


def _secret_rows(secrets: list[Object], arguments: Arguments) -> Rows:
    # A tenth of a second that nothing else here needs.
    from cryptography import x509

    made: Rows = [("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")]
    for one in secrets:
        secret = one["secret"]
        chain = secret.get("tls_certificate", {}).get("certificate_chain")
        told = chain or secret["validation_context"]["trusted_ca"]
        first = x509.load_pem_x509_certificates(base64.b64decode(told["inline_bytes"]))[0]
        since, until = first.not_valid_before_utc, first.not_valid_after_utc
        valid = str(since <= datetime.now(UTC) <= until).lower()
        ends = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (until, since)]
        kind = "Cert Chain" if chain else "CA"
        made.append((one["name"], kind, "ACTIVE", valid, f"{first.serial_number:x}", *ends))
    return made


_SHOWN: dict[
    str, tuple[str, Callable[[Object, Arguments], list[Object]], Callable[[list[Object], Arguments], Rows]]
] = {
    "clusters": ("config_dump", _clusters, _cluster_rows),
    "listeners": ("config_dump", _listeners, _listener_rows),
    "routes": ("config_dump", _routes, _route_rows),
    "secrets": ("config_dump", _secrets, _secret_rows),
    "endpoints": ("clusters?format=json", _endpoints, _endpoint_rows),
}
"""What to ask Envoy for, which of it was asked for, and how that looks."""

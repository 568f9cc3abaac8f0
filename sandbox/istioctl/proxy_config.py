"""`istioctl proxy-config`: what a pod's Envoy has been told, asked of Envoy itself by exec in its container.

A sidecar of the sandbox has one listener with a chain for each destination, where a real one has a listener for
each port: nobody redirects connections here, so they say themselves where they were going.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.core.cluster import Object
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.cluster_status import has_proxy, is_ready, table
from sandbox.istioctl.command_line import Arguments, IstioctlError, UsageError, print_as
from sandbox.mesh.envoy_clusters import PASSTHROUGH
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
    pod, namespace = _pod(invocation.client, arguments.words[0], invocation.namespace)
    path, found, rows = _SHOWN[kind]
    shown = found(_ask(invocation.client, pod, namespace, path), arguments)
    if output == "short":
        print("\n".join(table(rows(shown, arguments), _GAPS.get(kind, 5))))
    else:
        print_as(output, _camel(shown), indent=4)
    return 0


def _ask(client: Client, pod: str, namespace: str, path: str) -> Object:
    try:
        answer: Object = json.loads(
            client.execute(namespace, pod, CONTAINER, "pilot-agent", "request", "GET", path)
        )
    except IstioctlError as error:
        raise IstioctlError(f"failed to execute command on {pod}.{namespace} sidecar: {error}") from error
    return answer


def _pod(client: Client, given: str, namespace: str) -> tuple[str, str]:
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


def _resources(dump: Object, kind: str, dynamic: str, static: str, *way: str) -> Iterator[Object]:
    """The resources in a section's two lists: at `way` in the dynamic one, at its end in the static one."""
    for config in dump["configs"]:
        if config["@type"].endswith(f".{kind}"):
            for one in config.get(dynamic) or ():
                for step in way:
                    one = one.get(step) or {}
                if one:
                    yield one
            yield from (one[way[-1]] for one in config.get(static) or () if way[-1] in one)


def _parts(cluster: str) -> tuple[str, int, str, str] | None:
    """Direction, port, subset and host of a cluster's name; None for one that has none of them."""
    words = cluster.split("|")
    if len(words) < 4:
        return None
    return words[0], int(words[1]) if words[1].isdigit() else 0, words[2], words[3]


def _cluster_order(cluster: str) -> tuple[str, str, int, str]:
    """The key that clusters are sorted by: host, subset, port, direction."""
    direction, port, subset, host = _parts(cluster) or ("", 0, "", cluster)
    return host, subset, port, direction


def _rule(resource: Object) -> str:
    """`NAME.NAMESPACE` of the rule that a route or a cluster comes from."""
    path = ((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    words = path.split("/")
    if path.startswith("/apis/networking.istio.io/"):
        return f"{words[7]}.{words[5]}" if len(words) == 8 else ""
    return "<unknown>" if path else ""


def _match(route_match: Object) -> str:
    """Of a route; headers are left out."""
    prefix, separated = route_match.get("prefix"), route_match.get("path_separated_prefix")
    conditions = [f"{prefix}*" if prefix else "", f"PathPrefix:{separated}" if separated else ""]
    conditions.append(route_match.get("path", ""))
    if regex := (route_match.get("safe_regex") or {}).get("regex"):
        conditions.append(f"regex {regex}")
    return " ".join(filter(None, conditions))


def _clusters(dump: Object, arguments: Arguments) -> list[Object]:
    clusters = _resources(dump, "ClustersConfigDump", "dynamic_active_clusters", "static_clusters", "cluster")
    wanted = [arguments.text("fqdn"), arguments.text("direction"), arguments.text("subset")]
    wanted.append(f"|{arguments.text('port')}|" if arguments.text("port") else "")
    chosen = [one for one in clusters if all(word in one["name"] for word in wanted)]
    return sorted(chosen, key=lambda one: _cluster_order(one["name"]))


def _cluster_rows(clusters: list[Object], arguments: Arguments) -> Rows:
    made: Rows = [("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")]
    for one in clusters:
        named = _parts(one["name"])
        kind = one.get("type", "STATIC")
        if named is None:
            made.append((one["name"], "-", "-", "-", kind, _rule(one)))
        else:
            direction, port, subset, host = named
            made.append((host, str(port), subset or "-", direction, kind, _rule(one)))
    return made


def _endpoints(answer: Object, arguments: Arguments) -> list[Object]:
    """Clusters with any host that was asked for."""
    return [one for one in answer.get("cluster_statuses") or () if _hosts(one, arguments)]


def _hosts(cluster: Object, arguments: Arguments) -> list[Object]:
    return [host for host in cluster.get("host_statuses") or () if _wanted(host, cluster["name"], arguments)]


def _wanted(host: Object, cluster: str, arguments: Arguments) -> bool:
    address, port, status = _host_address(host)
    _endpoints = {"address": address, "port": port, "status": status, "cluster": cluster}
    return all(arguments.text(flag).lower() in ("", value.lower()) for flag, value in _endpoints.items())


def _host_address(host: Object) -> tuple[str, str, str]:
    """Address, port and health, as text."""
    socket = (host.get("address") or {}).get("socket_address") or {}
    status = (host.get("health_status") or {}).get("eds_health_status", "UNKNOWN")
    return socket.get("address", "unknown"), str(socket.get("port_value", "")), status


def _endpoint_rows(clusters: list[Object], arguments: Arguments) -> Rows:
    made = []
    for cluster in clusters:
        for host in _hosts(cluster, arguments):
            address, port, status = _host_address(host)
            check = "FAILED" if (host.get("health_status") or {}).get("failed_outlier_check") else "OK"
            where = f"{address}:{port}" if port else address
            made.append(((address, int(port or 0), cluster["name"]), (where, status, check, cluster["name"])))
    return [("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), *(row for _, row in sorted(made))]


_HTTP, _TCP = "HttpConnectionManager", "TcpProxy"
_PROTOCOLS = {("http/1.0", "http/1.1", "h2c"): "App: HTTP"}


def _listeners(dump: Object, arguments: Arguments) -> list[Object]:
    way = ("active_state", "listener")
    listeners = _resources(dump, "ListenersConfigDump", "dynamic_listeners", "static_listeners", *way)
    chosen = []
    for one in listeners:
        address, port = _address(one)
        values = {"address": address, "port": str(port), "type": _type(one)}
        if all(arguments.text(flag).lower() in ("", value.lower()) for flag, value in values.items()):
            chosen.append(one)
    return sorted(chosen, key=lambda one: (_address(one)[1], _address(one)[0], _type(one)))


def _listener_rows(listeners: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        return [("ADDRESSES", "PORT", "TYPE"), *((*_where(one), _type(one)) for one in listeners)]
    made: Rows = [("ADDRESSES", "PORT", "MATCH", "DESTINATION")]
    for one in listeners:
        chains = [
            (_destination(chain), _chain_match(chain.get("filter_chain_match") or {})) for chain in _chains(one)
        ]
        chains.sort(key=lambda chain: chain[0], reverse=True)
        made += [(*_where(one), matched, destination) for destination, matched in chains]
    return made


def _chains(listener: Object) -> list[Object]:
    default = listener.get("default_filter_chain")
    return [*(listener.get("filter_chains") or ()), *([default] if default else ())]


def _address(listener: Object) -> tuple[str, int]:
    socket = (listener.get("address") or {}).get("socket_address") or {}
    return socket.get("address", ""), int(socket.get("port_value", 0))


def _where(listener: Object) -> tuple[str, str]:
    address, port = _address(listener)
    more = [one["address"]["socket_address"]["address"] for one in listener.get("additional_addresses") or ()]
    return ",".join((address, *more)), str(port)


def _filters(chain: Object, kind: str) -> list[Object]:
    configs = [one.get("typed_config") or {} for one in chain.get("filters") or ()]
    return [config for config in configs if config.get("@type", "").endswith(f".{kind}")]


def _type(listener: Object) -> str:
    chains = _chains(listener)
    http, tcp = any(_filters(chain, _HTTP) for chain in chains), any(_filters(chain, _TCP) for chain in chains)
    return "+".join(name for name, there in (("HTTP", http), ("TCP", tcp)) if there) or "UNKNOWN"


def _chain_match(chain_match: Object) -> str:
    said = []
    if names := chain_match.get("server_names"):
        said.append(f"SNI: {','.join(names)}")
    if transport := chain_match.get("transport_protocol"):
        said.append(f"Trans: {transport}")
    if protocols := chain_match.get("application_protocols"):
        said.append(_PROTOCOLS.get(tuple(protocols), f"App: {','.join(protocols)}"))
    port = f":{chain_match['destination_port']}" if "destination_port" in chain_match else ""
    ranges = ",".join(
        f"{one['address_prefix']}/{one['prefix_len']}" for one in chain_match.get("prefix_ranges") or ()
    )
    if ranges or port:
        said.append(f"Addr: {ranges or '*'}{port}")
    return "; ".join(said) or "ALL"


def _destination(chain: Object) -> str:
    for manager in _filters(chain, _HTTP):
        if inline := manager.get("route_config"):
            return _inline(inline)
        table = (manager.get("rds") or {}).get("route_config_name")
        return f"Route: {table}" if table else "HTTP"
    for proxy in _filters(chain, _TCP):
        return _cluster(proxy.get("cluster", ""))
    return "Non-HTTP/Non-TCP"


def _cluster(name: str) -> str:
    return name if "Cluster" in name else f"Cluster: {name}"


def _inline(table: Object) -> str:
    hosts = []
    for host in table.get("virtual_hosts") or ():
        domains = "" if host["domains"] == ["*"] else "/".join(host["domains"])
        routes = ", ".join(_match(route["match"]) for route in host.get("routes") or ())
        hosts.append(f"{domains} {routes}".strip())
    return f"Inline Route: {'; '.join(hosts)}"


_MOST_DOMAINS = 2


def _routes(dump: Object, arguments: Arguments) -> list[Object]:
    tables = _resources(dump, "RoutesConfigDump", "dynamic_route_configs", "static_route_configs", "route_config")
    chosen = [one for one in tables if arguments.text("name") in ("", one.get("name", ""))]
    return sorted(chosen, key=_table_order)


def _table_order(table: Object) -> tuple[bool, int, str]:
    name = table.get("name", "")
    return (False, int(name), name) if name.isdigit() else (True, 0, name)


def _route_rows(tables: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        counted = ((one.get("name", ""), str(len(one.get("virtual_hosts") or ()))) for one in tables)
        return [("NAME", "VIRTUAL HOSTS"), *counted]
    made: Rows = [("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")]
    for one in tables:
        for host in one.get("virtual_hosts") or ():
            named = one.get("name", ""), host["name"], _domains(host["domains"])
            for route in host.get("routes") or ():
                if (route.get("route") or {}).get("cluster") != PASSTHROUGH:
                    made.append((*named, _match(route["match"]), _rule(route)))
            if not host.get("routes"):
                made.append((*named, "/*", "404"))
    return made


def _domains(domains: list[str]) -> str:
    """The shortest of those that say the same, without ports, and how many more there are."""
    if len(domains) == 1:
        return domains[0]
    bare = [domain for domain in domains if ":" not in domain]
    longer = {f"{domain}.svc.cluster.local" for domain in bare} | {f"{domain}.svc" for domain in bare}
    short = [domain for domain in bare if domain not in longer]
    if len(short) > _MOST_DOMAINS:
        return f"{', '.join(short[:_MOST_DOMAINS])} + {len(short) - _MOST_DOMAINS} more..."
    return ", ".join(short)


_SHOWN: dict[
    str, tuple[str, Callable[[Object, Arguments], list[Object]], Callable[[list[Object], Arguments], Rows]]
] = {
    "clusters": ("config_dump", _clusters, _cluster_rows),
    "listeners": ("config_dump", _listeners, _listener_rows),
    "routes": ("config_dump", _routes, _route_rows),
    "endpoints": ("clusters?format=json", _endpoints, _endpoint_rows),
}
"""What to ask Envoy for, which of it was asked for, and how that looks."""

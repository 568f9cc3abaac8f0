"""`istioctl proxy-config listeners`.

A sidecar of the sandbox has one listener with a chain for each destination, where a real one has a listener for
each port: nobody redirects connections here, so they say themselves where they were going.
"""

from __future__ import annotations

from sandbox.istioctl.config_dump import Object, Rows, match, resources
from sandbox.istioctl.flags import Arguments

_HTTP, _TCP = "HttpConnectionManager", "TcpProxy"
_PROTOCOLS = {("http/1.0", "http/1.1", "h2c"): "App: HTTP"}


def found(dump: Object, arguments: Arguments) -> list[Object]:
    way = ("active_state", "listener")
    listeners = resources(dump, "ListenersConfigDump", "dynamic_listeners", "static_listeners", *way)
    chosen = []
    for one in listeners:
        address, port = _address(one)
        values = {"address": address, "port": str(port), "type": _type(one)}
        if all(arguments.text(flag).lower() in ("", value.lower()) for flag, value in values.items()):
            chosen.append(one)
    return sorted(chosen, key=lambda one: (_address(one)[1], _address(one)[0], _type(one)))


def rows(listeners: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        return [("ADDRESSES", "PORT", "TYPE"), *((*_where(one), _type(one)) for one in listeners)]
    made: Rows = [("ADDRESSES", "PORT", "MATCH", "DESTINATION")]
    for one in listeners:
        chains = [(_destination(chain), _match(chain.get("filter_chain_match") or {})) for chain in _chains(one)]
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


def _match(chain_match: Object) -> str:
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
        routes = ", ".join(match(route["match"]) for route in host.get("routes") or ())
        hosts.append(f"{domains} {routes}".strip())
    return f"Inline Route: {'; '.join(hosts)}"

"""`istioctl proxy-config routes`."""

from __future__ import annotations

from sandbox.istioctl.config_dump import Object, Rows, match, resources, rule
from sandbox.istioctl.flags import Arguments

_MOST_DOMAINS = 2
_PASSTHROUGH = "PassthroughCluster"


def found(dump: Object, arguments: Arguments) -> list[Object]:
    tables = resources(dump, "RoutesConfigDump", "dynamic_route_configs", "static_route_configs", "route_config")
    chosen = [one for one in tables if arguments.text("name") in ("", one.get("name", ""))]
    return sorted(chosen, key=_order)


def _order(table: Object) -> tuple[bool, int, str]:
    name = table.get("name", "")
    return (False, int(name), name) if name.isdigit() else (True, 0, name)


def rows(tables: list[Object], arguments: Arguments) -> Rows:
    if not arguments.on("verbose"):
        counted = ((one.get("name", ""), str(len(one.get("virtual_hosts") or ()))) for one in tables)
        return [("NAME", "VIRTUAL HOSTS"), *counted]
    made: Rows = [("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")]
    for table in tables:
        for host in table.get("virtual_hosts") or ():
            named = table.get("name", ""), host["name"], _domains(host["domains"])
            for route in host.get("routes") or ():
                if (route.get("route") or {}).get("cluster") != _PASSTHROUGH:
                    made.append((*named, match(route["match"]), rule(route)))
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

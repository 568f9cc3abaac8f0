"""`istioctl proxy-config clusters`."""

from __future__ import annotations

from sandbox.istioctl.config_dump import Object, Rows, order, parts, resources, rule
from sandbox.istioctl.flags import Arguments


def found(dump: Object, arguments: Arguments) -> list[Object]:
    clusters = resources(dump, "ClustersConfigDump", "dynamic_active_clusters", "static_clusters", "cluster")
    wanted = [arguments.text("fqdn"), arguments.text("direction"), arguments.text("subset")]
    wanted.append(f"|{arguments.text('port')}|" if arguments.text("port") else "")
    chosen = [one for one in clusters if all(word in one["name"] for word in wanted)]
    return sorted(chosen, key=lambda one: order(one["name"]))


def rows(clusters: list[Object], arguments: Arguments) -> Rows:
    made: Rows = [("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")]
    for one in clusters:
        named = parts(one["name"])
        kind = one.get("type", "STATIC")
        if named is None:
            made.append((one["name"], "-", "-", "-", kind, rule(one)))
        else:
            direction, port, subset, host = named
            made.append((host, str(port), subset or "-", direction, kind, rule(one)))
    return made

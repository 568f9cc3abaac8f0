"""What is in Envoy's answer to `config_dump`, and what its parts are called in istioctl's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Rows = list[tuple[str, ...]]
"""A table, its first row being the head."""


def resources(dump: Object, kind: str, dynamic: str, static: str, *way: str) -> Iterator[Object]:
    """The resources in a section's two lists: at `way` in the dynamic one, at its end in the static one."""
    for config in dump["configs"]:
        if config["@type"].endswith(f".{kind}"):
            for one in config.get(dynamic) or ():
                for step in way:
                    one = one.get(step) or {}
                if one:
                    yield one
            yield from (one[way[-1]] for one in config.get(static) or () if way[-1] in one)


def parts(cluster: str) -> tuple[str, int, str, str] | None:
    """Direction, port, subset and host of a cluster's name; None for one that has none of them."""
    words = cluster.split("|")
    if len(words) < 4:
        return None
    return words[0], int(words[1]) if words[1].isdigit() else 0, words[2], words[3]


def order(cluster: str) -> tuple[str, str, int, str]:
    """The key that clusters are sorted by: host, subset, port, direction."""
    direction, port, subset, host = parts(cluster) or ("", 0, "", cluster)
    return host, subset, port, direction


def rule(resource: Object) -> str:
    """`NAME.NAMESPACE` of the rule that a route or a cluster comes from."""
    path = ((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    words = path.split("/")
    if path.startswith("/apis/networking.istio.io/"):
        return f"{words[7]}.{words[5]}" if len(words) == 8 else ""
    return "<unknown>" if path else ""


def match(route_match: Object) -> str:
    """Of a route; headers are left out."""
    prefix, separated = route_match.get("prefix"), route_match.get("path_separated_prefix")
    conditions = [f"{prefix}*" if prefix else "", f"PathPrefix:{separated}" if separated else ""]
    conditions.append(route_match.get("path", ""))
    if regex := (route_match.get("safe_regex") or {}).get("regex"):
        conditions.append(f"regex {regex}")
    return " ".join(filter(None, conditions))

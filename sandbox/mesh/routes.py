"""A VirtualService's HTTP rules as Envoy's routes.

Pure translation: what does not translate was refused before it was stored (see `support` and `validation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.mesh import actions, cors, destinations, faults, header_changes, matches, mirrors, provenance
from sandbox.mesh.destinations import Context

Route = dict[str, Any]


def translate(virtual_service: Mapping[str, Any], context: Context) -> list[Route]:
    """Routes in the rule's order; those behind one that takes everything are left out."""
    namespace = virtual_service["metadata"]["namespace"]
    origin = provenance.metadata("virtual-service", virtual_service)
    found: list[Route] = []
    for http in virtual_service["spec"].get("http") or []:
        for match in http.get("match") or [{}]:
            if matches.applies(match, context, namespace):
                found.append({**_route(http, match, context, namespace), "metadata": origin})
                if takes_everything(found[-1]):
                    return found
    return found


def to(destination: Mapping[str, Any], context: Context) -> list[Route]:
    """One route that sends everything to one destination (its host in full), with Istio's defaults."""
    (route,) = to_cluster(destinations.cluster(destination, context, ""))
    if hashed := destinations.hash_policy(destination, context, ""):
        route["route"]["hash_policy"] = hashed
    return [route]


def to_cluster(cluster: str) -> list[Route]:
    """The same for a cluster."""
    return [{"match": matches.EVERYTHING, "route": {"cluster": cluster, **_DEFAULT_ACTION}}]


def to_https(port: int) -> list[Route]:
    """One route that asks the client to come back encrypted; `port` is where."""
    redirect = {"https_redirect": True} if port == 443 else {"https_redirect": True, "port_redirect": port}
    return [{"match": matches.EVERYTHING, "redirect": redirect}]


def takes_everything(route: Route) -> bool:
    return matches.takes_everything(route["match"])


def _route(http: Mapping[str, Any], match: Mapping[str, Any], context: Context, namespace: str) -> Route:
    route: Route = {"match": matches.translated(match), **header_changes.changes(http.get("headers") or {})}
    if name := ".".join(filter(None, (http.get("name"), match.get("name")))):
        route["name"] = name
    if match.get("statPrefix"):
        route["stat_prefix"] = match["statPrefix"]
    if filters := _filters(http):
        route["typed_per_filter_config"] = filters
    if "redirect" in http:
        route["redirect"] = actions.redirect(http["redirect"], context)
    elif "directResponse" in http:
        route["direct_response"] = actions.direct_response(http["directResponse"])
    else:
        _forward(route, http, context, namespace)
    return route


def _filters(http: Mapping[str, Any]) -> dict[str, Any]:
    """What the filters before the router do for this route."""
    found = {}
    if fault := faults.filter_config(http.get("fault") or {}):
        found[faults.FILTER] = fault
    if "corsPolicy" in http:
        found[cors.FILTER] = cors.filter_config(http["corsPolicy"])
    return found


def _forward(route: Route, http: Mapping[str, Any], context: Context, namespace: str) -> None:
    chosen = http["route"] if len(http["route"]) == 1 else [one for one in http["route"] if one.get("weight")]
    hashed = [
        policy for one in chosen for policy in destinations.hash_policy(one["destination"], context, namespace)
    ]
    only = chosen[0] if len(http["route"]) == 1 else None
    action = route["route"] = actions.forwarding(http, hashed=bool(hashed and only))
    if hashed:
        action["hash_policy"] = hashed
    rewrite = http.get("rewrite") or {}
    action.update(actions.rewrite(rewrite))
    if mirrored := mirrors.policies(http, context, namespace):
        action["request_mirror_policies"] = mirrored
    authority = rewrite.get("authority") or header_changes.authority(http.get("headers") or {})
    if only:
        action["cluster"] = destinations.cluster(only["destination"], context, namespace)
        for field, more in header_changes.changes(only.get("headers") or {}).items():
            route[field] = [*route.get(field, ()), *more]
        authority = authority or header_changes.authority(only.get("headers") or {})
    else:
        action["weighted_clusters"] = {"clusters": [_weighted(one, context, namespace) for one in chosen]}
    if authority:
        action["host_rewrite_literal"] = authority


def _weighted(route: Mapping[str, Any], context: Context, namespace: str) -> dict[str, Any]:
    headers = route.get("headers") or {}
    made = {
        "name": destinations.cluster(route["destination"], context, namespace),
        "weight": route["weight"],
        **header_changes.changes(headers),
    }
    authority = header_changes.authority(headers)
    return {**made, "host_rewrite_literal": authority} if authority else made


_DEFAULT_ACTION = actions.forwarding({})

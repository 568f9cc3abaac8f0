"""A rule's CORS policy, by Envoy's CORS filter, which does nothing where a route says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.mesh.durations import seconds
from sandbox.mesh.matches import string
from sandbox.mesh.percentages import whole
from sandbox.mesh.xds.protobuf import TYPE_PREFIX

FILTER = "envoy.filters.http.cors"
FILTER_TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.cors.v3.Cors"
_POLICY_TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.cors.v3.CorsPolicy"

_LISTS = (
    ("allowHeaders", "allow_headers"),
    ("allowMethods", "allow_methods"),
    ("exposeHeaders", "expose_headers"),
)


def filter_config(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The filter's settings for one route. Preflights from other origins are forwarded unless told otherwise."""
    origins = [string(origin) for origin in policy.get("allowOrigins") or []]
    made: dict[str, Any] = {
        "@type": _POLICY_TYPE,
        "filter_enabled": {"default_value": whole(100)},
        "forward_not_matching_preflights": policy.get("unmatchedPreflights") != "IGNORE",
        "allow_origin_string_match": origins or [{"exact": origin} for origin in policy.get("allowOrigin") or []],
        **{there: ",".join(policy[here]) for here, there in _LISTS if policy.get(here)},
    }
    if policy.get("allowCredentials") is not None:
        made["allow_credentials"] = policy["allowCredentials"]
    if "maxAge" in policy:
        made["max_age"] = str(int(seconds(policy["maxAge"])))
    return made

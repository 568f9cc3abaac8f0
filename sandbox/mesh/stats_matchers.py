"""Which statistics Envoy keeps: those that some proxy shows.

A real Envoy is told at its start which it is to have: a few of Istio's choice, and those that its pod's annotations
name. Here all proxies share one Envoy. It is told at its start what all of them show; listeners and clusters of a
proxy say for themselves what else is to be kept of them. With all of Istio's labs Envoy would keep 70,000
statistics otherwise, and walk them all whenever somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.mesh import metric_loggers
from sandbox.mesh.istio_annotations import POLICY_SUFFIXES
from sandbox.mesh.registry import Proxy

Matcher = Mapping[str, Any]
"""Envoy's StatsMatcher."""

_FIELD = "stats_matcher"
_METRICS = f"{metric_loggers.PREFIX}."
_LISTENER = "listener."
_KINDS = ("cluster.", "http.", _LISTENER, "tcp.")
"""How Envoy's names begin before the proxy's id; it may also be the first there is."""
_MANAGER = ".http."
"""Comes before the id once more, in names of what a listener counts for a connection manager."""


def _with_prefixes(*prefixes: str) -> list[dict[str, str]]:
    return [{"prefix": prefix} for prefix in prefixes]


OF_ALL: Matcher = {"inclusion_list": {"patterns": _with_prefixes(_METRICS, "server.", "listener_manager.")}}
"""What is kept of whatever says nothing else. All are prefixes that end with a dot, by which Envoy tells what it
need not keep without writing out the name, or remembering it."""

_EVERYTHING: Matcher = {"reject_all": False}


def only(cluster: dict[str, Any], suffix: str) -> dict[str, Any]:
    """A cluster of which nothing is kept but what ends like this."""
    return {**cluster, _FIELD: {"inclusion_list": {"patterns": [{"suffix": suffix}]}}}


class StatsMatchers:
    """One proxy's, as its pod's annotations say."""

    def __init__(self, proxy: Proxy) -> None:
        inclusion = proxy.inclusion
        if inclusion.suffixes or inclusion.regexps:  # of names without the proxy's id: told when somebody looks
            self._of_cluster: Matcher | None = _EVERYTHING
            self._of_listener: Matcher = _EVERYTHING
            return
        prefixes = sorted({one for asked in inclusion.prefixes for one in _as_envoy_writes(asked, proxy.id)})
        of_clusters = [one for one in prefixes if one.startswith("cluster.")]
        others = [one for one in prefixes if one not in of_clusters]
        self._of_cluster = {"inclusion_list": {"patterns": _with_prefixes(*of_clusters)}} if of_clusters else None
        of_policies = [{"suffix": suffix} for suffix in POLICY_SUFFIXES]
        self._of_listener = {"inclusion_list": {"patterns": [*_with_prefixes(_METRICS, *others), *of_policies]}}

    def of_cluster(self, cluster: dict[str, Any]) -> dict[str, Any]:
        return cluster if self._of_cluster is None else {**cluster, _FIELD: self._of_cluster}

    def of_listener(self, listener: dict[str, Any]) -> dict[str, Any]:
        """With what is counted by its filters."""
        return {**listener, _FIELD: self._of_listener}


def _as_envoy_writes(prefix: str, proxy_id: str) -> Iterator[str]:
    """Prefixes of all names that begin with `prefix` when the proxy's id is taken out of them."""
    yield f"{proxy_id}/{prefix}"
    for kind in _KINDS:
        if kind.startswith(prefix):
            yield f"{kind}{proxy_id}/"
        elif prefix.startswith(kind):
            rest = prefix.removeprefix(kind)
            if kind == _LISTENER:
                rest = rest.replace(_MANAGER, f"{_MANAGER}{proxy_id}/", 1)
            yield f"{kind}{proxy_id}/{rest}"


def without(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A listener or cluster as it is on a real proxy, whose Envoy is told at its start."""
    if _FIELD in config and "name" in config:
        return {key: value for key, value in config.items() if key != _FIELD}
    return config

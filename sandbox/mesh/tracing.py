"""Envoy's own tracer in the listeners of one proxy, as istiod configures it (pilot/pkg/networking/core/tracing.go).

All proxies share one Envoy, which would say of every span that it is its own. So each proxy's tracer says who it
is: OpenTelemetry's has a name for the service; Zipkin's has none but Envoy's, and what it sends goes through
`zipkin_relay` on its way. What would tell of Envoy, or has the proxy's id in front, is said anew as it is of a real
proxy: the tags `node_id`, `upstream_cluster` and `upstream_cluster.name`, and the operation of a gateway's second
span.

Where nothing is traced, nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import envoy_clusters, telemetry, zipkin_relay
from sandbox.mesh.extension_providers import Provider
from sandbox.mesh.kept import Kept
from sandbox.mesh.mesh_config import MeshConfig
from sandbox.mesh.registry import CLUSTER_ID, TRUST_DOMAIN, Proxy, Registry
from sandbox.mesh.telemetry import Mode, Traced
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX, Part

_MANAGER = "HttpConnectionManager"
_IN_CLUSTERS, _NAME_OF, _OBSERVED = "sandbox", "name", "observed"
"""Where clusters that spans tell of say how a real proxy calls them, and its statistics. Envoy could also cut off
the id by a regular expression (CEL), which took a tenth of a millisecond for each span."""

_NAME, _REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"


@dataclass(frozen=True)
class Tracing:
    """What a proxy's connection managers are told: those that take requests in (`server`), and the others. None: no
    tracing."""

    client: Mapping[str, Any] | None = None
    server: Mapping[str, Any] | None = None
    possible: bool = False
    """Whether the mesh has a provider: clusters then say how they are called. Switching spans on and off leaves
    them as they are."""

    def named(self, cluster: dict[str, Any]) -> dict[str, Any]:
        """The cluster with what its spans need, if there may be any."""
        if not self.possible:
            return cluster
        name = cluster["name"].partition("/")[2]
        metadata = (cluster.get("metadata") or {}).get("filter_metadata") or {}
        told = {**metadata, _IN_CLUSTERS: {_NAME_OF: name, _OBSERVED: f"{name};"}}
        return {**cluster, "metadata": {"filter_metadata": told}}


OFF = Tracing()


def of_proxy(proxy: Proxy, concerned: Iterable[Object], mesh: MeshConfig, known: Registry) -> Tracing:
    """`concerned` are the Telemetries for the proxy; `known` is what it knows of the mesh."""
    if not mesh.providers:
        return OFF
    concerned = tuple(concerned)

    def told(mode: Mode) -> Mapping[str, Any] | None:
        return _manager(proxy, telemetry.traced(concerned, mode, mesh), mesh, known)

    return Tracing(told("CLIENT"), told("SERVER"), possible=True)


def _manager(proxy: Proxy, wanted: Traced, mesh: MeshConfig, known: Registry) -> Mapping[str, Any] | None:
    """Envoy's HttpConnectionManager.Tracing. As with istiod there is none to a service that is not there."""
    provider = mesh.provider(wanted.provider)
    if wanted.disabled or provider is None or (cluster := _cluster(proxy, provider, known)) is None:
        return None
    percent = mesh.traced_percent if wanted.percent is None else wanted.percent
    everything = {"value": 100}
    made: dict[str, Any] = {
        "client_sampling": everything,
        "overall_sampling": everything,
        "random_sampling": {"value": percent},
        "custom_tags": sorted(_tags(proxy, wanted), key=lambda tag: str(tag["tag"])),
        "provider": _tracer(proxy, provider, cluster),
    }
    if proxy.kind == "gateway":
        observed = f"%CLUSTER_METADATA({_IN_CLUSTERS}:{_OBSERVED})%"
        made |= {"spawn_upstream_span": True, "upstream_operation": f"router {observed} egress"}
    return made


def _cluster(proxy: Proxy, provider: Provider, known: Registry) -> str | None:
    service = known.by_host.get(provider.host)
    if service is None or service.port(provider.port) is None:
        return None
    if provider.namespace not in ("", service.namespace):
        return None
    return envoy_clusters.name(proxy.id, provider.host, provider.port)


def _tags(proxy: Proxy, wanted: Traced) -> Iterator[Mapping[str, Any]]:
    yield _literal("node_id", proxy.node_id)
    yield _of_cluster("upstream_cluster", _NAME_OF)
    yield _of_cluster("upstream_cluster.name", _OBSERVED)
    if wanted.istio_tags:
        yield _literal("istio.canonical_revision", proxy.labels.get(_REVISION) or "latest")
        yield _literal("istio.canonical_service", proxy.labels.get(_NAME) or "unknown")
        yield _literal("istio.cluster_id", CLUSTER_ID)
        yield _literal("istio.mesh_id", TRUST_DOMAIN)
        yield _literal("istio.namespace", proxy.namespace)
    for name, tag in wanted.tags.items():
        if "literal" in tag:
            yield _literal(name, tag["literal"]["value"])
        elif "header" in tag:
            header = {"name": tag["header"]["name"], "default_value": tag["header"].get("defaultValue", "")}
            yield {"tag": name, "request_header": header}


def _literal(name: str, value: str) -> Mapping[str, Any]:
    return {"tag": name, "literal": {"value": value}}


def _of_cluster(name: str, key: str) -> Mapping[str, Any]:
    """Those that all proxies have together say nothing of themselves, and are called as Envoy does."""
    where = {"key": _IN_CLUSTERS, "path": [{"key": key}]}
    return {"tag": name, "metadata": {"kind": {"cluster": {}}, "metadata_key": where}}


def _tracer(proxy: Proxy, provider: Provider, cluster: str) -> Mapping[str, Any]:
    kind = f"envoy.tracers.{provider.kind}"
    if provider.kind == "zipkin":
        return {"name": kind, "typed_config": zipkin_relay.tracer(proxy, provider, cluster)}
    config: dict[str, Any] = {
        "@type": f"{TYPE_PREFIX}envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": proxy.service_cluster,
    }
    if provider.path:
        uri = {"uri": provider.host + provider.path, "cluster": cluster, "timeout": provider.timeout}
        config["http_service"] = {"http_uri": uri}
    else:
        config["grpc_service"] = {"envoy_grpc": {"cluster_name": cluster, "authority": provider.host}}
    return {"name": kind, "typed_config": config}


class TracedListeners:
    """One proxy's listeners with its tracer in all connection managers. What was equal stays the same object."""

    def __init__(self, proxy_id: str) -> None:
        self._health = f"{proxy_id}/health"
        self._chains: Kept[tuple[str, str], dict[str, Any]] = Kept()

    def of(self, opened: Iterable[dict[str, Any]], tracing: Tracing) -> Iterable[dict[str, Any]]:
        if tracing.client is None and tracing.server is None:
            return opened
        self._chains.turn()
        return [one if one["name"] == self._health else self._listener(one, tracing) for one in opened]

    def _listener(self, listener: dict[str, Any], tracing: Tracing) -> dict[str, Any]:
        name, inbound = listener["name"], listener["traffic_direction"] == "INBOUND"
        told = tracing.server if inbound else tracing.client
        if told is None:
            return listener

        def with_tracer(chain: dict[str, Any]) -> dict[str, Any]:
            return self._chains.get((name, chain["name"]), (chain, told), lambda: _traced(chain, told))

        return {**listener, "filter_chains": [with_tracer(chain) for chain in listener["filter_chains"]]}


def _traced(chain: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    filters = [
        {**one, "typed_config": {**config, "tracing": told}}
        if (config := one["typed_config"])["@type"].endswith(_MANAGER)
        else one
        for one in chain["filters"]
    ]
    made = {**chain, "filters": filters}
    return Part(made) if isinstance(chain, Part) else made

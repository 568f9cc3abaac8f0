"""What makes spans that Envoy's Zipkin tracer sends those of the proxy that they are of.

The tracer takes the service's name and address from Envoy, of which there is one for all proxies. So it sends them
to a listener of Envoy's own, at a socket that nobody else has, with the proxy's name in headers; there they are put
into the spans, and the request goes on to the collector by the proxy's own cluster.
"""

from __future__ import annotations

from typing import Any

from sandbox.mesh import listeners, traffic_policies
from sandbox.mesh.extension_providers import Provider
from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds.ads import Configuration
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

SOCKET = "zipkin.sock"
"""In Envoy's own folder."""
NODE = "sandbox"
"""What Envoy calls itself."""

_NAME = "sandbox.zipkin"
_PATH = "/api/v2/spans"
_TIMEOUT = "5s"
_SERVICE, _ADDRESS, _CLUSTER = "x-sandbox-service", "x-sandbox-address", "x-sandbox-cluster"

_PUT_IN = f"""
function envoy_on_request(handle)
  local body = handle:body()
  local headers = handle:headers() -- not before: waiting for the body ends what was had of the headers
  local service, address = headers:get("{_SERVICE}"), headers:get("{_ADDRESS}")
  local spans = body:getBytes(0, body:length())
  spans = spans:gsub('"localEndpoint":%b{{}}', function(found)
    found = found:gsub('"serviceName":"{NODE}"', '"serviceName":"' .. service .. '"')
    return (found:gsub('"ipv4":"[%d.]*"', '"ipv4":"' .. address .. '"'))
  end)
  headers:replace("content-length", body:setBytes(spans))
end
"""


def tracer(proxy: Proxy, provider: Provider, cluster: str) -> dict[str, Any]:
    """Envoy's ZipkinConfig; the collector is behind the proxy's `cluster`."""
    told = ((_SERVICE, proxy.service_cluster), (_ADDRESS, proxy.address), (_CLUSTER, cluster))
    return {
        "@type": f"{TYPE_PREFIX}envoy.config.trace.v3.ZipkinConfig",
        "collector_endpoint_version": "HTTP_JSON",
        "trace_id_128bit": True,
        "shared_span_context": False,
        "collector_service": {
            "http_uri": {"uri": f"http://{provider.host}{_PATH}", "cluster": _NAME, "timeout": _TIMEOUT},
            "request_headers_to_add": [{"header": {"key": key, "value": value}} for key, value in told],
        },
    }


def shared() -> Configuration:
    """Of all proxies: the listener, and the way to it."""
    pipe = {"pipe": {"path": SOCKET, "mode": 0o600}}
    cluster = {
        "name": _NAME,
        "type": "STATIC",
        **traffic_policies.connection({}),
        "load_assignment": {
            "cluster_name": _NAME,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": SOCKET}}}}]}],
        },
    }
    lua = {
        "@type": f"{TYPE_PREFIX}envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": _PUT_IN},
    }
    manager = listeners.connection_manager(_NAME)
    on = {
        "match": {"prefix": "/"},
        "route": {"cluster_header": _CLUSTER, "timeout": _TIMEOUT},
        "request_headers_to_remove": [_SERVICE, _ADDRESS, _CLUSTER],
    }
    http = {
        **manager,
        "http_filters": [{"name": "envoy.filters.http.lua", "typed_config": lua}, manager["http_filters"][-1]],
        "route_config": {"virtual_hosts": [{"name": _NAME, "domains": ["*"], "routes": [on]}]},
    }
    listener = {"name": _NAME, "address": pipe, "filter_chains": [listeners.chain(_NAME, {}, http)]}
    return Configuration(clusters={_NAME: cluster}, listeners={_NAME: listener})

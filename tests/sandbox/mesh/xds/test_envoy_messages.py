"""Resources become Envoy's messages, and a mistake in one is an error that says where it is."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseError

from sandbox.mesh.xds.envoy_messages import encode

CLUSTER = "envoy.config.cluster.v3.Cluster"
RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def in_any(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{name}", **value}


def test_canonical_json_becomes_envoys_bytes() -> None:
    made = encode(CLUSTER, {"name": "a", "type": "EDS", "connect_timeout": "0.25s"})
    assert made.SerializeToString(deterministic=True) == b"\x0a\x01a\x10\x03\x22\x05\x10\x80\xe5\x9a\x77"


def test_an_any_has_its_type() -> None:
    resource = encode(RESPONSE, {"resources": [{"resource": in_any(CLUSTER, {"name": "a"})}]}).resources[0].resource  # type: ignore[attr-defined]
    assert (resource.type_url, resource.value) == (f"type.googleapis.com/{CLUSTER}", b"\x0a\x01a")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"nmae": "x"}, 'no field named "nmae" at "DeltaDiscoveryResponse.resources[0].resource"'),
        ({"type": "EDSS"}, "EDSS for enum type envoy.config.cluster.v3.Cluster.DiscoveryType"),
        ({"name": 3}, "Failed to parse name field"),
        (
            {"load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"addres": {}}}]}]}},
            'no field named "addres" at '
            '"DeltaDiscoveryResponse.resources[0].resource.load_assignment.endpoints[0].lb_endpoints[0].endpoint"',
        ),
        (
            {"typed_extension_protocol_options": {"http": in_any(OPTIONS, {"explicit": {}})}},
            'no field named "explicit" at '
            '"DeltaDiscoveryResponse.resources[0].resource.typed_extension_protocol_options[http]"',
        ),
    ],
)
def test_a_mistake_is_named_with_its_path(value: dict[str, Any], said: str) -> None:
    with pytest.raises(ParseError) as raised:
        encode(RESPONSE, {"resources": [{"resource": in_any(CLUSTER, value)}]})
    assert said in str(raised.value)

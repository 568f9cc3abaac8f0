"""Bytes as the Protocol Buffers' own documentation and decoders have them."""

from __future__ import annotations

import struct

import pytest

from workshop.sandbox.mesh.xds.protobuf import EncodingError, decode, encode, encode_any

CLUSTER = "envoy.config.cluster.v3.Cluster"


def fields(message: str, value: dict) -> dict[int, object]:
    return dict(decode(encode(message, value)))


def test_scalars_enums_and_strings() -> None:
    found = fields(
        CLUSTER,
        {"name": "a", "type": "EDS", "lb_policy": "RANDOM", "close_connections_on_host_health_failure": True},
    )
    assert found == {1: b"a", 2: 3, 6: 3, 31: 1}


def test_varints_grow_with_the_number() -> None:
    address = "envoy.config.core.v3.SocketAddress"
    assert encode(address, {"port_value": 300}) == b"\x18\xac\x02"


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"), [("5s", 5, 0), ("0.25s", 0, 250_000_000), ("1.000000001s", 1, 1)]
)
def test_durations(text: str, seconds: int, nanos: int) -> None:
    found = fields(CLUSTER, {"connect_timeout": text})
    assert dict(decode(found[4])) == {1: seconds, 2: nanos}  # type: ignore[arg-type]


def test_wrapped_numbers_are_messages() -> None:
    thresholds = "envoy.config.cluster.v3.CircuitBreakers.Thresholds"
    assert fields(thresholds, {"max_connections": 2**32 - 1}) == {2: b"\x08\xff\xff\xff\xff\x0f"}


def test_repeated_fields_keep_their_order() -> None:
    host = "envoy.config.route.v3.VirtualHost"
    found = [value for number, value in decode(encode(host, {"domains": ["b", "a"]})) if number == 2]
    assert found == [b"b", b"a"]


def test_maps_are_repeated_pairs() -> None:
    metadata = "envoy.config.core.v3.Metadata"
    found = fields(metadata, {"filter_metadata": {"k": {"n": 1.5, "t": "x", "l": [True, None]}}})
    entry = dict(decode(found[1]))  # type: ignore[arg-type]
    assert entry[1] == b"k"
    values = {
        dict(decode(pair))[1]: dict(decode(dict(decode(pair))[2]))
        for number, pair in decode(entry[2])
        if number == 1
    }
    assert values[b"n"] == {2: struct.pack("<d", 1.5)}
    assert values[b"t"] == {3: b"x"}
    assert [dict(decode(item)) for _, item in decode(values[b"l"][6])] == [{4: 1}, {1: 0}]


def test_an_any_has_its_type() -> None:
    found = dict(decode(encode_any({"@type": f"type.googleapis.com/{CLUSTER}", "name": "a"})))
    assert found == {1: f"type.googleapis.com/{CLUSTER}".encode(), 2: b"\x0a\x01a"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"nmae": "x"}, ".nmae: not a field"),
        ({"type": "EDSS"}, ".type: 'EDSS'"),
        ({"name": 3}, ".name: 3 is not a string"),
        (
            {"load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"addres": {}}}]}]}},
            ".addres: not a field",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path(value: dict, path: str) -> None:
    with pytest.raises(EncodingError) as raised:
        encode(CLUSTER, value)
    assert path in str(raised.value)

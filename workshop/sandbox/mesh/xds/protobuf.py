"""Protocol Buffers for exactly what is sent to Envoy: resources in their canonical JSON form become bytes.

Field numbers and types come from schema.json (see tools/extract_xds_schema.py). A name that is not in there is an
error with its path, so a mistake in a translation never reaches Envoy as a missing setting.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

Encoder = Callable[[Any], bytes]
TYPE_PREFIX = "type.googleapis.com/"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WRAPPED = {
    "google.protobuf.BoolValue": "bool",
    "google.protobuf.UInt32Value": "uint32",
    "google.protobuf.UInt64Value": "uint64",
    "google.protobuf.Int64Value": "int64",
    "google.protobuf.DoubleValue": "double",
    "google.protobuf.StringValue": "string",
}


class EncodingError(ValueError):
    """JSON that is not a message of the type it should be."""


def varint(value: int) -> bytes:
    if value < 0:
        value += 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(message: str, value: dict[str, Any]) -> bytes:
    """`value` as a serialized `message` (a full name). Raises EncodingError."""
    return _message(message)(value)


def encode_any(value: dict[str, Any]) -> bytes:
    """A google.protobuf.Any of a JSON object whose "@type" says what it is."""
    fields = dict(value)
    url: str = fields.pop("@type")
    body = _message(url.removeprefix(TYPE_PREFIX))(fields)
    name = url.encode()
    return b"\x0a" + varint(len(name)) + name + b"\x12" + varint(len(body)) + body


def decode(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and raw values (int or bytes) of a serialized message."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
        else:
            size, at = _read_varint(data, at) if kind == _BYTES else ({_FIXED32: 4, _FIXED64: 8}[kind], at)
            yield tag >> 3, data[at : at + size]
            at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


@cache
def _schema() -> dict[str, Any]:
    text = (resources.files(__package__) / "schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def _delimited(encoder: Encoder) -> Encoder:
    def encode_delimited(value: Any) -> bytes:
        body = encoder(value)
        return varint(len(body)) + body

    return encode_delimited


def _string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise EncodingError(f": {value!r} is not a string")
    return value.encode()


def _integer(value: Any) -> bytes:
    return varint(int(value))


def _duration(value: str) -> bytes:
    """ "1.5s": seconds (1) and nanoseconds (2)."""
    seconds, _, fraction = value.removesuffix("s").partition(".")
    return b"\x08" + varint(int(seconds)) + b"\x10" + varint(int(fraction.ljust(9, "0")[:9]) if fraction else 0)


def _struct(value: dict[str, Any]) -> bytes:
    return b"".join(
        b"\x0a" + _delimited(lambda pair: _key_value(_string(pair[0]), _json_value(pair[1])))(item)
        for item in value.items()
    )


def _key_value(key: bytes, value: bytes) -> bytes:
    return b"\x0a" + varint(len(key)) + key + b"\x12" + varint(len(value)) + value


def _json_value(value: Any) -> bytes:
    if value is None:
        return b"\x08\x00"
    if isinstance(value, bool):
        return b"\x20" + varint(value)
    if isinstance(value, (int, float)):
        return b"\x11" + struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x1a" + _delimited(_string)(value)
    if isinstance(value, dict):
        return b"\x2a" + _delimited(_struct)(value)
    items = b"".join(b"\x0a" + _delimited(_json_value)(item) for item in value)
    return b"\x32" + varint(len(items)) + items


def _scalar(kind: str) -> tuple[int, Encoder] | None:
    """Wire type and encoder of a scalar type."""
    if kind in ("int32", "int64", "uint32", "uint64", "bool"):
        return _VARINT, _integer
    if kind.startswith("enum:"):
        numbers: dict[str, int] = _schema()["enums"][kind.removeprefix("enum:")]
        return _VARINT, lambda value: varint(numbers[value])
    if kind == "string":
        return _BYTES, _delimited(_string)
    if kind == "double":
        return _FIXED64, lambda value: struct.pack("<d", value)
    if kind == "float":
        return _FIXED32, lambda value: struct.pack("<f", value)
    return None


def _field(kind: str) -> tuple[int, Encoder]:
    """Wire type and encoder of one value of a type as schema.json writes it."""
    if scalar := _scalar(kind):
        return scalar
    return _BYTES, _delimited(_message(kind))


@cache
def _message(name: str) -> Encoder:
    if name in _WRAPPED:
        wire, encoder = _field(_WRAPPED[name])
        return lambda value: _tag(1, wire) + encoder(value)
    well_known: dict[str, Encoder] = {
        "google.protobuf.Any": encode_any,
        "google.protobuf.Duration": _duration,
        "google.protobuf.Struct": _struct,
        "google.protobuf.Value": _json_value,
        "google.protobuf.Empty": lambda value: b"",
    }
    if name in well_known:
        return well_known[name]
    described = _schema()["messages"].get(name)
    if described is None:
        raise EncodingError(f": {name} is not in the schema")
    encoders: dict[str, Encoder] = {}

    def encode_message(value: dict[str, Any]) -> bytes:
        out = []
        for key, item in value.items():
            encoder = encoders.get(key)
            if encoder is None:
                if key not in described:
                    raise EncodingError(f".{key}: not a field of {name}")
                encoder = encoders[key] = _field_encoder(described[key])
            try:
                out.append(encoder(item))
            except EncodingError as error:
                raise EncodingError(f".{key}{error}") from None
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise EncodingError(f".{key}: {item!r} is not a value of this field of {name}") from error
        return b"".join(out)

    return encode_message


def _field_encoder(description: str) -> Encoder:
    """The encoder of a whole field, tag included, from "NUMBER[*] TYPE"."""
    number_text, _, kind = description.partition(" ")
    number = int(number_text.rstrip("*"))
    if kind.startswith("map:"):
        _, key_kind, value_kind = kind.split(":", 2)
        return _map_encoder(_tag(number, _BYTES), _field(key_kind), _field(value_kind))
    wire, encoder = _field(kind)
    tag = _tag(number, wire)
    if number_text.endswith("*"):
        return lambda items: b"".join(tag + encoder(item) for item in items)
    return lambda item: tag + encoder(item)


def _map_encoder(tag: bytes, key: tuple[int, Encoder], value: tuple[int, Encoder]) -> Encoder:
    key_tag, value_tag = _tag(1, key[0]), _tag(2, value[0])

    def encode_map(items: dict[Any, Any]) -> bytes:
        entries = (key_tag + key[1](name) + value_tag + value[1](item) for name, item in items.items())
        return b"".join(tag + varint(len(entry)) + entry for entry in entries)

    return encode_map

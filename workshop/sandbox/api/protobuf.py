"""Reads request bodies in Kubernetes' protobuf encoding.

kubectl's typed clients (`create namespace`, `create deployment`, `auth can-i`, `drain`) send nothing else. The
answer is JSON, which they accept as well. A body is four magic bytes and an envelope with the apiVersion, the
kind and the object; what a number means is in `data/protobuf.json` (see tools/extract_protobuf.py), what type
it has in the schema that JSON objects are checked by.

Go writes fields that are not pointers even when they are empty. They are left out here as they would be in
JSON, so that an empty name is not taken for a name that was given.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from ..cluster import Object
from ..schema import types
from ..schema.types import LIST, MAP, OBJECT, Type
from . import errors

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Message = dict[int, list[Any]]
"""Values by field number: int for varints, bytes for all else."""


def decode(body: bytes) -> Object:
    """The object of a body, as JSON has it. Raises ApiError BadRequest when there is none."""
    try:
        if not body.startswith(_MAGIC):
            raise ValueError("the prefix is missing")
        envelope = _parse(body[len(_MAGIC) :])
        meta = _parse(_last(envelope, 1, b""))
        api_version, kind = _text(_last(meta, 1, b"")), _text(_last(meta, 2, b""))
        obj = _object(_last(envelope, 2, b""), _type_of(api_version, kind))
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise errors.bad_request(f"the object provided is unrecognized (protobuf): {error}") from None
    return {"apiVersion": api_version, "kind": kind, **obj}


def _type_of(api_version: str, kind: str) -> Type:
    # Options have the group and version of what they are about.
    found = types.named(_META + kind) if kind == "DeleteOptions" else types.of_kind(api_version, kind)
    if found is None:
        raise ValueError(f"no kind {kind} in {api_version}")
    return found


@cache
def _numbers() -> dict[str, list[str]]:
    text = resources.files(__package__).joinpath("data/protobuf.json").read_text(encoding="utf-8")
    return {name: words.split() for name, words in json.loads(text).items()}


def _object(data: bytes, kind: Type) -> Object:
    made: Object = {}
    _fill(made, _parse(data), kind.name, kind)
    return made


def _fill(made: Object, message: Message, name: str, kind: Type) -> None:
    """Add the fields of a message of the struct `name`, which is `kind` or inline in it."""
    words = _numbers()[name]
    for number, values in message.items():
        word = words[number - 1] if number <= len(words) else "-"
        if word == "-":
            raise ValueError(f"{name} has no field {number}")
        if word.startswith("@"):
            _fill(made, _parse(values[-1]), word[1:], kind)
            continue
        field = word.rstrip("!")
        value = _value(values, kind.fields[field].type)
        if value or word.endswith("!"):
            made[field] = value


def _value(values: list[Any], kind: Type) -> Any:
    if kind.form == LIST:
        assert kind.element is not None
        return [_single(value, kind.element) for value in values]
    if kind.form == MAP:
        return dict(_entry(value, kind) for value in values)
    return _single(values[-1], kind)


def _entry(data: bytes, kind: Type) -> tuple[str, Any]:
    assert kind.element is not None
    entry = _parse(data)
    return _text(_last(entry, 1, b"")), _single(_last(entry, 2, b""), kind.element)


def _single(value: Any, kind: Type) -> Any:
    form = kind.form
    if form == OBJECT:
        return _object(value, kind)
    if form == "boolean":
        return bool(value)
    if form in ("int32", "int64", "integer"):
        return _signed(value)
    if form in ("double", "number"):
        return struct.unpack("<d", value)[0]
    if form == "bytes":
        return base64.b64encode(value).decode()
    if form == "date-time":
        return _time(_parse(value), micro=kind.name.endswith("MicroTime"))
    if form == "quantity":
        return _text(_last(_parse(value), 1, b""))
    if form == "int-or-string":
        either = _parse(value)
        return _text(_last(either, 3, b"")) if _last(either, 1, 0) else _signed(_last(either, 2, 0))
    if form == "string":
        return _text(value)
    return json.loads(_last(_parse(value), 1, b"") or b"null")


def _time(message: Message, *, micro: bool) -> str | None:
    if not message:
        return None
    when = datetime.fromtimestamp(_signed(_last(message, 1, 0)), UTC)
    if not micro:
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return when.replace(microsecond=_last(message, 2, 0) // 1000).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _last(message: Message, number: int, default: Any) -> Any:
    """A field that is there once: of several the last counts."""
    return message[number][-1] if number in message else default


def _text(value: Any) -> str:
    return bytes(value).decode()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _parse(data: bytes) -> Message:
    message: Message = {}
    for number, value in _fields(data):
        message.setdefault(number, []).append(value)
    return message


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(data):
            raise ValueError("it ends within a field")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")

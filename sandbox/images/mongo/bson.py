"""BSON (https://bsonspec.org): the types that ordinary documents and drivers' greetings are made of.

Integers have the size that they fit into, as in most drivers; whether a small one came as 64 bits is forgotten.
What is not here (timestamps, decimals, code, regular expressions) is refused with its type's number.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Document = dict[str, Any]

DEEPEST = 100
"""Levels, as MongoDB's own limit."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT32, _INT64 = range(-(2**31), 2**31), range(-(2**63), 2**63)


class BadBson(ValueError):
    """What came is no BSON, or has what is not implemented."""


@dataclass(frozen=True, slots=True)
class ObjectId:
    raw: bytes

    @classmethod
    def new(cls) -> ObjectId:
        """The seconds since 1970, and eight random bytes: as a driver makes them, so they sort by age."""
        return cls(struct.pack(">I", int(time.time())) + secrets.token_bytes(8))

    def __str__(self) -> str:
        return self.raw.hex()


@dataclass(frozen=True, slots=True)
class Binary:
    subtype: int
    data: bytes


def encode(document: Mapping[str, Any]) -> bytes:
    """Raises TypeError for a value of another type, ValueError for a key or a number BSON cannot hold."""
    body = b"".join(_element(key, value) for key, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(key: str, value: Any) -> bytes:
    name = key.encode()
    if b"\0" in name:
        raise ValueError(f"a key of BSON ends at a zero byte: {key!r}")
    kind, data = _value(value)
    return bytes((kind,)) + name + b"\0" + data


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return 0x08, bytes((value,))
        case int() if value in _INT32:
            return 0x10, struct.pack("<i", value)
        case int() if value in _INT64:
            return 0x12, struct.pack("<q", value)
        case float():
            return 0x01, struct.pack("<d", value)
        case str():
            text = value.encode() + b"\0"
            return 0x02, struct.pack("<i", len(text)) + text
        case dict():
            return 0x03, encode(value)
        case list() | tuple():
            return 0x04, encode({str(index): one for index, one in enumerate(value)})
        case Binary():
            return 0x05, struct.pack("<iB", len(value.data), value.subtype) + value.data
        case ObjectId():
            return 0x07, value.raw
        case datetime():
            return 0x09, struct.pack("<q", round((value - _EPOCH) / timedelta(milliseconds=1)))
        case None:
            return 0x0A, b""
        case int():
            raise ValueError(f"more than 64 bits: {value}")
    raise TypeError(f"not of BSON: {value!r}")


def decode(data: bytes) -> Document:
    """One document, the whole of `data`. Raises BadBson."""
    reader = _Reader(data)
    document = reader.document(1)
    if reader.at != len(data):
        raise BadBson(f"{len(data) - reader.at} bytes after the document")
    return document


def decode_all(data: bytes) -> Iterable[Document]:
    """Documents one after the other. Raises BadBson."""
    reader = _Reader(data)
    while reader.at < len(data):
        yield reader.document(1)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def document(self, level: int) -> Document:
        if level > DEEPEST:
            raise BadBson(f"it is nested more than {DEEPEST} levels deep")
        start = self.at
        (size,) = self._unpack("<i")
        found: Document = {}
        while kind := self._take(1)[0]:
            key = self._cstring()
            found[key] = self._value(kind, key, level)
        if self.at - start != size:
            raise BadBson(f"a document of {size} bytes has {self.at - start}")
        return found

    def _value(self, kind: int, key: str, level: int) -> Any:
        match kind:
            case 0x01:
                return self._unpack("<d")[0]
            case 0x02:
                (size,) = self._unpack("<i")
                text = self._take(size)
                if not text.endswith(b"\0"):
                    raise BadBson(f"{key}: a string without its end")
                return _text(text[:-1])
            case 0x03:
                return self.document(level + 1)
            case 0x04:
                return list(self.document(level + 1).values())
            case 0x05:
                size, subtype = self._unpack("<iB")
                return Binary(subtype, self._take(size))
            case 0x07:
                return ObjectId(self._take(12))
            case 0x08:
                return self._take(1) != b"\0"
            case 0x09:
                return _moment(self._unpack("<q")[0])
            case 0x0A:
                return None
            case 0x10:
                return self._unpack("<i")[0]
            case 0x12:
                return self._unpack("<q")[0]
        raise BadBson(f"{key}: the sandbox has no BSON type 0x{kind:02x}")

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self._data):
            raise BadBson("it ends too early")
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def _cstring(self) -> str:
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise BadBson("a key without its end")
        return _text(self._take(end + 1 - self.at)[:-1])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadBson("text that is not UTF-8") from None


def _moment(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise BadBson(f"a date out of range: {milliseconds}") from None

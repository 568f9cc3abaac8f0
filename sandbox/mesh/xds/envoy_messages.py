"""Envoy's messages, out of resources in their canonical JSON form.

Their descriptors are packaged (see tools/extract_xds_schema.py); the message classes are made of them when first
asked for. A name that no message has is an error with its path, so a mistake in a translation never reaches Envoy
as a missing setting.

Writing is what costs most of a change. A large resource is made of many messages that stay as they are while one
changes (a route table of its virtual hosts, a listener of its filter chains): each of these, a `Part`, keeps how it
is written, and a message's bytes are those of its parts one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

TYPE_PREFIX = "type.googleapis.com/"


def encode(name: str, value: dict[str, Any]) -> Message:
    """`value` as a message of the type `name` (a full name). Raises json_format.ParseError."""
    return json_format.ParseDict(value, message_class(name)(), descriptor_pool=_pool())


class Part(dict[str, Any]):
    """A message among several in a field of a resource, never changed once it is made."""

    __slots__ = ("written",)

    written: bytes


def serialize(name: str, resource: dict[str, Any]) -> bytes:
    """`resource` as the bytes of a message of the type `name`. Raises json_format.ParseError."""
    return b"".join(pieces(name, resource))


def pieces(name: str, resource: dict[str, Any]) -> Iterator[bytes]:
    """The same in pieces, which may be written one at a time."""
    fields = message_class(name).DESCRIPTOR.fields_by_name
    whole: dict[str, Any] = {}
    in_parts: list[tuple[Any, list[Part]]] = []
    for key, value in resource.items():
        if isinstance(value, list) and value and all(isinstance(one, Part) for one in value):
            in_parts.append((fields[key], value))
        else:
            whole[key] = value
    yield encode(name, whole).SerializeToString()
    for field, parts in in_parts:
        tag = varint(field.number << 3 | _LENGTH_DELIMITED)
        for part in parts:
            yield _written(field.message_type.full_name, tag, part)


def prepare() -> Iterator[None]:
    """Make the classes of all messages, one at a time: made as they are needed, all come at once."""
    if not _prepared:
        _prepared.append(True)
        for file in _files():
            for message in file.message_type:
                message_class(f"{file.package}.{message.name}")
                yield


_prepared: list[bool] = []


_LENGTH_DELIMITED = 2


def _written(kind: str, tag: bytes, part: Part) -> bytes:
    try:
        return part.written
    except AttributeError:
        content = encode(kind, part).SerializeToString()
        part.written = tag + varint(len(content)) + content
        return part.written


def varint(number: int) -> bytes:
    """A number as Protocol Buffers writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


@cache
def message_class(name: str) -> type[Message]:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in _files():
        pool.Add(file)
    return pool


def _files() -> Sequence[descriptor_pb2.FileDescriptorProto]:
    """In an order in which none needs a later one."""
    packaged = (resources.files(__package__) / "envoy.binpb").read_bytes()
    return descriptor_pb2.FileDescriptorSet.FromString(packaged).file

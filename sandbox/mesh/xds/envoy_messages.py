"""Envoy's messages, out of resources in their canonical JSON form.

Their descriptors are packaged (see tools/extract_xds_schema.py); the message classes are made of them when first
asked for. A name that no message has is an error with its path, so a mistake in a translation never reaches Envoy
as a missing setting.
"""

from __future__ import annotations

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


@cache
def message_class(name: str) -> type[Message]:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> DescriptorPool:
    packaged = (resources.files(__package__) / "envoy.binpb").read_bytes()
    pool = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(packaged).file:
        pool.Add(file)
    return pool

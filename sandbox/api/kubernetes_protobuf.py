"""Reads request bodies in Kubernetes' protobuf encoding.

kubectl's typed clients (`create namespace`, `create deployment`, `auth can-i`) send nothing else. The
answer is JSON, which they accept as well. A body is four magic bytes and an envelope with the apiVersion, the
kind and the object. The messages' descriptors are packaged (see tools/extract_protobuf.py) and loaded with the
first such body.

Go writes fields that are not pointers even when they are empty. They are left out here as they would be in
JSON, so that an empty name is not taken for a name that was given.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from sandbox.api import api_errors as errors
from sandbox.core import nesting
from sandbox.core.cluster import Object
from sandbox.schema import types

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_MACHINERY = "k8s.io.apimachinery.pkg."
_META = f"{_MACHINERY}apis.meta.v1."


def decode(body: bytes) -> Object:
    """The object of a body, as JSON has it. Raises ApiError BadRequest when there is none."""
    try:
        if not body.startswith(_MAGIC):
            raise ValueError("the prefix is missing")
        envelope = _message(f"{_MACHINERY}runtime.Unknown", body[len(_MAGIC) :])
        api_version, kind = envelope.typeMeta.apiVersion, envelope.typeMeta.kind
        obj = _object(_message(_name(api_version, kind), envelope.raw))
    except (ValueError, KeyError, DecodeError) as error:
        raise errors.bad_request(f"the object provided is unrecognized (protobuf): {error}") from None
    return {"apiVersion": api_version, "kind": kind, **obj}


def _name(api_version: str, kind: str) -> str:
    # Options have the group and version of what they are about.
    if kind == "DeleteOptions":
        return _META + kind
    found = types.of_kind(api_version, kind)
    if found is None:
        raise ValueError(f"no kind {kind} in {api_version}")
    return found.name.replace("io.k8s.", "k8s.io.", 1)


@cache
def _pool() -> DescriptorPool:
    packaged = resources.files(__package__).joinpath("data/kubernetes.binpb").read_bytes()
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(packaged).file:
        pool.Add(file)
    return pool


def _message(name: str, data: bytes) -> Any:
    return GetMessageClass(_pool().FindMessageTypeByName(name)).FromString(data)


def _object(message: Any) -> Object:
    unknown = UnknownFieldSet(message)
    if len(unknown):
        raise ValueError(f"{message.DESCRIPTOR.full_name} has no field {unknown[0].field_number}")
    made: Object = {}
    for field, content in message.ListFields():
        value = _value(content)
        if not field.json_name:  # inline in JSON
            made.update(value)
        elif value or field.containing_oneof:  # an empty value that means something is `optional`
            made[field.json_name] = value
    return made


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        convert: Callable[[Any], Any] = _NOT_OBJECTS.get(value.DESCRIPTOR.full_name, _object)
        return convert(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(item) for item in value]
    return value


def _time(message: Any, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str | None:
    when = datetime.fromtimestamp(message.seconds, UTC).replace(microsecond=message.nanos // 1000)
    return when.strftime(form) if message.ListFields() else None


_NOT_OBJECTS: dict[str, Callable[[Any], Any]] = {
    f"{_META}Time": _time,
    f"{_META}MicroTime": lambda message: _time(message, "%Y-%m-%dT%H:%M:%S.%fZ"),
    f"{_META}FieldsV1": lambda message: nesting.parse(message.Raw or b"null"),
    f"{_MACHINERY}api.resource.Quantity": lambda message: message.string,
    f"{_MACHINERY}runtime.RawExtension": lambda message: nesting.parse(message.raw or b"null"),
    f"{_MACHINERY}util.intstr.IntOrString": lambda message: message.strVal if message.type else message.intVal,
}
"""Messages that are something else than an object in JSON."""

"""MongoDB's wire protocol: OP_MSG, and the OP_QUERY that drivers still begin with.

(MongoDB's manual, "MongoDB Wire Protocol".) Compression and checksums are for those who ask for them: a server that
does not offer them is not sent any.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.images.mongo.bson import BadBson, Document, decode, decode_all, encode

LARGEST = 48_000_000
"""Bytes of a message: the server's maxMessageSizeBytes."""
LARGEST_DOCUMENT = 16 * 1024 * 1024
_REPLY, _QUERY, _MESSAGE = 1, 2004, 2013
_CHECKSUM, _MORE_TO_COME, _EXHAUST = 1, 2, 1 << 16


class Message(NamedTuple):
    number: int
    query: bool
    """Whether it came as OP_QUERY, which is answered by OP_REPLY."""
    silent: bool
    """Whether nobody waits for an answer."""
    body: Document


async def read(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the connection ended before it. Raises BadBson, OSError, IncompleteReadError."""
    try:
        head = await reader.readexactly(16)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    size, number, _, code = struct.unpack("<iiii", head)
    if code not in (_QUERY, _MESSAGE, _REPLY) or not 16 < size <= LARGEST:
        raise BadBson(f"no message of MongoDB's that the sandbox knows: operation {code} of {size} bytes")
    data = await reader.readexactly(size - 16)
    if code == _MESSAGE:
        return _message(number, data)
    if code == _QUERY:
        end = data.find(b"\0", 4)
        return Message(number, True, False, decode(data[end + 1 + 8 :]))
    raise BadBson("an answer without a question")


def _message(number: int, data: bytes) -> Message:
    if len(data) < 5:
        raise BadBson("it ends too early")
    (flags,) = struct.unpack_from("<I", data)
    if flags & ~(_MORE_TO_COME | _EXHAUST):
        raise BadBson(f"flags the sandbox does not know: {flags:#x}")
    body: Document = {}
    rest = data[4:]
    while rest:
        kind, rest = rest[0], rest[1:]
        if len(rest) < 4 or kind > 1:
            raise BadBson(f"a section of kind {kind}")
        (size,) = struct.unpack_from("<i", rest)
        if not 4 < size <= len(rest):
            raise BadBson(f"a section of {size} bytes")
        section, rest = rest[:size], rest[size:]
        if kind == 0:
            body = {**decode(section), **body}
        else:
            name, _, documents = section[4:].partition(b"\0")
            body[name.decode(errors="replace")] = list(decode_all(documents))
    return Message(number, False, bool(flags & _MORE_TO_COME), body)


def command(number: int, body: Mapping[str, Any]) -> bytes:
    """OP_MSG: a command, or the answer to none."""
    return _framed(number, 0, _MESSAGE, b"\0\0\0\0\0" + encode(body))


def answer(to: Message, number: int, body: Mapping[str, Any]) -> bytes:
    if to.query:
        return _framed(number, to.number, _REPLY, struct.pack("<iqii", 8, 0, 0, 1) + encode(body))
    return _framed(number, to.number, _MESSAGE, b"\0\0\0\0\0" + encode(body))


def _framed(number: int, to: int, code: int, data: bytes) -> bytes:
    return struct.pack("<iiii", 16 + len(data), number, to, code) + data

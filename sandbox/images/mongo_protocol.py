"""MongoDB's protocol: BSON, the messages it is sent in, and a client for programs in pods.

BSON (https://bsonspec.org) has the types that ordinary documents and drivers' greetings are made of. Integers have
the size that they fit into, as in most drivers; whether a small one came as 64 bits is forgotten. What is not here
(timestamps, decimals, code, regular expressions) is refused with its type's number.

Messages (MongoDB's manual, "MongoDB Wire Protocol") are OP_MSG, and the OP_QUERY that drivers still begin with.
Compression and checksums are for those who ask for them: a server that does not offer them is not sent any.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.images import scram
from sandbox.network.pod_network import PodNetwork

Document = dict[str, Any]

DEEPEST = 100
"""Levels of a document, as MongoDB's own limit."""
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
    reader = _BsonReader(data)
    document = reader.document(1)
    if reader.at != len(data):
        raise BadBson(f"{len(data) - reader.at} bytes after the document")
    return document


def decode_all(data: bytes) -> Iterable[Document]:
    """Documents one after the other. Raises BadBson."""
    reader = _BsonReader(data)
    while reader.at < len(data):
        yield reader.document(1)


class _BsonReader:
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


# Messages.

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


async def read_message(reader: asyncio.StreamReader) -> Message | None:
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


def command_message(number: int, body: Mapping[str, Any]) -> bytes:
    """OP_MSG."""
    return _framed(number, 0, _MESSAGE, b"\0\0\0\0\0" + encode(body))


def answer_message(to: Message, number: int, body: Mapping[str, Any]) -> bytes:
    if to.query:
        return _framed(number, to.number, _REPLY, struct.pack("<iqii", 8, 0, 0, 1) + encode(body))
    return _framed(number, to.number, _MESSAGE, b"\0\0\0\0\0" + encode(body))


def _framed(number: int, to: int, code: int, data: bytes) -> bytes:
    return struct.pack("<iiii", 16 + len(data), number, to, code) + data


# A client.

PORT = 27017
PATIENCE = 5.0
"""Seconds for one command."""


class Unreachable(Exception):
    """The database did not answer, or not as one would; says where and why."""


@dataclass(frozen=True)
class Database:
    """One command, one connection, over the pod's own network: that notices at once when the Service is gone or
    leads to another pod. With a `user`, each connection logs in, at the database `source`."""

    network: PodNetwork
    host: str
    port: int
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    source: str = "admin"

    async def find(self, collection: str, **wanted: Any) -> list[Document]:
        """Documents with these fields. Raises Unreachable."""
        answer = await self._run({"find": collection, "filter": wanted})
        documents: list[Document] = answer["cursor"]["firstBatch"]
        return documents

    async def insert(self, collection: str, documents: list[Document]) -> None:
        """What is there by its `_id` stays as it is. Raises Unreachable."""
        await self._run({"insert": collection, "documents": documents, "ordered": False})

    async def ping(self) -> None:
        """Raises Unreachable."""
        await self._run({"ping": 1})

    async def _run(self, command: Document) -> Document:
        where = f"{self.host}:{self.port}"
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange({**command, "$db": self.name})
        except TimeoutError:
            raise Unreachable(f"{where} did not answer within {PATIENCE:.0f} s") from None
        except (OSError, asyncio.IncompleteReadError, BadBson, scram.ScramError) as error:
            raise Unreachable(f"{where}: {getattr(error, 'strerror', None) or error}") from error
        except _NotOk as error:
            raise Unreachable(f"{where} {error}") from None

    async def _exchange(self, command: Document) -> Document:
        sock = await self.network.connect(self.host, self.port)
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            if self.user:
                await self._log_in(reader, writer)
            return await _asked(reader, writer, 3, command)
        finally:
            writer.close()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = scram.Client(self.user, self.password)
        begin = {
            "saslStart": 1,
            "mechanism": scram.MECHANISM,
            "payload": Binary(0, client.first.encode()),
            "options": {"skipEmptyExchange": True},
            "$db": self.source,
        }
        said = await _asked(reader, writer, 1, begin)
        payload = Binary(0, client.last(_payload(said)).encode())
        more = {"saslContinue": 1, "conversationId": said["conversationId"], "payload": payload}
        await _asked(reader, writer, 2, {**more, "$db": self.source})


class _NotOk(Exception):
    """The server has refused, or said nothing at all."""


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, command: Document
) -> Document:
    writer.write(command_message(number, command))
    answer = await read_message(reader)
    if answer is None:
        raise _NotOk("closed the connection")
    if answer.body.get("ok") != 1:
        raise _NotOk(f"says: {answer.body.get('errmsg')}")
    return answer.body


def _payload(said: Document) -> str:
    """Raises BadBson."""
    payload = said.get("payload")
    if not isinstance(payload, Binary) or "conversationId" not in said:
        raise BadBson("an answer to a log-in without a payload")
    return _text(payload.data)


def database(network: PodNetwork, uri: str) -> Database:
    """The one a connection string names: mongodb://USER:PASSWORD@HOST:PORT/NAME, with ?authSource= or without, or
    with nobody at all. Raises ValueError for what is not here, and does not say the password."""
    parts = urlsplit(uri)
    if parts.scheme != "mongodb" or not parts.hostname or "," in parts.netloc:
        raise ValueError("it has to be mongodb://HOST:PORT/NAME, or mongodb://USER:PASSWORD@HOST:PORT/NAME")
    options, user, password = parse_qs(parts.query), unquote(parts.username or ""), unquote(parts.password or "")
    if unknown := set(options) - {"authSource"}:
        raise ValueError(f"the sandbox does not know the option {min(unknown)}")
    if bool(user) != bool(password):
        raise ValueError("a user has a password")
    name = parts.path.strip("/")
    source = options.get("authSource", [name or "admin"])[0]
    return Database(network, parts.hostname, parts.port or PORT, name or "test", user, password, source)

"""MongoDB: finds, counts and inserts documents, and greets drivers as the real one does.

What it does not have it refuses as mongod refuses the unknown, by name: a command with code 59 (CommandNotFound), a
field of one with 40415. Commands, fields and codes are those of MongoDB's manual ("Database Commands", "Error
Codes"). The one user there can be is the image's root (MONGO_INITDB_ROOT_USERNAME and _PASSWORD), who logs in by
SCRAM-SHA-256; where there is none, nobody has to. There is no `mongosh`, which would be a JavaScript of its own:
`kubectl port-forward` lets one's own in.

Documents are kept as files below /data/db, one after the other as `mongodump` writes them: gone with the container
like everything there, unless a volume is mounted.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.images import scram
from sandbox.images.container_files import Files
from sandbox.images.mongo_protocol import (
    LARGEST,
    LARGEST_DOCUMENT,
    PORT,
    BadBson,
    Binary,
    Document,
    ObjectId,
    answer_message,
    decode_all,
    encode,
    read_message,
)
from sandbox.images.program import Container, Factory, Program, ProgramError, parse_flags

WIRE_VERSION = 25
"""Of MongoDB 8.0, and all before it."""
_MOST_WRITES = 100_000
_NAME = "mongod"
_LOGIN = ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD")
_SOURCE = "admin"
"""The database that root is of."""
_CONVERSATION = 1
_FOLDER = "/data/db"
_DRIVERS_OWN = ("$db", "lsid", "$readPreference")
"""Fields any command may have."""
_GREETINGS = ("hello", "isMaster", "ismaster")


class Refusal(Exception):
    """A command's answer when it fails: code, its name, and what is said."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer: Document = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


class Documents:
    """Collections by "database.collection", kept in a container's files."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._read: dict[str, dict[bytes, Document]] = {}
        """By collection and `_id`."""

    def of(self, collection: str) -> list[Document]:
        """In the order they came in. Raises BadBson for a damaged file."""
        return list(self._there(collection).values())

    def add(self, collection: str, document: Document) -> bool:
        """False when one of that `_id` is there. Raises OSError where the file cannot be written."""
        there, name = self._there(collection), encode({"_id": document["_id"]})
        if name in there:
            return False
        self._files.write(_path(collection), encode(document), append=True)
        there[name] = document
        return True

    def _there(self, collection: str) -> dict[bytes, Document]:
        if collection not in self._read:
            path = _path(collection)
            kept = decode_all(self._files.read(path)) if self._files.exists(path) else ()
            self._read[collection] = {encode({"_id": one.get("_id")}): one for one in kept}
        return self._read[collection]


def _path(collection: str) -> str:
    return f"{_FOLDER}/{collection}.bson"


@dataclass(frozen=True)
class User:
    name: str
    password: str = field(repr=False)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(28), repr=False)


class LogIn:
    """Of one connection: `done` once it may do all there is to do."""

    def __init__(self, user: User | None) -> None:
        self._user, self.done = user, user is None
        self._conversation: scram.Server | None = None

    def start(self, body: Document) -> Document:
        if body.get("mechanism") != scram.MECHANISM:
            said = f"Received authentication for mechanism {body.get('mechanism')} which is not enabled"
            raise Refusal(334, "MechanismUnavailable", said)
        if self._user is None or body.get("$db") != _SOURCE:
            raise _failed()
        self._conversation = scram.Server(self._user.name, self._user.password, self._user.salt)
        return self._answer(self._conversation.first, body, done=False)

    def go_on(self, body: Document) -> Document:
        if self._conversation is None:
            raise Refusal(17, "ProtocolError", "No SASL session state found")
        conversation, self._conversation = self._conversation, None
        answer = self._answer(conversation.last, body, done=True)
        self.done = True
        return answer

    def _answer(self, to: Callable[[str], str], body: Document, *, done: bool) -> Document:
        payload = body.get("payload")
        try:
            said = to(payload.data.decode() if isinstance(payload, Binary) else "")
        except ValueError:
            raise _failed() from None
        return {"conversationId": _CONVERSATION, "done": done, "payload": Binary(0, said.encode())}


def _failed() -> Refusal:
    return Refusal(18, "AuthenticationFailed", "Authentication failed.")


class Commands:
    """`version` is the server's; where there is a `user`, only he reads and writes."""

    def __init__(self, documents: Documents, version: str, user: User | None = None) -> None:
        self._documents, self._version, self.user = documents, version, user

    def run(self, body: Document, connection: int, login: LogIn | None = None) -> Document:
        """The answer to one command, whatever it is, on the `connection` of that number, with its `login`."""
        name = next(iter(body), "")
        try:
            return {**self._command(name, connection, login or LogIn(self.user))(body), "ok": 1.0}
        except Refusal as refusal:
            return refusal.answer
        except OSError as error:
            return Refusal(8, "UnknownError", f"{error.filename}: {error.strerror}").answer

    def _command(self, name: str, connection: int, login: LogIn) -> Callable[[Document], Document]:
        if name in _GREETINGS:
            return lambda body: {**self._hello(connection), **self._mechanisms(body)}
        match name:
            case "ping" | "endSessions":
                return lambda _: {}
            case "buildInfo" | "buildinfo":
                return lambda _: self._build_info()
            case "saslStart":
                return login.start
            case "saslContinue":
                return login.go_on
            case "find" | "count" | "insert" if not login.done:
                raise Refusal(13, "Unauthorized", f"Command {name} requires authentication")
            case "find":
                return self._find
            case "count":
                return self._count
            case "insert":
                return self._insert
        raise Refusal(
            59,
            "CommandNotFound",
            f"no such command: '{name}' (the sandbox's MongoDB has find, insert, count, hello, ping, buildInfo)",
        )

    def _mechanisms(self, body: Document) -> Document:
        """How the user logs in that a driver asks about: the database, a dot, and the name."""
        if self.user and body.get("saslSupportedMechs") == f"{_SOURCE}.{self.user.name}":
            return {"saslSupportedMechs": [scram.MECHANISM]}
        return {}

    def _hello(self, connection: int) -> Document:
        return {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "maxBsonObjectSize": LARGEST_DOCUMENT,
            "maxMessageSizeBytes": LARGEST,
            "maxWriteBatchSize": _MOST_WRITES,
            "localTime": datetime.now(UTC),
            "connectionId": connection,
            "minWireVersion": 0,
            "maxWireVersion": WIRE_VERSION,
            "readOnly": False,
        }

    def _build_info(self) -> Document:
        numbers = [int(part) for part in self._version.split(".") if part.isdecimal()]
        return {"version": self._version, "gitVersion": "sandbox", "versionArray": [*numbers, 0, 0, 0][:4]}

    def _find(self, body: Document) -> Document:
        collection = _collection(body, "find", "filter", "limit", "singleBatch")
        limit = body.get("limit", 0)
        if not isinstance(limit, int) or limit < 0:
            raise Refusal(51024, "Location51024", f"limit has to be 0 or more: {limit!r}")
        found = self._matching(collection, body.get("filter"))
        return {"cursor": {"id": 0, "ns": collection, "firstBatch": found[: limit or None]}}

    def _count(self, body: Document) -> Document:
        collection = _collection(body, "count", "query")
        return {"n": len(self._matching(collection, body.get("query")))}

    def _matching(self, collection: str, wanted: Any) -> list[Document]:
        wanted = _filter(wanted or {})
        there = self._documents.of(collection)
        return [one for one in there if all(_equals(one.get(key), value) for key, value in wanted.items())]

    def _insert(self, body: Document) -> Document:
        collection = _collection(body, "insert", "documents", "ordered", "writeConcern")
        documents = body.get("documents")
        if not isinstance(documents, list) or not 0 < len(documents) <= _MOST_WRITES:
            raise Refusal(16, "InvalidLength", f"Write batch sizes must be between 1 and {_MOST_WRITES}")
        if not all(isinstance(document, dict) for document in documents):
            raise Refusal(14, "TypeMismatch", "what is inserted has to be documents")
        taken, errors = 0, []
        for index, document in enumerate(documents):
            if self._documents.add(collection, {"_id": ObjectId.new(), **document}):
                taken += 1
                continue
            said = f"E11000 duplicate key error collection: {collection} index: _id_"
            errors.append({"index": index, "code": 11000, "errmsg": said})
            if body.get("ordered", True):
                break
        return {"n": taken, **({"writeErrors": errors} if errors else {})}


def _collection(body: Mapping[str, Any], command: str, *fields: str) -> str:
    """ "database.collection". Raises Refusal for a field the command does not have here."""
    for name in body:
        if name not in (command, *fields, *_DRIVERS_OWN):
            raise Refusal(
                40415, "Location40415", f"BSON field '{command}.{name}' is unknown to the sandbox's MongoDB"
            )
    database, name = body.get("$db"), body[command]
    if not isinstance(database, str) or not isinstance(name, str) or not name or "/" in f"{database}{name}":
        raise Refusal(73, "InvalidNamespace", f"Invalid namespace specified: {database!r}.{name!r}")
    return f"{database}.{name}"


def _filter(wanted: Any) -> Document:
    """Equality of the document's own fields. Raises Refusal for what else a query may ask."""
    if not isinstance(wanted, dict):
        raise Refusal(14, "TypeMismatch", "the filter is no document")
    for key, value in wanted.items():
        operators: Iterable[str] = value if isinstance(value, dict) else ()
        unknown = next((name for name in (key, *operators) if name.startswith("$")), "" if "." not in key else key)
        if unknown:
            raise Refusal(
                2, "BadValue", f"unknown operator: {unknown} (the sandbox's MongoDB compares fields only)"
            )
    return wanted


def _equals(value: Any, wanted: Any) -> bool:
    """A list also has what equals one of its elements, as in MongoDB. Truth values equal no numbers."""
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False
    return bool(value == wanted) or (isinstance(value, list) and wanted in value)


class Mongo(Program):
    """mongod: takes connections and answers what comes in. What is no message ends the connection."""

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._server: asyncio.Server | None = None
        self._connections: dict[int, asyncio.StreamWriter] = {}
        self._accepted = 0
        self._commands = Commands(Documents(container.files), _version(container.image))

    def _port(self) -> int:
        """Raises ProgramError for a command line or an environment that is not served."""
        words = self.container.command
        # As the image's entry point: arguments that begin with an option are mongod's.
        if words and not words[0].startswith("-") and (name := words.pop(0)).rsplit("/", 1)[-1] != _NAME:
            raise ProgramError(f"the sandbox's {self.container.image} runs {_NAME} only, not {name}", 127)
        given, operands = parse_flags(words, ["--port", "--bind_ip"], ["--bind_ip_all"], program=_NAME)
        if given.get("--bind_ip", "*") not in ("*", "0.0.0.0", "::,0.0.0.0"):  # noqa: S104 - of the pod
            raise ProgramError(f"the sandbox's {_NAME} binds to all addresses: --bind_ip {given['--bind_ip']}", 2)
        port = given.get("--port", str(PORT))
        if operands or not port.isdecimal():
            raise ProgramError(f"Error parsing command line: {' '.join(words)}", 2)
        return int(port)

    def _user(self) -> User | None:
        """Raises ProgramError for half of one."""
        name, password = (self.container.env.get(variable, "") for variable in _LOGIN)
        if bool(name) != bool(password):
            raise ProgramError(f"error: missing {_LOGIN[bool(name)]}: both must be specified for a user", 1)
        return User(name, password) if name else None

    async def start(self) -> None:
        port, self._commands.user = self._port(), self._user()
        try:
            address = self.container.network.listening(port)
            self._server = await asyncio.start_server(self._connected, *address, backlog=1024, start_serving=False)
            await self._server.start_serving()
        except OSError as error:
            raise ProgramError(f"Failed to set up listener: SocketException: {error.strerror}", 48) from error
        self.container.log(f"listening on port {port}")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        number, login = self._accepted, LogIn(self._commands.user)
        self._connections[number] = writer
        try:
            while (message := await read_message(reader)) is not None:
                answer = self._commands.run(message.body, number, login)
                if not message.silent:
                    writer.write(answer_message(message, number, answer))
                    await writer.drain()
        except BadBson as error:
            self.container.log(f"connection {number}: {error}")
        except (OSError, asyncio.IncompleteReadError):
            pass  # reset: it ended as well
        finally:
            del self._connections[number]
            writer.close()

    async def stop(self, grace: float) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._connections.values():
            writer.close()
        await self._server.wait_closed()


def _version(image: str) -> str:
    """What the tag says, or the workshop's own."""
    tag = image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
    return tag if tag[:1].isdecimal() else "8.0.15"


PROGRAMS: dict[str, Factory] = {"mongo": Mongo}

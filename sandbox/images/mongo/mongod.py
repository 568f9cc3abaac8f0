"""mongod: takes connections, answers what comes in (mongo_commands.py), and says in its log that it does.

The log lines are mongod's, structured (MongoDB's manual, "Log Messages"), with mongod's ids for what they say.
What is no message of its protocol ends the connection, and is said in the log. The container has no `mongosh`: that
would be a JavaScript of its own.
"""

from __future__ import annotations

import asyncio
import json
import posixpath
from datetime import UTC, datetime
from typing import Any

from sandbox.core.addresses import listen_port
from sandbox.images.mongo import wire
from sandbox.images.mongo.bson import BadBson
from sandbox.images.mongo.mongo_commands import Commands, Documents
from sandbox.images.program import Container, Program, ProgramError, Streams

PORT = 27017
_NAME = "mongod"
_CLIENTS = ("mongo", "mongodump", "mongoexport", "mongoimport", "mongorestore", "mongosh", "mongostat", "mongotop")
_SET = {"--bind_ip_all": 0, "--bind_ip": 1, "--port": 1, "--auth": 0}
"""Options it takes, and how many values each has."""
_ENVIRONMENT = ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD")


class Mongo(Program):
    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._port = PORT
        self._server: asyncio.Server | None = None
        self._connections: dict[int, asyncio.StreamWriter] = {}
        self._accepted = 0
        self._commands: Commands

    def _configure(self) -> None:
        """Raises ProgramError for a command line or an environment the image would not start with."""
        words, login = self.container.command, False
        # As the image's entry point: arguments that begin with an option are mongod's.
        if words and not words[0].startswith("-") and posixpath.basename(words.pop(0)) != _NAME:
            raise ProgramError(f"the sandbox's {self.container.image} runs {_NAME} only", 127)
        while words:
            name, equals, value = words.pop(0).partition("=")
            if name not in _SET or (equals and not _SET[name]):
                known = " ".join(_SET)
                raise ProgramError(
                    f"Error parsing command line: unrecognised option '{name}' (there are {known})", 2
                )
            if _SET[name] and not equals:
                if not words:
                    raise ProgramError(f"Error parsing command line: option '{name}' requires an argument", 2)
                value = words.pop(0)
            if name == "--auth":
                login = True
            elif name == "--port":
                if not value.isdecimal():
                    raise ProgramError(f"Error parsing command line: bad value for --port: {value}", 2)
                self._port = int(value)
            elif name == "--bind_ip" and value not in ("*", "0.0.0.0", "::,0.0.0.0"):  # noqa: S104 - of the pod
                raise ProgramError(f"the sandbox's {_NAME} binds to all addresses: --bind_ip {value}", 2)
        given = [name for name in _ENVIRONMENT if self.container.env.get(name)]
        if len(given) == 1:
            raise ProgramError(f"error: {' and '.join(_ENVIRONMENT)} must both be set, or neither", 1)
        version = _version(self.container.image)
        self._commands = Commands(Documents(self.container.files), version, login=login or bool(given))

    async def start(self) -> None:
        self._configure()
        facts = {"pid": 1, "port": self._port, "architecture": "64-bit", "host": self.container.pod_name}
        self._log(4615611, "CONTROL", "initandlisten", "MongoDB starting", facts)
        try:
            address = (self.container.ip, listen_port(self._port))
            self._server = await asyncio.start_server(self._connected, *address, backlog=1024)
        except OSError as error:
            raise ProgramError(f"Failed to set up listener: SocketException: {error.strerror}", 48) from error
        self._log(23015, "NETWORK", "listener", "Listening on", {"address": "0.0.0.0"})  # noqa: S104 - said only
        self._log(23016, "NETWORK", "listener", "Waiting for connections", {"port": self._port, "ssl": "off"})

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        number = self._accepted
        self._connections[number] = writer
        host, port = writer.get_extra_info("peername")[:2]
        remote = {"remote": f"{host}:{port}", "connectionId": number}
        count = {"connectionCount": len(self._connections)}
        self._log(22943, "NETWORK", "listener", "Connection accepted", {**remote, **count})
        try:
            while (message := await wire.read(reader)) is not None:
                answer = self._commands.run(message.body, number)
                if not message.silent:
                    writer.write(wire.answer(message, number, answer))
                    await writer.drain()
        except BadBson as error:
            why = {"error": str(error)}
            self._log(22988, "NETWORK", f"conn{number}", "Error receiving request from client", {**why, **remote})
        except (OSError, asyncio.IncompleteReadError):
            pass  # reset: it ended as well
        finally:
            del self._connections[number]
            writer.close()
        count = {"connectionCount": len(self._connections)}
        self._log(22944, "NETWORK", f"conn{number}", "Connection ended", {**remote, **count})

    def _log(self, number: int, component: str, context: str, message: str, facts: dict[str, Any]) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+00:00"
        line = {"t": {"$date": now}, "s": "I", "c": component, "id": number, "ctx": context, "msg": message}
        self.container.log(json.dumps({**line, "attr": facts}, separators=(",", ":")))

    async def stop(self, grace: float) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._connections.values():
            writer.close()
        await self._server.wait_closed()
        self._log(20565, "CONTROL", "SignalHandler", "Now exiting", {})

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        name = posixpath.basename(command[0])
        if name not in (*_CLIENTS, _NAME):
            return None
        streams.err(
            f"{name}: not in the sandbox's {self.container.image}, which has {_NAME} only; "
            f"kubectl port-forward lets your own {name} in\n".encode()
        )
        return 127


def _version(image: str) -> str:
    """What the tag says, or the workshop's own."""
    tag = image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
    return tag if tag[:1].isdecimal() else "8.0.15"

"""A client of MongoDB for programs in pods: one command, one connection, over the pod's own network.

A connection for each command notices at once when the Service is gone or leads to another pod.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.images.mongo import wire
from sandbox.images.mongo.bson import BadBson, Document
from sandbox.network.pod_network import PodNetwork

DEFAULT_PORT = 27017
PATIENCE = 5.0
"""Seconds for one command."""


class Unreachable(Exception):
    """The database did not answer, or not as one would; says where and why."""


@dataclass(frozen=True)
class Database:
    network: PodNetwork
    host: str
    port: int
    name: str

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
                answer = await self._asked(wire.command(1, {**command, "$db": self.name}))
        except TimeoutError:
            raise Unreachable(f"{where} did not answer within {PATIENCE:.0f} s") from None
        except (OSError, asyncio.IncompleteReadError, BadBson) as error:
            raise Unreachable(f"{where}: {getattr(error, 'strerror', None) or error}") from error
        if answer is None:
            raise Unreachable(f"{where} closed the connection")
        if answer.body.get("ok") != 1:
            raise Unreachable(f"{where}: {answer.body.get('errmsg')}")
        return answer.body

    async def _asked(self, message: bytes) -> wire.Message | None:
        sock = await self.network.connect(self.host, self.port)
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            writer.write(message)
            return await wire.read(reader)
        finally:
            writer.close()


def database(network: PodNetwork, uri: str) -> Database:
    """The one a connection string names: mongodb://HOST:PORT/NAME. Raises ValueError for what is not here."""
    parts = urlsplit(uri)
    if parts.scheme != "mongodb" or not parts.hostname or "," in parts.netloc:
        raise ValueError("it has to be mongodb://HOST:PORT/NAME")
    if parts.username or parts.password:
        raise ValueError("the sandbox's MongoDB has no log-in: leave user and password out")
    if parts.query:
        raise ValueError(f"the sandbox knows no options: ?{parts.query}")
    return Database(network, parts.hostname, parts.port or DEFAULT_PORT, parts.path.strip("/") or "test")

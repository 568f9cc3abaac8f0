"""An API server that answers as a test says, for what a sandbox never does: it throttles, forgets a list's pages,
or hangs up. Between it and the workshop is a real `kubectl proxy`."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workshop.kubernetes.kubectl import Kubectl

Answering = Callable[["Asked"], Awaitable[None]]


@dataclass
class Asked:
    """A request, and how it is answered."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter = field(repr=False)

    async def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        given = {"Content-Type": "text/plain" if isinstance(content, str) else "application/json"}
        if "gzip" in self.headers.get("accept-encoding", ""):
            body, given["Content-Encoding"] = gzip.compress(body), "gzip"
        given |= {
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        lines = [f"HTTP/1.1 {status} it is", *(f"{name}: {value}" for name, value in given.items())]
        self.writer.write("\r\n".join((*lines, "", "")).encode() + body)
        await self.writer.drain()

    async def stream(self, *events: object, end: bool = True) -> None:
        """The events of a watch; more may come unless it is the end."""
        self.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for event in events:
            await self.event(event)
        if end:
            self.writer.write(b"0\r\n\r\n")

    async def event(self, event: object) -> None:
        """In two chunks, as they may come."""
        line = json.dumps(event).encode() + b"\n"
        for part in (line[:5], line[5:]):
            self.writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await self.writer.drain()

    def hang_up(self) -> None:
        self.writer.transport.abort()


@dataclass
class ScriptedApi:
    """`asked` is what has come."""

    answering: Answering
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *rest = head.split("\r\n")[:-2]
                method, target, _ = first.split()
                pairs = (line.partition(":")[::2] for line in rest)
                headers = {name.lower(): value.strip() for name, value in pairs}
                body = await self._body(reader, headers)
                path, _, query = target.partition("?")
                asked = Asked(method, path, query, headers, body, writer)
                self.asked.append(asked)
                await self.answering(asked)
        except (EOFError, ConnectionError):
            writer.close()

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body

    def kubectl(self, folder: Path, binary: Path, at: str = "") -> Kubectl:
        """One that leads there. `at` is the path the server is at."""
        kubeconfig = folder / "kubeconfig"
        content: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{self.port}{at}"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": {}}],
        }
        kubeconfig.write_text(yaml.safe_dump(content))
        return Kubectl(binary, kubeconfig, "a", folder / "cache")


def pods(*names: str, **metadata: str) -> dict[str, object]:
    """As a real API server gives a list: its items do not say what they are."""
    items = [{"metadata": {"name": name, "namespace": "shop"}} for name in names]
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7", **metadata}, "items": items}


def status(code: int, reason: str, message: str = "no") -> dict[str, object]:
    said = {"reason": reason, "message": message, "code": code}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", **said}

"""What may stand between a client and a sandbox's API: a slow line, or somebody who counts.

Both listen where the API does (whose certificate is for that address), on another port, and a kubeconfig of the
benchmark's leads to them: so every tool takes the same way, and neither it nor the sandbox is another than it
always is. They run in a thread, so that a benchmark can wait for processes meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from sandbox.server.certificates import server_context

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CHUNK = 16384


class Line:
    """Passes connections on as they are."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.serving: asyncio.Task[None] | None = None
        self._open: set[asyncio.Task[None] | None] = set()
        """Whose connections they are; asyncio itself does not hold them."""

    async def serve(self, ready: asyncio.Future[int], tls: ssl.SSLContext | None = None) -> None:
        server = await asyncio.start_server(self._accepted, self._host, 0, ssl=tls)
        ready.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(task := asyncio.current_task())
        # A cancellation is the line's end: asyncio's server would print it for each connection.
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            there, away = await self.connect()
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._way(reader, away, out=True))
                    both.create_task(self._way(there, writer, out=False))
            except* (OSError, ssl.SSLError, asyncio.IncompleteReadError):
                pass
            finally:
                away.close()
        writer.close()
        self._open.discard(task)

    async def connect(self) -> Streams:
        return await asyncio.open_connection(self._host, self._port)

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        await self.pass_on(reader, writer, out=out)
        with contextlib.suppress(OSError, NotImplementedError, RuntimeError):
            writer.write_eof() if writer.can_write_eof() else writer.close()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


class SlowLine(Line):
    """A line with a round trip of `seconds`, that carries `bits` a second each way, shared by all connections. To
    open a connection takes a round trip as well."""

    def __init__(self, host: str, port: int, seconds: float = 0.1, bits: float = 10e6) -> None:
        super().__init__(host, port)
        self._one_way, self._bytes = seconds / 2, bits / 8
        self._free = {True: 0.0, False: 0.0}

    async def connect(self) -> Streams:
        await asyncio.sleep(2 * self._one_way)
        return await super().connect()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        arriving = asyncio.create_task(self._arrive(under_way, writer))
        try:
            while data := await reader.read(CHUNK):
                self._free[out] = max(time.monotonic(), self._free[out]) + len(data) / self._bytes
                await under_way.put((self._free[out] + self._one_way, data))
            await under_way.put((time.monotonic() + self._one_way, b""))
            await arriving
        finally:
            arriving.cancel()

    async def _arrive(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            if not data:
                return
            writer.write(data)
            await writer.drain()


class Counter(Line):
    """Ends TLS, so that it sees requests (HTTP/1.1), and counts them."""

    def __init__(self, host: str, port: int, upstream: ssl.SSLContext) -> None:
        super().__init__(host, port)
        self._upstream, self.requests = upstream, 0

    async def connect(self) -> Streams:
        return await asyncio.open_connection(self._host, self._port, ssl=self._upstream)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        while out:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            self.requests += 1
            writer.write(head)
            if re.search(rb"(?im)^upgrade:", head):  # exec, logs of another kind: no more requests on this one
                break
            if length := re.search(rb"(?im)^content-length: *(\d+)", head):
                writer.write(await reader.readexactly(int(length[1])))
            elif re.search(rb"(?im)^transfer-encoding: *chunked", head):
                await self._chunks(reader, writer)
            await writer.drain()
        await super().pass_on(reader, writer, out=out)

    async def _chunks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = await reader.readline()
            writer.write(size + await reader.readexactly(int(size, 16) + 2))
            if int(size, 16) == 0:
                return


@contextlib.contextmanager
def led_through(kubeconfig: Path, written: Path, *, slow: bool = False) -> Iterator[list[Counter]]:
    """A kubeconfig in which each cluster is reached through a slow line, or through a counter."""
    content = yaml.safe_load(kubeconfig.read_text())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    counters: list[Counter] = []
    try:
        for cluster in (each["cluster"] for each in content["clusters"]):
            address = urlsplit(cluster["server"])
            host, port = address.hostname or "", address.port or 443
            tls = None
            if slow:
                line: Line = SlowLine(host, port)
            else:
                authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
                line = Counter(host, port, ssl.create_default_context(cadata=authority))
                counters.append(line)
                with tempfile.TemporaryDirectory() as folder:
                    tls, own = server_context([host], Path(folder))
                cluster["certificate-authority-data"] = base64.b64encode(own).decode()
            cluster["server"] = f"https://{host}:{_started(loop, line, tls)}"
        written.write_text(yaml.safe_dump(content))
        yield counters
    finally:
        asyncio.run_coroutine_threadsafe(_ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _started(loop: asyncio.AbstractEventLoop, line: Line, tls: ssl.SSLContext | None) -> int:
    """The port that it listens on."""

    async def start() -> int:
        ready: asyncio.Future[int] = loop.create_future()
        line.serving = asyncio.create_task(line.serve(ready, tls))
        return await ready

    return asyncio.run_coroutine_threadsafe(start(), loop).result()


async def _ended() -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:  # a connection may just have come
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

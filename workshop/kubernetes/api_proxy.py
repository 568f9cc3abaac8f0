"""The API server over one `kubectl proxy` for each cluster and run.

kubectl is the only one that knows the way: credentials, exec plugins, proxies and certificates are its own matter,
and the API server sees a kubectl. But as a process for every question it costs a tenth of a second, of which a
thousandth is the question. So one of them stays, passes requests on, and listens on a socket that only this user
can reach (in a folder of mode 0700). It ends with the event loop that has started it, and with the process when
that is killed (see `tool_process`); what a killed one leaves in the folder for temporary files, the next removes.

Answers come as the API server gives them: an object, a list, or a Status that says in a word why not. Where a proxy
cannot be started, or an answer is none of the API server's, `ProxyFailed` says so; kubectl is asked instead, whose
words people know (`kubectl.Kubectl`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from workshop.kubernetes import tool_process
from workshop.kubernetes.tool_process import Process, ToolMissing

_AT_ONCE = 16
"""Requests under way at a time."""
_STARTS_WITHIN = 20.0
_TRIES, _LONGEST_PAUSE = 4, 5.0
"""How often a request is made that the API server asks to make later, and seconds until then at most."""
_LONGEST_PATH = 100
"""Of a socket's path: the kernel takes 107 bytes, and 103 on macOS."""
_PREFIX = "mesh-workshop-"
_CHUNK = 1 << 20


class ProxyFailed(Exception):
    """There is no answer of the API server. `sent`: what was asked may have arrived there all the same. `said` is
    what came instead."""

    def __init__(self, said: str, *, sent: bool = False) -> None:
        super().__init__(said)
        self.said, self.sent = said, sent


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` is an object, a list, or where `status` is 400 or more a Status."""

    status: int
    content: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def reason(self) -> str:
        """Why not (metav1.StatusReason)."""
        return str(self.content.get("reason") or "")


class ApiProxy:
    """The proxy that `argv` starts, for this event loop; `--unix-socket` is added."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._argv, self._environment = argv, environment
        self._process: Process | None = None
        self._folder = ""
        self._socket = ""
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._started = asyncio.Lock()
        self._failed = ""
        self.shared: dict[object, Any] = {}
        """What its users keep for each other, for as long as it is there."""

    @property
    def stderr(self) -> str:
        """What the proxy has written there, and what it has called to log in."""
        return self._process.stderr if self._process else ""

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """One that the API server asks to make later (429, or Retry-After) is. Raises ProxyFailed."""
        async with self._places:
            for left in reversed(range(_TRIES)):
                head, content = await self._exchange(method, path, body, content_type, accept)
                later = head.headers.get("retry-after", "")
                if head.status not in (429, 503) or not later.isdigit() or not left:
                    return _answer(head.status, content)
                await asyncio.sleep(min(int(later), _LONGEST_PAUSE))
        raise AssertionError

    async def raw(self, path: str) -> tuple[int, bytes]:
        """Status and body of what is at a path: perhaps a service's, which the API server passes requests on to.
        Raises ProxyFailed."""
        async with self._places:
            head, content = await self._exchange("GET", path, None, "", "application/json")
        if head.status == 500 and not content.startswith(b"{"):  # so kubectl says that it did not get through
            raise ProxyFailed(content.decode(errors="replace").strip(), sent=True)
        return head.status, content

    async def stream(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a watch, until the API server ends it. Raises ProxyFailed."""
        connection = await self._connection(fresh=True)
        try:
            head = await connection.ask("GET", path, b"", "", "application/json")
            if head.status != 200:
                raise ProxyFailed(f"a watch was answered with {head.status}")
            rest = b""
            async for chunk in connection.chunks(head):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield json.loads(line)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise ProxyFailed(str(error)) from error
        finally:
            connection.close()
            self._all.discard(connection)

    async def _exchange(
        self, method: str, path: str, body: object, content_type: str, accept: str
    ) -> tuple[_Head, bytes]:
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        reads = method == "GET"
        while True:
            connection = await self._connection()
            used = connection.used
            try:
                head = await connection.ask(method, path, content, content_type, accept)
                answer = b"".join([chunk async for chunk in connection.chunks(head)])
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self._drop(connection)
                if used and reads:
                    continue  # it may have been closed while nobody used it
                raise ProxyFailed(f"kubectl proxy: {error}", sent=True) from error
            except BaseException:
                self._drop(connection)  # an answer that nobody waits for any more would be taken for the next one's
                raise
            if head.closes:
                self._drop(connection)
            else:
                self._idle.append(connection)
            return head, answer

    async def _connection(self, *, fresh: bool = False) -> _Connection:
        while self._idle and not fresh:
            connection = self._idle.pop()
            if not connection.over:
                return connection
            self._drop(connection)
        await self._start()
        try:
            connection = _Connection(*await asyncio.open_unix_connection(self._socket, limit=_CHUNK))
        except OSError as error:
            raise ProxyFailed(f"kubectl proxy: {error}") from error
        self._all.add(connection)
        return connection

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        self._all.discard(connection)

    async def _start(self) -> None:
        """Once. Raises ProxyFailed, each time, where it did not come or has ended."""
        async with self._started:
            if self._failed:
                raise ProxyFailed(self._failed)
            if self._process is None:
                try:
                    await self._begin()
                except (ProxyFailed, ToolMissing, OSError) as error:
                    self._failed = str(error) or "kubectl proxy did not start"
                    self.close()
                    raise ProxyFailed(self._failed) from error
            elif self._process.is_over:
                self._failed = f"kubectl proxy has ended: {self._process.stderr.strip()}"
                self.close()
                raise ProxyFailed(self._failed)

    async def _begin(self) -> None:
        _sweep()
        self._folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_short_folder())
        self._socket = str(Path(self._folder) / "api")
        listening = asyncio.Event()
        self._process = tool_process.start(
            (*self._argv, f"--unix-socket={self._socket}"),
            environment=self._environment,
            on_line=lambda line: listening.set(),
        )
        ends, says = asyncio.ensure_future(self._process.wait()), asyncio.ensure_future(listening.wait())
        try:
            await asyncio.wait((ends, says), timeout=_STARTS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ends, says):
                task.cancel()
        if not listening.is_set() or self._process.is_over:
            raise ProxyFailed(self._process.stderr.strip() or "kubectl proxy does not listen")

    def close(self) -> None:
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._idle.clear()
        if self._process is not None:
            self._process.end()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: Mapping[str, str]

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class _Connection:
    """HTTP/1.1 over the socket, one request after the other: http.client is for threads, and aiohttp takes longer
    to import than a run may last."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self.used = reader, writer, False

    async def ask(self, method: str, path: str, body: bytes, content_type: str, accept: str) -> _Head:
        """Raises OSError, EOFError or ValueError when it breaks."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Accept: {accept}"]
        if body:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join((*lines, "", "")).encode() + body)
        await self._writer.drain()
        status_line, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(":")[::2] for line in rest)
        self.used = True
        return _Head(int(status_line.split()[1]), {name.lower(): value.strip() for name, value in pairs})

    async def chunks(self, head: _Head) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readuntil(b"\r\n")
        elif length := int(head.headers.get("content-length", 0)):
            yield await self._reader.readexactly(length)

    @property
    def over(self) -> bool:
        """Whether the other end has closed it, while nobody used it: nothing that is asked arrives there."""
        return self._reader.at_eof()

    def close(self) -> None:
        self._writer.transport.abort()


def _answer(status: int, content: bytes) -> Answer:
    """Raises ProxyFailed for what the API server has not said: the proxy tells in plain words why it did not reach
    it."""
    try:
        found = json.loads(content)
    except ValueError:
        found = (
            {} if status == 404 else None
        )  # of a group that is not served, the API server says it in plain words
    if not isinstance(found, dict):
        raise ProxyFailed(content.decode(errors="replace").strip() or f"an empty answer ({status})", sent=True)
    if status >= 400 and found and found.get("kind") != "Status":
        raise ProxyFailed(str(found), sent=True)
    return Answer(status, found)


def _short_folder() -> str:
    """Where sockets go. Raises ProxyFailed where there is none whose path is short enough."""
    name = len(f"/{_PREFIX}{os.getpid()}-12345678/api")
    for folder in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - in a folder of its own there
        if len(os.fsencode(folder)) + name <= _LONGEST_PATH and os.access(folder, os.W_OK):
            return folder
    raise ProxyFailed("there is no folder with a path that is short enough for a socket")


def _sweep() -> None:
    """Remove the folders of runs that were killed."""
    with contextlib.suppress(OSError, ProxyFailed):
        for entry in Path(_short_folder()).glob(f"{_PREFIX}*"):
            pid = entry.name.removeprefix(_PREFIX).partition("-")[0]
            if pid.isdigit() and entry.stat().st_uid == os.getuid() and not _is_there(int(pid)):
                shutil.rmtree(entry, ignore_errors=True)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_Proxies = dict[tuple[object, ...], ApiProxy]
_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[_Proxies, asyncio.Task[None]]] = WeakKeyDictionary()


def of_this_loop(
    key: tuple[object, ...], argv: Sequence[str], environment: Mapping[str, str], begun: Callable[[], None]
) -> ApiProxy:
    """The proxy that is shared by all who ask with this key, until the event loop ends. `begun` is called for the
    first."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loops:
        proxies: _Proxies = {}
        _of_loops[loop] = proxies, loop.create_task(_end_with_the_loop(proxies))
    proxies, _ = _of_loops[loop]
    if key not in proxies:
        proxies[key] = ApiProxy(argv, environment)
        begun()
    return proxies[key]


async def _end_with_the_loop(proxies: _Proxies) -> None:
    """An event loop cancels what is left, when what it was to run is over (asyncio.run)."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        for proxy in proxies.values():
            proxy.close()

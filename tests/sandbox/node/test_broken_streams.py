"""What goes wrong after the connection has become a stream: it is told in the stream, never as another answer.

Also when a command may begin to write: clients throw away what comes before they have created their streams.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from sandbox.api.api_server import ApiServer
from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.node.port_forward import DICTIONARY
from sandbox.server import launcher
from sandbox.server.certificates import server_context
from tests.kit.sandbox import Kubectl

V5, V4, FORWARD = "v5.channel.k8s.io", "v4.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"


@dataclass(frozen=True)
class Streams:
    """Raw WebSockets to a pod of the sandbox."""

    url: str
    token: str
    context: ssl.SSLContext

    @asynccontextmanager
    async def __call__(
        self, subresource: str, protocol: str, *, autoping: bool = True, **query: str | list[str]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"{self.url}/{subresource}?{urlencode(query, doseq=True)}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url, protocols=[protocol], headers=headers, ssl=self.context, autoping=autoping
            ) as connection,
        ):
            yield connection


@pytest.fixture(scope="module")
def streams(sandbox: launcher.Running, kubectl: Kubectl) -> Iterator[Streams]:
    name = f"broken-{os.getpid()}"
    kubectl("create", "namespace", name)
    kubectl("run", "-n", name, "box", "--image=busybox", "--", "sleep", "inf")
    kubectl("wait", "-n", name, "--for=condition=Ready", "pod/box", "--timeout=60s")
    token = json.loads(sandbox.kubeconfig.read_text())["users"][0]["user"]["token"]
    context = ssl.create_default_context(cafile=str(sandbox.kubeconfig.parent / "ca.pem"))
    yield Streams(f"{sandbox.url}/api/v1/namespaces/{name}/pods/box", token, context)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("protocol", [V5, V4])
async def test_a_command_begins_when_the_client_reads(streams: Streams, protocol: str) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    async with streams("exec", protocol, autoping=False, command=command, stdout="1", stderr="1") as connection:
        first = await connection.receive(timeout=60)
        assert first.type is WSMsgType.PING
        with pytest.raises(TimeoutError):
            await connection.receive(timeout=0.3)
        await connection.pong(first.data)
        second = await connection.receive(timeout=60)
        assert second.type is WSMsgType.PING, "one answer does not say that an older kubectl has its streams"
        await connection.pong(second.data)
        said = [await connection.receive_bytes(timeout=60) for _ in range(3)]
    assert said[:2] == [b"\x01out\n", b"\x02err\n"]
    assert json.loads(said[2][1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


async def test_input_after_its_end_breaks_nothing(streams: Streams) -> None:
    async with streams("exec", V5, command=["cat"], stdin="1", stdout="1", stderr="1") as connection:
        for message in (b"\x00one\n", b"\xff\x00", b"\x00two\n", b"\xff\x00"):
            await connection.send_bytes(message)
        assert await connection.receive_bytes(timeout=60) == b"\x01one\n"
        assert json.loads((await connection.receive_bytes(timeout=60))[1:])["status"] == "Success"


def opened(number: int, headers: dict[str, str], compressor: zlib._Compress) -> bytes:
    """A SYN_STREAM of SPDY/3.1."""
    words = [word.encode() for pair in headers.items() for word in pair]
    block = struct.pack("!I", len(headers)) + b"".join(struct.pack("!I", len(word)) + word for word in words)
    body = struct.pack("!IIH", number, 0, 0) + compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack("!HHI", 0x8003, 1, len(body)) + body


async def test_a_connection_that_cannot_be_forwarded_is_told_on_its_error_stream(streams: Streams) -> None:
    compressor = zlib.compressobj(zdict=DICTIONARY)
    async with streams("portforward", FORWARD, ports="80") as connection:
        for number, kind in ((1, "error"), (3, "data")):
            headers = {"streamtype": kind, "port": "eighty", "requestid": "0"}
            await connection.send_bytes(opened(number, headers, compressor))
        async with asyncio.timeout(60):
            while (frame := await connection.receive_bytes())[0] & 0x80:
                pass
        assert struct.unpack_from("!I", frame) == (1,)
        assert b"Internal error occurred: ValueError" in frame[8:]
        await connection.send_bytes(struct.pack("!HHI", 0x8003, 6, 4) + bytes(4))
        async with asyncio.timeout(60):
            while not (frame := await connection.receive_bytes()).startswith(b"\x80\x03\x00\x06"):
                pass


async def test_who_does_not_speak_spdy_gets_a_close(streams: Streams) -> None:
    async with streams("portforward", FORWARD, ports="80") as connection:
        await connection.send_bytes(struct.pack("!HHI", 0x8002, 1, 0))
        closed = await connection.receive(timeout=60)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.PROTOCOL_ERROR)
        assert closed.extra == "SPDY: version 2"


async def test_an_answer_that_has_begun_is_cut_off(tmp_path: Path) -> None:
    """As every HTTP server does; an answer of 500 in its middle would be taken for its text."""

    async def fail(request: web.Request, _pod: Object, _subresource: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun\n")
        raise RuntimeError("in the middle")

    cluster = LocalCluster()
    spec = {"containers": [{"name": "main", "image": "pause"}]}
    cluster.create("pods", {"metadata": {"name": "box", "namespace": "default"}, "spec": spec}, manager="test")
    server = ApiServer(cluster, "token")
    server.streams = fail
    listener = socket.create_server(("127.0.0.1", 0))
    context, authority = server_context(["127.0.0.1"], tmp_path)
    await server.start(listener, context)
    try:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/api/v1/namespaces/default/pods/box/log"
        trusting = ssl.create_default_context(cadata=authority.decode())
        headers = {"Authorization": "Bearer token"}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=trusting) as answer:
            assert answer.status == 200
            assert await answer.content.readline() == b"begun\n"
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
    finally:
        await server.stop()

"""Run a command in a container: the exec subresource over a WebSocket, on the standard library alone.

A message's first byte is its channel: 1 stdout, 2 stderr, 3 the outcome as a Status (v5.channel.k8s.io).
"""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import IO, Any

from sandbox.istioctl.errors import IstioctlError

PROTOCOL = "v5.channel.k8s.io"
_STDOUT, _STDERR, _OUTCOME = 1, 2, 3
_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80


@dataclass(frozen=True, slots=True)
class Executed:
    """`problem` says why the command failed, empty when it did not."""

    out: str
    err: str
    problem: str


def execute(connection: HTTPConnection, token: str, path: str) -> Executed:
    """Run what `path` (of the exec subresource, with its query) says on a connection of its own, which ends then.

    Raises IstioctlError when the API refuses, OSError and HTTPException when the connection does not work.
    """
    headers = {
        "Authorization": f"Bearer {token}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": PROTOCOL,
    }
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != 101:
            answer = response.read()
            raise IstioctlError(_message(answer) or f"the server answered {response.status}")
        return _collected(connection, response.fp)
    finally:
        connection.close()


def _collected(connection: HTTPConnection, stream: IO[bytes]) -> Executed:
    channels = {_STDOUT: bytearray(), _STDERR: bytearray(), _OUTCOME: bytearray()}
    for message in _messages(connection, stream):
        if message[:1] and message[0] in channels:
            channels[message[0]] += message[1:]
    if not channels[_OUTCOME]:
        raise HTTPException("the connection ended before the command did")
    outcome = json.loads(channels[_OUTCOME])
    problem = "" if outcome.get("status") == "Success" else outcome.get("message") or "the command failed"
    return Executed(channels[_STDOUT].decode(), channels[_STDERR].decode(errors="replace"), problem)


def _messages(connection: HTTPConnection, stream: IO[bytes]) -> Iterator[bytes]:
    """Whole binary messages until the server closes."""
    message = bytearray()
    while True:
        head = stream.read(2)
        if len(head) < 2:
            return
        kind, size = head[0] & 0x0F, head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", stream.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", stream.read(8))
        body = stream.read(size)
        if kind == _PING:
            _send(connection, _PONG, body)
        elif kind == _CLOSE:
            _send(connection, _CLOSE, body)
            return
        elif kind in (_BINARY, _CONTINUATION):
            message += body
            if head[0] & _FINAL:
                yield bytes(message)
                message.clear()


def _send(connection: HTTPConnection, kind: int, body: bytes) -> None:
    """A short control frame; a client's are masked (here with zeros, which leave it as it is)."""
    connection.sock.sendall(bytes((_FINAL | kind, _MASKED | len(body))) + bytes(4) + body)


def _message(answer: bytes) -> str:
    try:
        got: Any = json.loads(answer)
    except ValueError:
        return answer.decode(errors="replace").strip()
    return str(got.get("message", "")) if isinstance(got, dict) else ""

"""istioctl's connection to the API of a cluster."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.istioctl.api_client import Connection, connect
from sandbox.istioctl.command_line import IstioctlError
from sandbox.server.certificates import server_context

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Reads one request on each connection, says `answer`, and ends the connection without a word of it."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.ended = threading.Semaphore(0)
        self.asked: list[bytes] = []
        self._context, self._answer = context, answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.listening.accept()
            except OSError:
                return
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self.asked.append(connection.recv(65536))
                connection.sendall(self._answer)
            self.ended.release()


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Connection]]:
    context, authority = server_context(("127.0.0.1",), tmp_path)
    server = Server(context, request.param)
    client = ssl.create_default_context(cadata=authority.decode())
    yield server, Connection("127.0.0.1", server.listening.getsockname()[1], client)
    server.listening.close()


@pytest.mark.parametrize("served", [ANSWER], indirect=True)
def test_one_that_the_server_has_ended_meanwhile_is_made_anew(served: tuple[Server, Connection]) -> None:
    """As while a person is asked whether to go on: servers end what is idle for a minute or so."""
    server, connection = served
    for path in ("/version", "/api/v1?labelSelector=a%3Db"):
        assert connection.exchange("GET", path, {"Accept": "application/json"}, b"").body == b"{}"
        assert server.ended.acquire(timeout=60)
    assert [request.split(b"\r\n")[0] for request in server.asked] == [
        b"GET /version HTTP/1.1",
        b"GET /api/v1?labelSelector=a%3Db HTTP/1.1",
    ]


@pytest.mark.parametrize("served", [b"", ANSWER[:-1]], indirect=True)
def test_one_that_ends_before_its_answer_is_asked_once(served: tuple[Server, Connection]) -> None:
    server, connection = served
    with pytest.raises(ConnectionError):
        connection.exchange("DELETE", "/api", {}, b"{}")
    assert len(server.asked) == 1


def kubeconfig(login: str = "secret", **cluster: Any) -> dict[str, Any]:
    """As a client has it of a cluster; istioctl's Connection is made when it is asked for something first."""
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "u", "user": {"token": login}}],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "is not YAML"),
        (b"a: \xff", "is not UTF-8"),
        (b"", "no configuration has been provided"),
        ({**kubeconfig(), "contexts": ["c"]}, "invalid configuration: context 'c'"),
        ({**kubeconfig(), "contexts": {"c": {}}}, "invalid configuration: context 'c'"),
        ({**kubeconfig(), "clusters": [{"name": "c", "cluster": {"insecure": True}}]}, "no 'server'"),
        (kubeconfig(server="https://127.0.0.1:abc"), "Port could not be cast"),
        (kubeconfig(server="http://127.0.0.1:1"), "takes https://HOST:PORT"),
        (kubeconfig(server="https://127.0.0.1:1/prefix"), "takes https://HOST:PORT"),
        (kubeconfig(**{"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify: the sandbox's"),
        (kubeconfig(**{"certificate-authority-data": "bm9uZQ=="}), "invalid configuration: context 'c'"),
        (kubeconfig(**{"certificate-authority": "nowhere.pem"}), "No such file"),
        (kubeconfig(""), "has no token"),
        (kubeconfig("secret\nX-Mine: 1"), "the token of context 'c' of .* is none"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(
    content: bytes | dict[str, Any], said: str, tmp_path: Path
) -> None:
    """In words, and never with its token."""
    file = tmp_path / "config"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(IstioctlError, match=said) as raised:
        connect(str(file))
    assert "secret" not in str(raised.value)


def test_of_several_kubeconfigs_the_first_that_is_there_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl merges them, and passes over what is not there."""
    (tmp_path / "one").write_text(json.dumps(kubeconfig()))
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path}/none:{tmp_path}/one")
    assert connect().namespace == "default"

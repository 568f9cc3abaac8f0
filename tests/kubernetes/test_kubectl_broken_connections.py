"""A read that breaks on its way is tried once more, a write is not: real kubectl, the sandbox, and a proxy on
loopback between them that breaks what the first kubectl process connects to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason, broke_on_its_way

Break = Callable[[asyncio.StreamWriter], None]


def resets(writer: asyncio.StreamWriter) -> None:
    """With a reset instead of an end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def ends(writer: asyncio.StreamWriter) -> None:
    writer.close()


@dataclass
class Proxy:
    """Passes bytes on to the API server, but breaks connections while fewer than `sound_from` kubectl processes
    were started: by `breaks`, or by not listening at all. `only` breaks so many connections and no more."""

    kubectl: Kubectl
    breaks: Break | None = None
    sound_from: int = 2
    only: float = math.inf
    started: list[tuple[str, ...]] = field(default_factory=list)
    broken: int = 0
    server: asyncio.Server | None = None
    listening: asyncio.Future[None] | None = None

    async def listen(self) -> None:
        assert self.server
        await self.server.start_serving()

    def echo(self, argv: tuple[str, ...], stdin: str) -> None:
        """A kubectl is about to be started, or asked."""
        if "proxy" in argv:
            return
        self.started.append(argv)
        if self.breaks or len(self.started) >= self.sound_from:
            self.listening = asyncio.ensure_future(self.listen())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.breaks and len(self.started) < self.sound_from and self.broken < self.only:
            self.broken += 1
            self.breaks(writer)
            return
        server = yaml.safe_load(self.kubectl.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        url = urlsplit(server)
        there, back = await asyncio.open_connection(url.hostname, url.port)
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxy(kubectl: Kubectl) -> AsyncIterator[Proxy]:
    made = Proxy(kubectl)
    # Bound, so that the port is ours, and not listening: connections are refused.
    made.server = await asyncio.start_server(made.serve, "127.0.0.1", 0, start_serving=False)
    yield made
    made.server.close()


@pytest.fixture
def through(proxy: Proxy, tmp_path: Path) -> Kubectl:
    content = yaml.safe_load(proxy.kubectl.kubeconfig.read_text())
    assert proxy.server
    for entry in content["clusters"]:
        host = urlsplit(entry["cluster"]["server"]).hostname
        entry["cluster"]["server"] = f"https://127.0.0.1:{proxy.server.sockets[0].getsockname()[1]}"
        entry["cluster"]["tls-server-name"] = host
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    return replace(
        proxy.kubectl, kubeconfig=kubeconfig, cache=tmp_path / "cache", echo=proxy.echo, asked=proxy.echo
    )


@pytest.mark.parametrize(
    "words",
    [
        ("get", "namespaces", "-o", "name"),
        ("version", "-o", "json"),
        ("api-resources", "-o", "name"),
        ("describe", "namespace", "default"),
    ],
)
async def test_a_read_that_is_refused_a_connection_is_tried_once_more(
    proxy: Proxy, through: Kubectl, words: tuple[str, ...]
) -> None:
    assert await through.call(*words)
    assert len(proxy.started) == 2
    assert proxy.started[0] == proxy.started[1]


@pytest.mark.parametrize("breaks", [resets, ends])
async def test_one_broken_connection_fails_no_get(proxy: Proxy, through: Kubectl, breaks: Break) -> None:
    """kubectl's own client connects anew, after a second; when that goes on it does so for longer than any call of
    ours may take, so what is seen of it here is one."""
    proxy.breaks, proxy.only = breaks, 1
    assert await through.get_items("namespaces")
    assert proxy.broken == 1


async def test_a_read_is_tried_once_more_and_not_again(proxy: Proxy, through: Kubectl) -> None:
    proxy.sound_from = 3
    with pytest.raises(KubectlError) as failed:
        await through.get_items("pods", "-A")
    assert failed.value.reason is Reason.UNREACHABLE
    assert len(proxy.started) == 2


async def test_a_look_whose_connection_breaks_is_asked_of_a_kubectl_process(proxy: Proxy, through: Kubectl) -> None:
    """The one that stays has told that it does not reach the API server."""
    proxy.breaks, proxy.only = resets, 1
    default = Place("Namespace", "", "default")
    (found,) = (await through.look([default]))[default] or ()
    assert found["metadata"]["name"] == "default"
    assert proxy.broken == 1
    assert [argv[4:] for argv in proxy.started] == [
        ("get", "namespaces", "default", "--ignore-not-found", "-o", "json")
    ]


async def test_a_cluster_that_nobody_reaches_is_told_as_by_kubectl(proxy: Proxy, through: Kubectl) -> None:
    proxy.sound_from = 99
    with pytest.raises(KubectlError) as failed:
        await through.look([Place("Pod", "default"), Place("Gateway", "default")])
    assert failed.value.reason is Reason.UNREACHABLE
    assert "was refused" in failed.value.came_back


async def test_a_write_is_not_repeated(proxy: Proxy, through: Kubectl) -> None:
    """It may have arrived."""
    with pytest.raises(KubectlError):
        await through.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not-made"}}])
    assert len(proxy.started) == 1


async def test_what_the_api_server_refuses_is_not_repeated(proxy: Proxy, through: Kubectl) -> None:
    proxy.sound_from = 1
    with pytest.raises(KubectlError) as failed:
        await through.call("get", "namespace", "nowhere")
    assert failed.value.reason is Reason.NOT_FOUND
    assert len(proxy.started) == 1


@pytest.mark.parametrize(
    "stderr",
    [
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
        'Get "https://a/api": dial tcp 127.0.0.1:6443: connect: connection refused',
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout",
        'Get "https://a/api/v1/pods": read tcp 10.0.0.2:1->10.0.0.1:443: read: connection reset by peer',
        "Unable to connect to the server: EOF",
        'Get "https://a/api/v1/pods": unexpected EOF',
    ],
)
def test_what_counts_as_broken_on_its_way(stderr: str) -> None:
    assert broke_on_its_way(stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        'Error from server (NotFound): pods "a" not found',
        "error: You must be logged in to the server (Unauthorized)",
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown",
        "Unable to connect to the server: dial tcp: lookup nowhere.invalid: no such host",
    ],
)
def test_what_does_not(stderr: str) -> None:
    assert not broke_on_its_way(stderr)

"""exec and the proxy verbs as clients other than kubectl ask for them: the frames and requests that they send."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlencode

import aiohttp
import pytest

from sandbox.server.launcher import Running
from tests.kit.sandbox import Kubectl

POD = """
apiVersion: v1
kind: Pod
metadata: {name: bin, labels: {app: bin}}
spec:
  containers:
    - {name: httpbin, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: bin}
spec:
  selector: {app: bin}
  ports: [{name: http, port: 8000, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec:
  selector: {app: nothing}
  ports: [{port: 80}]
"""


@pytest.fixture(scope="module")
def pod(kubectl: Kubectl) -> Iterator[str]:
    """A namespace with a pod, its service, and a service without pods."""
    name = "other-clients"
    kubectl("create", "namespace", name)
    kubectl("apply", "-n", name, "-f", "-", stdin=POD)
    kubectl("wait", "-n", name, "--for=condition=Ready", "pod/bin", "--timeout=60s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


class Session:
    """An aiohttp client with the kubeconfig's token."""

    def __init__(self, running: Running) -> None:
        token = json.loads(running.kubeconfig.read_text())["users"][0]["user"]["token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        self.ssl = ssl.create_default_context(cafile=str(running.kubeconfig.parent / "ca.pem"))
        self.url = running.url

    async def exec(
        self, namespace: str, command: list[str], protocols: tuple[str, ...], *typed: str | bytes
    ) -> list[aiohttp.WSMessage]:
        """All frames that come back."""
        query = urlencode(
            [*(("command", word) for word in command), *((one, "1") for one in ("stdin", "stdout", "stderr"))]
        )
        path = f"{self.url}/api/v1/namespaces/{namespace}/pods/bin/exec?{query}"
        async with (
            aiohttp.ClientSession(headers=self.headers) as session,
            session.ws_connect(
                path, ssl=self.ssl, protocols=protocols, timeout=aiohttp.ClientWSTimeout(ws_close=10)
            ) as socket,
        ):
            assert socket.protocol == (protocols[0] if protocols else None)
            for frame in typed:
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
            return [frame async for frame in socket]

    def forwarding(
        self, session: aiohttp.ClientSession, namespace: str, ports: str, protocols: tuple[str, ...]
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        path = f"{self.url}/api/v1/namespaces/{namespace}/pods/bin/portforward?{ports}"
        limit = aiohttp.ClientWSTimeout(ws_close=10)
        return session.ws_connect(path, ssl=self.ssl, protocols=protocols, timeout=limit)


@pytest.fixture
def client(sandbox: Running) -> Session:
    return Session(sandbox)


def joined(frames: list[aiohttp.WSMessage], channel: int) -> bytes:
    return b"".join(one.data[1:] for one in frames if one.data[0] == channel)


READ = ["sh", "-c", "read line; echo got $line; read more; exit $more"]


async def test_stdin_in_text_frames(client: Session, pod: str) -> None:
    """kubernetes.stream.ws_client writes `chr(0) + text` as a text frame."""
    frames = await client.exec(pod, READ, ("v4.channel.k8s.io",), "\0schön\n", "\x003\n")
    assert all(one.type is aiohttp.WSMsgType.BINARY for one in frames)
    assert joined(frames, 1).decode() == "got schön\n"
    assert json.loads(joined(frames, 3))["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.parametrize("protocol", ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"])
async def test_streams_in_base64(client: Session, pod: str, protocol: str) -> None:
    typed = [f"0{base64.b64encode(line).decode()}" for line in (b"one\n", b"0\n")]
    frames = await client.exec(pod, READ, (protocol,), *typed)
    assert all(one.type is aiohttp.WSMsgType.TEXT for one in frames)
    told = {one.data[0]: base64.b64decode(one.data[1:]) for one in frames}
    assert told["1"] == b"got one\n"
    if protocol.startswith("v4"):
        assert json.loads(told["3"])["status"] == "Success"
    else:
        assert "3" not in told


ASKED = b"GET /status/418 HTTP/1.1\r\nHost: bin\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("protocols", [("v4.channel.k8s.io",), ()])
async def test_ports_are_forwarded_by_channels(client: Session, pod: str, protocols: tuple[str, ...]) -> None:
    """kubernetes.stream.portforward names the protocol, kr8s does not. Each expects a port's number first, and the
    end of all when the pod has ended its connections."""
    async with (
        aiohttp.ClientSession(headers=client.headers) as session,
        client.forwarding(session, pod, "ports=8080&ports=9", protocols) as socket,
    ):
        assert socket.protocol == (protocols[0] if protocols else None)
        await socket.send_bytes(b"\0" + ASKED)
        frames = [frame async for frame in socket]
    ports = [bytes((number,)) + port.to_bytes(2, "little") for number, port in enumerate((8080, 8080, 9, 9))]
    assert [one.data for one in frames[:4]] == ports
    assert joined(frames[4:], 0).startswith(b"HTTP/1.1 418 ")
    assert joined(frames[4:], 3) == b"failed to connect to port 9 inside pod bin: Connection refused"


@pytest.mark.parametrize("ports", ["", "ports=http", "ports=0", "ports=80,70000"])
async def test_ports_that_are_none_are_refused(client: Session, pod: str, ports: str) -> None:
    async with aiohttp.ClientSession(headers=client.headers) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client.forwarding(session, pod, ports, ()):
                pass
    assert refused.value.status == 400


@pytest.mark.parametrize("protocols", [("channel.k8s.io",), ()])
async def test_before_version_4_a_failure_is_a_message(
    client: Session, pod: str, protocols: tuple[str, ...]
) -> None:
    frames = await client.exec(pod, READ, protocols, b"\0one\n", b"\x002\n")
    assert joined(frames, 1) == b"got one\n"
    assert joined(frames, 3) == b"command terminated with non-zero exit code: 2"


async def test_protocols_that_are_not_known_are_refused(client: Session, pod: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.exec(pod, READ, ("v9.channel.k8s.io",))
    assert refused.value.status == 400


async def test_what_is_no_base64_ends_the_connection(client: Session, pod: str) -> None:
    assert await client.exec(pod, READ, ("base64.channel.k8s.io",), "0?") == []


@pytest.mark.parametrize(
    "place",
    [
        "services/bin:8000",
        "services/bin:http",
        "services/http:bin:8000",
        "services/bin",
        "pods/bin",
        "pods/bin:8080",
    ],
)
def test_requests_are_passed_on(kubectl: Kubectl, pod: str, place: str) -> None:
    """`kubectl get --raw` sends them as any client does, and so do `kubectl proxy` and dashboards."""
    got = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{pod}/{place}/proxy/anything/a%20b/?x=1"))
    assert got["args"] == {"x": ["1"]}
    assert got["url"].endswith("/anything/a%20b/?x=1")
    assert "Authorization" not in got["headers"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("services/none/proxy/", 'services "none" not found'),
        ("services/empty/proxy/", 'no endpoints available for service "empty"'),
        ("services/bin:odd/proxy/", 'no service port "odd" found for service "bin"'),
        ("services/https:bin:8000/proxy/", "services/proxy: scheme https: not supported by the sandbox"),
        ("pods/bin:8081/proxy/", "error trying to reach service"),
        ("pods/bin/proxy/status/418", "the status code 418"),
    ],
)
def test_what_cannot_be_passed_on_says_why(kubectl: Kubectl, pod: str, path: str, said: str) -> None:
    assert said in kubectl.fails("get", "--raw", f"/api/v1/namespaces/{pod}/{path}")

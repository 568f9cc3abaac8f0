"""The cluster for istioctl: its API over HTTPS with a kubeconfig's credentials; kubectl for commands in pods."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import quote, urlsplit

from sandbox.core.cluster import Object
from sandbox.core.programs import kubectl
from sandbox.istioctl.command_line import Arguments, IstioctlError
from sandbox.network.http_reply import Reply

MANAGER = "istio-operator"
_SECONDS = 60


class NotFoundError(IstioctlError):
    """The API has no such object, or does not serve the kind."""


class Connection:
    """Kept, and made anew when the server has ended it meanwhile: a person may have been asked something."""

    def __init__(self, host: str, port: int, tls: SSLContext) -> None:
        self.host, self.port, self._tls = host, port, tls
        self._socket: ssl.SSLSocket | None = None

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Raises OSError, or ValueError for what is no HTTP."""
        sent = {"Host": f"{self.host}:{self.port}", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        line = f"{method} {quote(path, safe='/?&=,:%')} HTTP/1.1"
        message = f"{line}\r\n{head}\r\n".encode() + body
        kept = self._socket is not None
        try:
            return self._send(message, method)
        except (ConnectionError, ssl.SSLError):
            if not kept:
                raise
            return self._send(message, method)

    def _send(self, message: bytes, method: str) -> Reply:
        if self._socket is None:
            plain = socket.create_connection((self.host, self.port), timeout=_SECONDS)
            self._socket = self._tls.wrap_socket(plain, server_hostname=self.host)
        connection, self._socket = self._socket, None
        reply = Reply(method)
        connection.sendall(message)
        while not reply.whole:
            if not (piece := connection.recv(65536)):
                reply.feed_end()
                break
            reply.feed(piece)
        if not reply.whole:
            raise ConnectionError("the server has ended the connection")
        if reply.kept:
            self._socket = connection
        return reply


class Client:
    """One connection. `namespace` is the kubeconfig context's, or `default`; `kubectl` are the words by which
    kubectl talks to the same cluster."""

    def __init__(self, connection: Connection, token: str, namespace: str, kubectl: Sequence[str]) -> None:
        self._connection, self._token, self.namespace, self._kubectl = connection, token, namespace, kubectl
        self._served: dict[str, dict[str, Object]] = {}

    def request(
        self, method: str, path: str, body: Object | None = None, *, content: str = "application/json"
    ) -> Object:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": content}
        content_sent = b"" if body is None else json.dumps(body).encode()
        try:
            reply = self._connection.exchange(method, path, headers, content_sent)
        except (OSError, ValueError) as error:
            server = f"{self._connection.host}:{self._connection.port}"
            raise IstioctlError(f"the connection to the server {server} was refused or lost: {error}") from error
        got = _object(reply.body)
        if reply.status == 404:
            raise NotFoundError(got.get("message", "not found"))
        if reply.status >= 400:
            raise IstioctlError(got.get("message") or f"the server answered {reply.status}")
        return got

    def check_sandbox(self) -> None:
        """Raises IstioctlError for any cluster that is not a sandbox."""
        version = str(self.request("GET", "/version").get("gitVersion") or "unknown")
        if "sandbox" not in version:
            raise IstioctlError(
                f"this istioctl is the sandbox's own, and the cluster (version {version}) is not a sandbox; "
                "use the real istioctl"
            )

    def list(self, api_version: str, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Objects of a kind, everywhere or in a namespace. None when the kind is not served."""
        try:
            path = self._path(api_version, kind, namespace)
        except NotFoundError:
            return []
        answer = self.request("GET", path + (f"?labelSelector={quote(labels)}" if labels else ""))
        items: list[Object] = answer.get("items") or []
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def find(self, api_version: str, kind: str, namespace: str | None, name: str) -> Object | None:
        try:
            return self.request("GET", f"{self._path(api_version, kind, namespace)}/{name}")
        except NotFoundError:
            return None

    def apply(self, obj: Object) -> Object:
        """Server-side apply: creates it, or brings what istioctl owns of it up to date."""
        metadata = obj["metadata"]
        path = f"{self._path(obj['apiVersion'], obj['kind'], metadata.get('namespace'))}/{metadata['name']}"
        query = f"?fieldManager={MANAGER}&force=true"
        return self.request("PATCH", path + query, obj, content="application/apply-patch+yaml")

    def try_create(self, api_version: str, kind: str, namespace: str, name: str, obj: Object) -> None:
        """Whether it would be taken: raises IstioctlError if not."""
        whole = {"apiVersion": api_version, "kind": kind, "metadata": {"generateName": f"{name}-"}, **obj}
        self.request("POST", f"{self._path(api_version, kind, namespace)}?dryRun=All", whole)

    def delete(self, obj: Object) -> bool:
        """False when it was not there."""
        metadata = obj["metadata"]
        try:
            path = self._path(obj["apiVersion"], obj["kind"], metadata.get("namespace"))
            self.request("DELETE", f"{path}/{metadata['name']}", {"propagationPolicy": "Background"})
        except NotFoundError:
            return False
        return True

    def execute(self, namespace: str, pod: str, container: str, *command: str) -> str:
        """What a command prints in a pod's container, without input. Raises IstioctlError when it fails."""
        argv = [*self._kubectl, "exec", "-n", namespace, pod, "-c", container, "--", *command]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise IstioctlError(str(error)) from error
        if done.returncode:
            raise IstioctlError(done.stderr.decode(errors="replace").strip() or "the command failed")
        return done.stdout.decode()

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of kubectl's that goes on; its output and its errors are one stream of lines."""
        try:
            return subprocess.Popen(
                (*self._kubectl, *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except OSError as error:
            raise IstioctlError(str(error)) from error

    def _path(self, api_version: str, kind: str, namespace: str | None) -> str:
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if api_version not in self._served:
            resources = self.request("GET", base).get("resources") or ()
            self._served[api_version] = {r["kind"]: r for r in resources if "/" not in r["name"]}
        resource = self._served[api_version].get(kind)
        if resource is None:
            raise NotFoundError(f"no matches for kind {kind} in version {api_version}")
        within = f"/namespaces/{namespace}" if namespace and resource["namespaced"] else ""
        return f"{base}{within}/{resource['name']}"


def _object(answer: bytes) -> Object:
    try:
        got = json.loads(answer)
    except ValueError:
        return {"message": answer.decode(errors="replace").strip()}
    return got if isinstance(got, dict) else {}


def connect(kubeconfig: str = "", context: str = "") -> Client:
    """A client for a kubeconfig (else the first file of $KUBECONFIG that is there, else ~/.kube/config) and context
    (else the current one). Raises IstioctlError, also for what the sandbox's istioctl does not do."""
    path = Path(kubeconfig or _usual())
    config = _read(path)
    wanted = context or config.get("current-context", "")
    try:
        chosen = _named(config, "contexts", wanted, "context")
        cluster = _named(config, "clusters", chosen.get("cluster", ""), "cluster")
        user = _named(config, "users", chosen.get("user", ""), "user")
        connection = _connection(cluster, path)
        token, namespace = str(user.get("token") or ""), chosen.get("namespace") or "default"
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise IstioctlError(f"invalid configuration: context {wanted!r} of {path}: {_reason(error)}") from error
    if not token:
        raise IstioctlError(
            f"context {wanted!r} of {path} has no token; the sandbox's istioctl knows no other login"
        )
    if not token.isascii() or not token.isprintable():
        raise IstioctlError(f"invalid configuration: the token of context {wanted!r} of {path} is none")
    command = (kubectl() or "kubectl", f"--kubeconfig={path}", f"--context={wanted}")
    return Client(connection, token, namespace, command)


def _usual() -> str:
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    there = [name for name in named if Path(name).exists()]
    return next(iter(there or named), str(Path.home() / ".kube/config"))


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _connection(cluster: Mapping[str, Any], path: Path) -> Connection:
    """Raises IstioctlError, ValueError, OSError."""
    for field in ("insecure-skip-tls-verify", "tls-server-name", "proxy-url"):
        if cluster.get(field):
            raise IstioctlError(f"{path}: {field}: the sandbox's istioctl has it not")
    where = urlsplit(cluster["server"])
    if where.scheme != "https" or not where.hostname or where.path.strip("/"):
        raise IstioctlError(f"{path}: server {cluster['server']!r}: the sandbox's istioctl takes https://HOST:PORT")
    return Connection(where.hostname, where.port or 443, _tls(cluster, path))


def _tls(cluster: Mapping[str, Any], path: Path) -> SSLContext:
    if data := cluster.get("certificate-authority-data"):
        return ssl.create_default_context(cadata=base64.b64decode(data).decode())
    authority = cluster.get("certificate-authority")
    return ssl.create_default_context(cafile=str(path.parent / authority) if authority else None)


def _read(path: Path) -> Object:
    """A kubeconfig. The sandbox writes JSON, which needs no YAML reader."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise IstioctlError(f"invalid configuration: no kubeconfig at {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IstioctlError(f"invalid configuration: {path} is not UTF-8: {error}") from error
    try:
        config = json.loads(text)
    except ValueError:
        import yaml  # a fourth of what most commands take

        try:
            config = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise IstioctlError(f"invalid configuration: {path} is not YAML: {error}") from error
    return config if isinstance(config, dict) else {}


def _named(config: Mapping[str, Any], section: str, name: str, key: str) -> Object:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            found: Object = entry.get(key) or {}
            return found
    raise IstioctlError(
        f'{key} "{name}" does not exist' if name else "invalid configuration: no configuration has been provided"
    )


@dataclass
class Invocation:
    """A command being run: its arguments, and the cluster when it is asked for."""

    arguments: Arguments
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """Raises IstioctlError when there is no cluster, or not a sandbox."""
        if self._client is None:
            self._client = connect(self.arguments.text("kubeconfig"), self.arguments.text("context"))
            self._client.check_sandbox()
        return self._client

    @property
    def istio_namespace(self) -> str:
        return self.arguments.text("istioNamespace")

    @property
    def namespace(self) -> str:
        return self.arguments.text("namespace") or self.client.namespace

    def confirmed(self, question: str) -> bool:
        """Whether a person (or -y) agrees."""
        if self.arguments.on("skip-confirmation") or self.arguments.on("yes"):
            return True
        print(f"{question} (y/N) ", end="", flush=True)
        answer = sys.stdin.readline().strip().lower()
        if answer not in ("y", "yes"):
            print("Cancelled.")
            return False
        return True

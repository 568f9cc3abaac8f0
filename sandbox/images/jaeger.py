"""jaeger: the sandbox's stand-in for it, in a pod. What it does is in `sandbox/jaeger`.

Of the file that `--config` names (that of Jaeger 2, which is OpenTelemetry's collector) it takes the base path, the
receivers `otlp` and `zipkin` with their ports, and the ports of health and metrics; other receivers and extensions
it names in its log as not supported. Whatever storage the file says, spans are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml
from aiohttp import web
from grpclib.server import Server

from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import JSON, TEXT, WebProgram
from sandbox.jaeger import otlp, zipkin
from sandbox.jaeger.query_api import Api
from sandbox.jaeger.spans import Span, SpanStore

_LARGEST = 8 * 2**20
"""Bytes of what comes in at once."""


_USUAL: Mapping[str, int] = {"otlp/grpc": 4317, "otlp/http": 4318, "zipkin": 9411, "health": 13133, "metrics": 8888}
_EXTENSIONS = ("jaeger_storage", "jaeger_query", "healthcheckv2")


@dataclass(slots=True)
class Config:
    """Ports by what they are for; one that is not in it is not open."""

    base_path: str = ""
    ports: dict[str, int] = field(default_factory=lambda: dict(_USUAL))
    others: tuple[str, ...] = ()
    """What the file names and is not here."""


def read_config(text: str) -> Config:
    """Raises ProgramError for what is no configuration."""
    try:
        said = yaml.safe_load(text) or {}
        service, extensions, receivers = (said.get(name) or {} for name in ("service", "extensions", "receivers"))
        wanted = service["pipelines"]["traces"]["receivers"]
        protocols = (receivers.get("otlp") or {}).get("protocols") or {} if "otlp" in wanted else {}
        endpoints = {f"otlp/{name}": (protocols.get(name) or {}).get("endpoint") for name in protocols}
        if "zipkin" in wanted:
            endpoints["zipkin"] = (receivers.get("zipkin") or {}).get("endpoint")
        if "healthcheckv2" in service["extensions"]:
            endpoints["health"] = ((extensions.get("healthcheckv2") or {}).get("http") or {}).get("endpoint")
        ports = {name: _port(endpoint) if endpoint else _USUAL[name] for name, endpoint in endpoints.items()}
        for reader in ((service.get("telemetry") or {}).get("metrics") or {}).get("readers") or ():
            ports["metrics"] = int(reader["pull"]["exporter"]["prometheus"]["port"])
        base = (extensions.get("jaeger_query") or {}).get("base_path") or ""
        others = [f"receivers.{name}" for name in wanted if name not in ("otlp", "zipkin")]
        others += [f"extensions.{name}" for name in service["extensions"] if name not in _EXTENSIONS]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"Error: failed to get config: {error!r}") from None
    return Config(str(base).rstrip("/"), ports, tuple(others))


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


_Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Jaeger(WebProgram):
    port = 16686
    binaries = ("jaeger", "jaeger-linux")

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._config = Config()
        self._store = SpanStore()
        self._accepted: dict[str, int] = {}
        self._api = Api(self._store)
        self._open: list[Any] = []

    def configure(self, arguments: list[str]) -> None:
        given, operands = parse_flags(arguments, ("--config",), program="jaeger")
        if operands:
            raise ProgramError(f"unknown arguments for the sandbox's jaeger: {' '.join(operands)}", 2)
        if file := given.get("--config", "").removeprefix("file:"):
            try:
                said = self.container.files.read(file).decode(errors="replace")
            except OSError as error:
                raise ProgramError(f"Error: failed to get config: open {file}: {error.strerror}") from None
            self._config = read_config(said)
        self._api = Api(self._store, self._config.base_path)

    async def start(self) -> None:
        await super().start()
        for other in self._config.others:
            self.container.log(f"not supported by the sandbox's Jaeger: {other}")
        answering: Mapping[str, _Answer] = {
            "otlp/http": self._otlp,
            "zipkin": self._zipkin,
            "health": self._health,
            "metrics": self._metrics,
        }
        for name, port in self._config.ports.items():
            address = self.container.network.listening(port)
            try:
                if name == "otlp/grpc":
                    server = Server([otlp.Receiver(partial(self._take, name))])
                    await server.start(*address)
                    self._open.append(server)
                else:
                    await self._serve(answering[name], address)
            except OSError as error:
                raise ProgramError(f"listen tcp {self.container.ip}:{port}: {error.strerror}") from error

    async def _serve(self, answer: _Answer, address: tuple[str, int]) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await answer(request)
            except ValueError as error:
                return web.Response(status=400, text=f"{error}\n")

        server = web.Server(handle, access_log=None)
        self._open.append(await asyncio.get_running_loop().create_server(server, *address))

    def _take(self, receiver: str, spans: list[Span]) -> None:
        self._accepted[receiver] = self._accepted.get(receiver, 0) + self._store.add(spans)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._api.answer(request)

    async def _zipkin(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.method, request.path) != ("POST", "/api/v2/spans"):
            return _not_there(request, "POST /api/v2/spans")
        if request.content_type != "application/json":
            raise ValueError(f"{request.content_type}: not supported by the sandbox, which takes application/json")
        self._take("zipkin", zipkin.decode(await _body(request)))
        return web.Response(status=202)

    async def _otlp(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.method, request.path) != ("POST", "/v1/traces"):
            return _not_there(request, "POST /v1/traces")
        if request.content_type != "application/x-protobuf":
            said = f"{request.content_type}: not supported by the sandbox, which takes application/x-protobuf"
            return web.Response(status=415, text=f"{said}\n")
        self._take("otlp/http", otlp.decode(await _body(request)))
        return web.Response(content_type="application/x-protobuf")

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/status":
            return _not_there(request, "/status")
        return web.Response(body=b'{"healthy":true,"status":"StatusOK"}', headers=JSON)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return _not_there(request, "/metrics")
        name = "otelcol_receiver_accepted_spans_total"
        lines = [f"# TYPE {name} counter"]
        for receiver, count in sorted(self._accepted.items()):
            kind, _, transport = receiver.partition("/")
            lines.append(f'{name}{{receiver="{kind}",transport="{transport or "http"}"}} {count}')
        return web.Response(body="\n".join([*lines, ""]).encode(), headers=TEXT)

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Jaeger logs no request."""

    async def stop(self, grace: float) -> None:
        for server in self._open:
            server.close()
        await super().stop(grace)


async def _body(request: web.BaseRequest) -> bytes:
    """Raises ValueError for what is too large, or compressed."""
    if (encoding := request.headers.get("Content-Encoding", "identity")) != "identity":
        raise ValueError(f"Content-Encoding {encoding}: not supported by the sandbox")
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > _LARGEST:
            raise ValueError(f"more than {_LARGEST} bytes at once")
    return bytes(body)


def _not_there(request: web.BaseRequest, known: str) -> web.Response:
    said = f"{request.method} {request.path}: not supported by the sandbox, which has {known}"
    return web.Response(status=404, text=f"{said}\n")


PROGRAMS: dict[str, Factory] = {"jaeger": Jaeger}

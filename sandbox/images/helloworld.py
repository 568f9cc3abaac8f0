"""Istio's HelloWorld: says its version and which pod answered. Its image is run by gunicorn.

Of gunicorn there are the options a manifest gives, and its log, in which mirrored requests are counted: a line for
each once `--access-logfile -` asks for them, in the shape of gunicorn's manual ("Settings": `access_log_format`).
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import TEXT, WebProgram

_APPLICATION = "app:app"
_SHORT = {"-b": "--bind", "-k": "--worker-class"}
_WORKERS = ("gevent", "sync")


class HelloWorld(WebProgram):
    port = 5000
    binaries = ("gunicorn",)

    def __init__(self, container: Container, version: str) -> None:
        super().__init__(container)
        version = container.env.get("SERVICE_VERSION", version)
        self._hello = f"Hello version: {version}, instance: {container.pod_name}\n".encode()
        self._access_log = False

    def configure(self, arguments: list[str]) -> None:
        if self.container.env.get("GUNICORN_CMD_ARGS"):
            raise ProgramError("not supported by the sandbox's gunicorn: GUNICORN_CMD_ARGS", 2)
        words = self.without_name(arguments) if self.container.command else ["-b", "0.0.0.0:5000", _APPLICATION]
        found, applications = parse_flags(
            words, [*_SHORT, *_SHORT.values(), "--access-logfile"], program="gunicorn"
        )
        given = {_SHORT.get(name, name): value for name, value in found.items()}
        if applications != [_APPLICATION]:
            raise ProgramError(f"Error: No application module specified: the image has one, {_APPLICATION}", 1)
        host, _, port = given.get("--bind", "").rpartition(":")
        if host not in ("", "0.0.0.0", "[::]") or not port.isdecimal():  # noqa: S104 - of the pod
            raise ProgramError("gunicorn: error: the sandbox's binds to all addresses: --bind 0.0.0.0:PORT", 1)
        if given.get("--worker-class", "sync") not in _WORKERS:
            raise ProgramError(f"Error: invalid worker class: the image has {_WORKERS}", 1)
        if given.get("--access-logfile", "-") != "-":
            raise ProgramError("gunicorn: error: the sandbox's writes its access log to - (standard output)", 1)
        self.port, self._access_log = int(port), "--access-logfile" in given

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if not self._access_log:
            return
        now = datetime.now(UTC).strftime("[%d/%b/%Y:%H:%M:%S +0000]")
        body = response.body if isinstance(response, web.Response) else None
        size = len(body) if isinstance(body, bytes | bytearray) else 0
        headers = request.headers
        what = f"{request.method} {request.path_qs} HTTP/{request.version.major}.{request.version.minor}"
        self.container.log(
            f'{request.remote or "-"} - - {now} "{what}" {response.status} {size}'
            f' "{headers.get("Referer", "-")}" "{headers.get("User-Agent", "-")}"'
        )

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/hello":
            return web.Response(body=self._hello, headers=TEXT)
        if request.path == "/health":
            return web.Response(body=b"Helloworld is healthy", headers=TEXT)
        raise web.HTTPNotFound(text=f"{request.path} not found")


def _version(version: str) -> Factory:
    return lambda container: HelloWorld(container, version)


PROGRAMS: dict[str, Factory] = {
    "examples-helloworld-v1": _version("v1"),
    "examples-helloworld-v2": _version("v2"),
}

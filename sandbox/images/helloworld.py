"""Istio's HelloWorld: says its version and which pod answered."""

from __future__ import annotations

from aiohttp import web

from sandbox.images import gunicorn
from sandbox.images.program import Container, Factory, ProgramError
from sandbox.images.web import TEXT, WebProgram

_OWN = ("gunicorn", "-b", "0.0.0.0:5000", "app:app", "-k", "gevent")


class HelloWorld(WebProgram):
    port = 5000
    binaries = ("gunicorn",)

    def __init__(self, container: Container, version: str) -> None:
        super().__init__(container)
        version = container.env.get("SERVICE_VERSION", version)
        self._hello = f"Hello version: {version}, instance: {container.pod_name}\n".encode()
        self._settings = gunicorn.Settings()

    def configure(self, arguments: list[str]) -> None:
        # The image has no entry point: without `command` the first of `args` is the program.
        if not self.container.spec.get("command"):
            name, *arguments = arguments or _OWN
            if name.rsplit("/", 1)[-1] not in self.binaries:
                raise ProgramError(f'exec: "{name}": executable file not found in $PATH', 127)
        self._settings = gunicorn.parse(arguments, "app:app", self.container.env)
        self.port = self._settings.port or self.port

    def greet(self) -> None:
        for line in gunicorn.start_lines(self._settings):
            self.container.streams.err(line.encode() + b"\n")

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if self._settings.access_log:
            self.container.log(gunicorn.access_line(request, response))

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

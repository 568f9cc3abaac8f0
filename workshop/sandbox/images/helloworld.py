"""Istio's HelloWorld: says its version and which pod answered."""

from __future__ import annotations

from aiohttp import web

from workshop.sandbox.images.program import Container, Factory
from workshop.sandbox.images.web import TEXT, WebProgram


class HelloWorld(WebProgram):
    port = 5000

    def __init__(self, container: Container, version: str) -> None:
        super().__init__(container)
        version = container.env.get("SERVICE_VERSION", version)
        self._hello = f"Hello version: {version}, instance: {container.pod_name}\n".encode()

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

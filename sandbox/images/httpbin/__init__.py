"""httpbin, of which there are two images: go-httpbin has flags and logs its requests, the older one has neither."""

from __future__ import annotations

from aiohttp import web

from sandbox.images.httpbin.answers import HttpBin
from sandbox.images.httpbin.go import GoHttpBin
from sandbox.images.program import Container, Factory


class OldHttpBin(HttpBin):
    """The image behind gunicorn, without an access log."""

    def __init__(self, container: Container) -> None:
        super().__init__(container, 80)

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Nothing is logged."""


PROGRAMS: dict[str, Factory] = {"go-httpbin": GoHttpBin, "httpbin": OldHttpBin}

"""prometheus: the sandbox's stand-in for it, in a pod. What it does is in `sandbox/prometheus`.

It asks whom the file of `--config.file` says (`sandbox/prometheus/configuration.py`), and itself without one. A
file that it does not take ends it, and its log says why. With `--web.enable-lifecycle` it reads the file again when
it is asked to.
"""

from __future__ import annotations

import asyncio
from http.client import responses

from aiohttp import web

from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import WebProgram
from sandbox.prometheus.configuration import BadConfig, Configuration, Job, read
from sandbox.prometheus.expressions import milliseconds
from sandbox.prometheus.http_api import Api
from sandbox.prometheus.scraping import ScrapeError, Scraper
from sandbox.prometheus.series import Store
from sandbox.prometheus.target_discovery import Look
from sandbox.prometheus.targets import Targets

_LONGEST_KEPT = 3600.0
"""Seconds: what is older is forgotten, whatever `--storage.tsdb.retention.time` says. It is in memory."""

_OWN = Configuration((Job("prometheus", 15.0, written=({"__address__": "localhost:9090"},)),))
"""What the image has at /etc/prometheus/prometheus.yml."""

_FLAGS = (
    *("--config.file", "--storage.tsdb.path", "--storage.tsdb.retention.time", "--web.console.libraries"),
    *("--web.console.templates", "--web.listen-address"),
)
_RELOADER_FLAGS = ("--watched-dir", "--listen-address", "--reload-url", "--config-file", "--log-level")
_PLAIN = ("--web.enable-lifecycle", "--web.enable-admin-api")


class Prometheus(WebProgram):
    port = 9090
    binaries = ("prometheus",)
    refresh = 1.0
    """Seconds between two looks at which pods there are."""

    def __init__(self, container: Container, look: Look) -> None:
        super().__init__(container)
        self._look, self._file = look, ""
        self._config = _OWN
        self._lifecycle = False
        self._retention = _LONGEST_KEPT
        self._api: Api | None = None
        self._scraping: asyncio.Task[None] | None = None

    def configure(self, arguments: list[str]) -> None:
        given, operands = parse_flags(arguments, _FLAGS, _PLAIN, program="prometheus")
        if operands:
            raise ProgramError(f"unknown arguments for the sandbox's prometheus: {' '.join(operands)}", 2)
        self._lifecycle = "--web.enable-lifecycle" in given
        if file := given.get("--config.file"):
            self._file = file
            try:
                self._config = self._read()
            except (OSError, BadConfig) as error:
                raise ProgramError(f"Error loading config (--config.file={file}): {_said(error)}", 2) from None
        if address := given.get("--web.listen-address"):
            _, _, port = address.rpartition(":")
            if not port.isdecimal():
                raise ProgramError(f'invalid argument "{address}" for --web.listen-address', 2)
            self.port = int(port)
        if kept := given.get("--storage.tsdb.retention.time"):
            try:
                self._retention = min(milliseconds(kept) / 1000, _LONGEST_KEPT)
            except ValueError as error:
                raise ProgramError(
                    f'invalid argument "{kept}" for --storage.tsdb.retention.time: {error}', 2
                ) from None

    async def start(self) -> None:
        await super().start()
        self._scraper = Scraper(Store(), list, self._fetch, retention=self._retention)
        self._follow(self._config)
        self._api = Api(self._scraper, _version(self.container.image))
        self._scraping = asyncio.create_task(self._scraper.run(self.refresh))

    def _read(self) -> Configuration:
        """Raises OSError, BadConfig."""
        files = self.container.files

        def rules_in(file: str) -> str:
            return files.read(file).decode(errors="replace") if files.exists(file) else ""

        return read(files.read(self._file).decode(errors="replace"), rules_in)

    def _follow(self, config: Configuration) -> None:
        for job, why in config.left_out.items():
            self.container.log(f"not supported by the sandbox's Prometheus: the job {job}: {why}")
        self._scraper.targets = Targets(config.jobs, self._look)

    async def _fetch(self, url: str) -> str:
        if not url.startswith("http:"):
            raise ScrapeError(f'Get "{url}": the sandbox\'s pods speak plain HTTP')
        headers = {
            "accept": "text/plain;version=0.0.4",
            "user-agent": f"Prometheus/{_version(self.container.image)}",
        }
        try:
            reply = await self.container.network.http.request("GET", url, headers)
        except OSError as error:
            raise ScrapeError(f'Get "{url}": {error.strerror or error}') from None
        if reply.status != 200:
            raise ScrapeError(
                f"server returned HTTP status {reply.status} {responses.get(reply.status, '')}".rstrip()
            )
        try:
            return reply.body.decode()
        except UnicodeDecodeError as error:
            raise ScrapeError(f"invalid UTF-8: {error}") from None

    async def wait(self) -> int:
        """It does not end by itself, unless scraping fails."""
        assert self._scraping is not None
        await asyncio.shield(self._scraping)
        return 1

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._api is None:
            raise web.HTTPServiceUnavailable(text="Service Unavailable")
        if request.path == "/-/reload":
            return self._reload(request.method)
        return await self._api.answer(request)

    def _reload(self, method: str) -> web.Response:
        """Statuses and words are those of web/web.go."""
        if method not in ("POST", "PUT"):
            return web.Response(status=405, text="Only POST or PUT requests allowed")
        if not self._lifecycle:
            return web.Response(status=403, text="Lifecycle API is not enabled.")
        try:
            config = self._read() if self._file else _OWN
        except (OSError, BadConfig) as error:
            said = f'couldn\'t load configuration (--config.file="{self._file}"): {_said(error)}'
            self.container.log(f"Error reloading config: {said}")
            return web.Response(status=500, text=f"failed to reload config: {said}\n")
        self._follow(config)
        return web.Response()

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Prometheus logs no request."""

    async def stop(self, grace: float) -> None:
        if self._scraping is not None:
            self._scraping.cancel()
            await asyncio.gather(self._scraping, return_exceptions=True)
        await super().stop(grace)


class ConfigReloader(WebProgram):
    """Runs beside Prometheus in Istio's add-on, to have it read a changed file again. Here files stay as they were
    when the pod began, so it is only well."""

    port = 8080
    binaries = ("prometheus-config-reloader",)

    def configure(self, arguments: list[str]) -> None:
        given, operands = parse_flags(arguments, _RELOADER_FLAGS, (), program="prometheus-config-reloader")
        if operands:
            raise ProgramError(f"unexpected {' '.join(operands)}", 1)
        if address := given.get("--listen-address"):
            self.port = int(address.rpartition(":")[2])

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/healthz":
            return web.Response(text="OK")
        raise web.HTTPNotFound(text="404 page not found\n")


def _said(error: OSError | BadConfig) -> str:
    if isinstance(error, BadConfig):
        return str(error)
    return f"open {error.filename}: {(error.strerror or '').lower()}"


def _version(image: str) -> str:
    tag = image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
    return tag.removeprefix("v") or "latest"


def programs(look: Look) -> dict[str, Factory]:
    """Of a cluster's objects."""
    return {
        "prometheus": lambda container: Prometheus(container, look),
        "prometheus-config-reloader": ConfigReloader,
    }

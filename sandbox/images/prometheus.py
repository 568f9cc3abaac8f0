"""prometheus: the sandbox's stand-in for it, in a pod. What it does is in `sandbox/prometheus`.

It scrapes itself and the pods that are annotated for it. Of the file that `--config.file` names it takes how often
and for how long, and which of those two jobs there are; other jobs it names in its log as not supported. Without
a file it has both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import responses
from typing import Any

import yaml
from aiohttp import web

from sandbox.core.cluster import Object
from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import WebProgram
from sandbox.prometheus.expressions import milliseconds
from sandbox.prometheus.http_api import Api
from sandbox.prometheus.pod_targets import JOB, PodTargets
from sandbox.prometheus.scraping import ScrapeError, Scraper, Target
from sandbox.prometheus.series import Store

_OWN_JOB = "prometheus"
_LONGEST_KEPT = 3600.0
"""Seconds: what is older is forgotten, whatever `--storage.tsdb.retention.time` says. It is in memory."""

_FLAGS = (
    *("--config.file", "--storage.tsdb.path", "--storage.tsdb.retention.time", "--web.console.libraries"),
    *("--web.console.templates", "--web.listen-address"),
)
_RELOADER_FLAGS = ("--watched-dir", "--listen-address", "--reload-url", "--config-file", "--log-level")
_PLAIN = ("--web.enable-lifecycle", "--web.enable-admin-api")


@dataclass(slots=True)
class Config:
    """What the file says. Durations are seconds."""

    interval: float = 15.0
    timeout: float = 10.0
    itself: bool = True
    pods: bool = True
    others: tuple[str, ...] = ()
    """Names of jobs that are not here."""


def read_config(text: str) -> Config:
    """Raises ProgramError for what is no configuration."""
    try:
        said = yaml.safe_load(text) or {}
        timing = said.get("global") or {}
        jobs = {str(job["job_name"]): job for job in said.get("scrape_configs") or ()}
        seconds = {name: milliseconds(str(timing[name])) / 1000 for name in timing if name in _TIMES}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"Error loading config: {error}") from None
    interval = seconds.get("scrape_interval", 60.0)
    return Config(
        interval,
        seconds.get("scrape_timeout", min(10.0, interval)),
        _OWN_JOB in jobs,
        JOB in jobs,
        tuple(name for name in jobs if name not in (_OWN_JOB, JOB)),
    )


_TIMES = ("scrape_interval", "scrape_timeout")


class Prometheus(WebProgram):
    port = 9090
    binaries = ("prometheus",)
    refresh = 1.0
    """Seconds between two looks at which pods there are."""

    def __init__(self, container: Container, pods: Callable[[], Iterable[Object]]) -> None:
        super().__init__(container)
        self._pods = PodTargets(pods)
        self._config = Config()
        self._retention = _LONGEST_KEPT
        self._api: Api | None = None
        self._scraping: asyncio.Task[None] | None = None

    def configure(self, arguments: list[str]) -> None:
        given, operands = parse_flags(arguments, _FLAGS, _PLAIN, program="prometheus")
        if operands:
            raise ProgramError(f"unknown arguments for the sandbox's prometheus: {' '.join(operands)}", 2)
        if file := given.get("--config.file"):
            try:
                said = self.container.files.read(file).decode(errors="replace")
            except OSError as error:
                raise ProgramError(f"Error loading config (--config.file={file}): {error.strerror}") from None
            self._config = read_config(said)
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
        config = self._config
        for job in config.others:
            self.container.log(f"not supported by the sandbox's Prometheus: the job {job}")
        scraper = Scraper(
            Store(),
            self._targets,
            self._fetch,
            interval=config.interval,
            timeout=config.timeout,
            retention=self._retention,
        )
        self._api = Api(scraper, _version(self.container.image))
        self._scraping = asyncio.create_task(scraper.run(self.refresh))

    def _targets(self) -> list[Target]:
        targets = self._pods() if self._config.pods else []
        if not self._config.itself:
            return targets
        address = f"localhost:{self.port}"
        labels = {"job": _OWN_JOB, "instance": address}
        return [*targets, Target(f"http://{address}/metrics", labels, {"__address__": address, "job": _OWN_JOB})]

    async def _fetch(self, url: str) -> str:
        if not url.startswith("http:"):
            raise ScrapeError(f'Get "{url}": the sandbox\'s pods speak plain HTTP')
        headers = {
            "accept": "text/plain;version=0.0.4",
            "user-agent": f"Prometheus/{_version(self.container.image)}",
            "x-prometheus-scrape-timeout-seconds": f"{self._config.timeout:g}",
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
        return await self._api.answer(request)

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


def _version(image: str) -> str:
    tag = image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
    return tag.removeprefix("v") or "latest"


def programs(pods: Callable[[], Iterable[Any]]) -> dict[str, Factory]:
    """Of a cluster's pods, as its API has them."""
    return {
        "prometheus": lambda container: Prometheus(container, pods),
        "prometheus-config-reloader": ConfigReloader,
    }

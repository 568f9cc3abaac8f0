"""A Prometheus of samples, behind an API server that passes requests on to it and has little else. Who asks goes
through a real kubectl, as in a cluster. The samples are written as in tests/sandbox/prometheus/samples.py."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from sandbox.prometheus.http_api import Api
from sandbox.prometheus.scraping import Scraper, Target
from tests.kit.workshop import BIN
from tests.sandbox.prometheus.samples import loaded
from workshop.kubernetes.kubectl import Kubectl

SERVICE = "/api/v1/namespaces/istio-system/services/http:prometheus:9090/proxy"

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(code: int, reason: str, said: str) -> web.Response:
    """As the API server itself answers."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": said}
    return web.json_response({**status, "code": code}, status=code)


@dataclass
class BehindApi:
    """`prometheus` answers what is passed on to it; `lists` are the API server's, by path. `asked` are paths."""

    prometheus: Answering
    lists: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if request.path.startswith(f"{SERVICE}/"):
            passed = request.clone(
                rel_url=request.rel_url.with_path(request.path.removeprefix(SERVICE)).with_query(request.query)
            )
            return await self.prometheus(passed)
        if request.path in self.lists:
            found = {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": self.lists[request.path]}
            return web.json_response(found)
        return refusal(404, "NotFound", "the server could not find the requested resource")

    def kubectl(self, folder: Path) -> Kubectl:
        """One that leads there."""
        kubeconfig = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": {}}],
        }
        kubeconfig.write_text(yaml.safe_dump(content))
        return Kubectl(BIN / "kubectl", kubeconfig, "a", folder / "cache")


def of_samples(series: Mapping[str, str], now: float, every: float = 15.0) -> Answering:
    """A Prometheus that has them, and whose time is `now` (the samples begin at 0). It says that it looks at pods
    each `every` seconds."""

    async def nothing(url: str) -> str:
        raise OSError(url)

    pod = Target("http://127.0.0.1:15020/stats/prometheus", {"job": "kubernetes-pods"})
    scraper = Scraper(loaded(series), lambda: [pod], nothing, interval=every, now=lambda: now)
    scraper.update()
    return Api(scraper, "3.7.3", now=lambda: now).answer


@contextlib.asynccontextmanager
async def behind_api(prometheus: Answering) -> AsyncIterator[BehindApi]:
    made = BehindApi(prometheus)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(application) as server:
        assert server.port
        made.port = server.port
        yield made


def text(content: object, status: int = 200) -> Answering:
    """One that always answers that."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = content if isinstance(content, str) else json.dumps(content)
        return web.Response(text=body, status=status)

    return answer

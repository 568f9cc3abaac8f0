"""The API server: HTTPS in front of the in-process cluster, for kubectl and everybody else outside.

Plain HTTP would not do: kubectl sends its token over TLS only. Whoever has the token, or one of a service account
(service_account_tokens.py), may do everything; without it only the health checks and the version are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from sandbox.api import api_errors as errors
from sandbox.api.answers import whole
from sandbox.api.discovery import REVIEWS, Discovery, version_info
from sandbox.api.kinds import POD_STREAMS
from sandbox.api.local_cluster import LocalCluster
from sandbox.api.proxy_requests import serve_proxy
from sandbox.api.read_requests import Reader
from sandbox.api.requests import Form, RequestInfo, flag, parse_accept, parse_path
from sandbox.api.service_account_tokens import TOKEN_REQUEST, ServiceAccountTokens
from sandbox.api.write_requests import Writes, read_body, read_object, scale_of
from sandbox.core import json_text
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import at
from sandbox.schema import openapi_documents as documents

log = logging.getLogger(__name__)

StreamHandler = Callable[[web.Request, Object, str], Awaitable[web.StreamResponse]]
"""Serves a pod's log, exec, attach or portforward."""

_LARGEST_BODY = 8 << 20
_OPEN = {"/healthz", "/readyz", "/livez", "/version"}
_WARNING = "warning"
_DEPRECATED = {"endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
"""What every answer about a kind warns of."""
_REVIEW_STATUS = {f"/apis/{kind.api_version}/{kind.plural}": status for kind, status in REVIEWS.items()}


class ApiServer:
    def __init__(self, cluster: LocalCluster, token: str) -> None:
        self.cluster = cluster
        self.streams: StreamHandler | None = None
        """Who serves pods' streams; without one they are refused."""
        self.ready = False
        """What /readyz says."""
        self._token = token.encode()
        self._reader = Reader(cluster.store, cluster.registry)
        self._writes = Writes(cluster.writer, self._reader)
        self._discovery = Discovery(cluster.registry)
        self._tokens = ServiceAccountTokens(cluster)
        self._documents: dict[str, bytes] = {}
        self._documents_of = -1
        self._runner: web.AppRunner | None = None
        self._open_requests = 0
        self._last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody outside has asked for anything; 0 while a request is being answered."""
        return 0.0 if self._open_requests else time.monotonic() - self._last_request

    async def start(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        """Answer on a socket that is bound already."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(_warn)
        # Without handler_cancellation a watch would only notice that its client left at the next change.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=context, backlog=512).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            if request.path.rstrip("/") in _OPEN or request.path.startswith(("/readyz/", "/livez/")):
                return self._health(request)
            user = self._authenticated(request)
            self._open_requests += 1
            try:
                return await self._dispatch(request, user)
            finally:
                self._open_requests -= 1
                self._last_request = time.monotonic()
        except ApiError as error:
            return _refusal(request, error)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(request, ApiError(413, "RequestEntityTooLarge", f"limit is {_LARGEST_BODY} bytes"))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return _refusal(request, ApiError(500, "InternalError", f"Internal error occurred: {error!r}"))

    def _health(self, request: web.Request) -> web.StreamResponse:
        if request.path.rstrip("/") == "/version":
            return _response(version_info())
        if request.path.startswith("/readyz") and not self.ready:
            return web.Response(status=500, text="starting")
        return web.Response(text="ok")

    def _authenticated(self, request: web.Request) -> Object | None:
        """The service account whose token it is, as a UserInfo; None for the one user there is beside those."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token, user = token.strip(), None
        if scheme.lower() != "bearer" or (
            not hmac.compare_digest(token.encode(), self._token) and not (user := self._tokens.user(token))
        ):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        if any(header.lower().startswith("impersonate-") for header in request.headers):
            raise ApiError(403, "Forbidden", "the sandbox has one user: impersonation is not supported")
        return user

    async def _dispatch(self, request: web.Request, user: Object | None) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path.startswith("/openapi/"):
            return await self._openapi(request, path)
        if (document := self._discovery.document(path, request.headers.get("Accept", ""))) is not None:
            body, content_type = document
            return _response(body, content_type=content_type)
        if path in _REVIEW_STATUS:
            status = _REVIEW_STATUS[path]
            return await _review(request, {"userInfo": user} if user and "userInfo" in status else status)
        # What is passed on keeps a slash at its end, and what is escaped in it.
        info = parse_path(request.raw_path.partition("?")[0] if "/proxy" in path else path, self.cluster.registry)
        if info.subresource == "proxy":
            return await serve_proxy(request, info, self.cluster.store)
        if info.resource.key in _DEPRECATED:
            request[_WARNING] = _DEPRECATED[info.resource.key]
        if info.subresource in POD_STREAMS:
            return await self._stream(request, info)
        form = parse_accept(request.headers.get("Accept", "*/*"))
        if request.method in ("GET", "HEAD"):
            return await self._read(request, info, form)
        return await self._write(request, info, form)

    async def _read(self, request: web.Request, info: RequestInfo, form: Form) -> web.StreamResponse:
        if info.watched or (info.name is None and flag(request.query, "watch")):
            return await self._reader.watch(request, info, form)
        if info.name is None:
            return await self._reader.listing(request, info, form)
        live = self._reader.find(info)
        if info.subresource == "scale":
            return _response(scale_of(live))
        if info.subresource not in (None, "status"):
            raise errors.method_not_allowed()
        return _response(self._reader.shown(info, live, form, request.query))

    async def _write(self, request: web.Request, info: RequestInfo, form: Form) -> web.StreamResponse:
        writes, method = self._writes, request.method
        if info.subresource == "token":
            return await self._token_request(request, info)
        if info.watched:
            raise errors.method_not_allowed()
        if method != "DELETE" and self.cluster.registry.refuses(info.resource):
            raise errors.kind_refused(info.resource, await _name_of_refused(request, info))
        if method == "POST":
            status, obj, warnings = await writes.post(request, info)
        elif info.name is None or method not in ("DELETE", "PUT", "PATCH"):
            raise errors.method_not_allowed()
        elif method == "DELETE":
            status, obj, warnings = await writes.delete(request, info)
        else:
            status, obj, warnings = await (writes.put if method == "PUT" else writes.patch)(request, info)
        if obj["kind"] == info.resource.kind:
            obj = self._reader.shown(info, obj, form, request.query)
        return _response(obj, status, warnings)

    async def _token_request(self, request: web.Request, info: RequestInfo) -> web.StreamResponse:
        if request.method != "POST":
            raise errors.method_not_allowed()
        asked, options = await read_object(request, TOKEN_REQUEST)
        account = self._reader.find(info)
        return _response(self._tokens.create(info, account, asked, dry_run=options.dry_run), 201, options.warnings)

    async def _stream(self, request: web.Request, info: RequestInfo) -> web.StreamResponse:
        if self.streams is None:
            raise ApiError(503, "ServiceUnavailable", "no node serves this pod's streams")
        pod = self._reader.find(info)
        return await self.streams(request, pod, str(info.subresource))

    async def _openapi(self, request: web.Request, path: str) -> web.StreamResponse:
        if path == "/openapi/v2" and documents.V2_ACCEPTED in request.headers.get("Accept", ""):
            body = documents.openapi_v2(self.cluster.registry.told())
            return await whole(request, [body], {"Content-Type": documents.V2_MEDIA_TYPE})
        parse_accept(request.headers.get("Accept", "*/*"))
        registry = self.cluster.registry
        if self._documents_of != registry.generation:
            self._documents.clear()
            self._documents_of = registry.generation
        if path not in self._documents:
            self._documents[path] = json_text.encode(self._make_document(path))
        return await whole(request, [self._documents[path]], {"Content-Type": "application/json"})

    def _make_document(self, path: str) -> Mapping[str, object]:
        resources, types = self.cluster.registry.told(), self.cluster.registry.types()
        if path == "/openapi/v2":
            return documents.openapi_v2_json(resources, types)
        if path == "/openapi/v3":
            return documents.openapi_v3_index(resources, types)
        group_version = path.removeprefix("/openapi/v3/").removeprefix("apis/").removeprefix("api/")
        if group_version not in {resource.api_version for resource in resources}:
            raise errors.not_served()
        return documents.openapi_v3(group_version, resources, types)


async def _warn(request: web.Request, response: web.StreamResponse) -> None:
    """Also of answers that begin before they are whole, as watches do."""
    if _WARNING in request:
        response.headers.add("Warning", f'299 - "{request[_WARNING]}"')


async def _name_of_refused(request: web.Request, info: RequestInfo) -> str:
    """Empty when it cannot be read: some clients send a form for which the kind would have to be known."""
    if info.name is not None:
        return info.name
    with contextlib.suppress(ApiError):
        return str(at((await read_body(request))[0], "metadata", "name") or "")
    return ""


async def _review(request: web.Request, status: Object) -> web.StreamResponse:
    if request.method != "POST":
        raise errors.method_not_allowed()
    review, _ = await read_body(request)
    return _response({**review, "metadata": {"creationTimestamp": None}, "status": status}, 201)


def _refusal(request: web.Request, error: ApiError) -> web.Response:
    """Raises ConnectionError once an answer has begun: another one would be taken for a part of it."""
    if request.writer.output_size:
        raise ConnectionError(f"{request.path}: {error}")
    return _response(error.status(), error.code)


def _response(
    obj: object, status: int = 200, warnings: list[str] | None = None, content_type: str = "application/json"
) -> web.Response:
    response = web.Response(body=json_text.encode(obj), status=status, headers={"Content-Type": content_type})
    for warning in warnings or ():
        text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{text}"')
    return response

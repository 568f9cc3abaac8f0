"""The ARM endpoint: HTTPS in front of the cloud, with a token, a log of what was asked, and scripted faults."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
import ssl
import time
import uuid
from typing import Any

from aiohttp import web

from sandbox.arm.cloud import Cloud
from sandbox.arm.cluster_api import ClusterApi
from sandbox.arm.clusters import Clusters
from sandbox.arm.control import Control
from sandbox.arm.errors import ArmError
from sandbox.arm.groups import Groups
from sandbox.arm.identities import Identities
from sandbox.arm.networks import Networks, Subnets
from sandbox.arm.permissions import Permissions
from sandbox.arm.quotas import Quotas
from sandbox.arm.registries import Registries, RegistryApi
from sandbox.arm.resources import ResourceApi
from sandbox.arm.roles import Roles
from sandbox.arm.routes import Answer, Call, Router
from sandbox.arm.subscriptions import Subscriptions
from sandbox.core.nesting import DEEPEST, too_deep

log = logging.getLogger(__name__)

_LARGEST_BODY = 1 << 20


class ArmServer:
    def __init__(self, cloud: Cloud, token: str) -> None:
        self._cloud, self._token = cloud, token.encode()
        self._router = Router()
        networks, registries, clusters = Networks(cloud), Registries(cloud), Clusters(cloud)
        network_api = ResourceApi(networks, cloud)
        apis = {
            networks.type.lower(): network_api,
            Identities.type.lower(): ResourceApi(Identities(cloud), cloud),
            registries.type.lower(): RegistryApi(registries, cloud),
            clusters.type.lower(): ClusterApi(clusters, cloud),
        }
        groups, self._permissions = Groups(cloud, apis), Permissions(cloud)
        for api in apis.values():
            api.routes(self._router)
        subnets = Subnets(network_api, networks, cloud)
        for part in (Subscriptions(cloud), Quotas(cloud), subnets, Roles(cloud), self._permissions):
            part.routes(self._router)
        groups.routes(self._router)
        self._control = Control(cloud, groups.place_foreign)
        self._runner: web.AppRunner | None = None
        self._open_requests = 0
        self._last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has asked for anything and nothing has been under way."""
        if self._open_requests:
            return 0.0
        return min(time.monotonic() - self._last_request, self._cloud.operations.idle_seconds)

    async def start(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        """Answer on a socket that is bound already."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=context, backlog=512).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._cloud.operations.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._open_requests += 1
        try:
            if request.path.startswith("/sandbox/"):
                return await self._controlled(request)
            return await self._control.watched(request, self._answer)
        finally:
            self._open_requests -= 1
            self._last_request = time.monotonic()

    async def _controlled(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authenticate(request)
            return _response(await self._control.answer(request.method, request.path, await _body(request)))
        except ArmError as error:
            return _refusal(error)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            return _response(await self._dispatch(request))
        except ArmError as error:
            return _refusal(error)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(ArmError(413, "RequestEntityTooLarge", f"The limit is {_LARGEST_BODY} bytes."))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return _refusal(ArmError(500, "InternalServerError", f"the sandbox failed: {error!r}"))

    async def _dispatch(self, request: web.Request) -> Answer:
        self._authenticate(request)
        path = request.path.rstrip("/").replace("//", "/")
        if not request.query.get("api-version"):
            raise ArmError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        self._check_subscription(path)
        self._permissions.check(request.method, path)
        handler, names = self._router.find(request.method, path)
        body = await _body(request)
        return await handler(Call(request.method, path, names, request.query, request.headers, body))

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            code, message = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
        elif scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
            code, message = "InvalidAuthenticationToken", "The access token is invalid."
        else:
            return
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="{self._cloud.url}", error="invalid_token"'}
        raise ArmError(401, code, message, headers=challenge)

    def _check_subscription(self, path: str) -> None:
        first, _, rest = path.lstrip("/").partition("/")
        given = rest.partition("/")[0]
        if first.lower() != "subscriptions" or not given or given.lower() == self._cloud.subscription:
            return
        try:
            uuid.UUID(given)
        except ValueError:
            raise ArmError(
                400,
                "InvalidSubscriptionId",
                f"The provided subscription identifier '{given}' is malformed or invalid.",
            ) from None
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{given}' could not be found.")


async def _body(request: web.Request) -> Any:
    text = await request.read()
    if not text:
        return None
    if too_deep(text):
        said = f"the sandbox takes {DEEPEST} levels at most"
        raise ArmError(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: {said}."
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArmError(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: {error}."
        ) from None


def _response(answer: Answer) -> web.Response:
    headers = {"x-ms-request-id": str(uuid.uuid4()), **answer.headers}
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    body = json.dumps(answer.body, separators=(",", ":")).encode()
    return web.Response(body=body, status=answer.status, headers={"Content-Type": "application/json", **headers})


def _refusal(error: ArmError) -> web.Response:
    headers = {"x-ms-error-code": error.code, **error.headers}
    return _response(Answer(error.status, {"error": error.content()}, headers))

"""The ARM endpoint: HTTPS in front of the cloud, with a token; and for tests how this Azure behaves, what was
asked of it, and the answers that go wrong (azure_settings.py).

GET    /sandbox/settings     how it behaves
POST   /sandbox/settings     change that: what is named is replaced
GET    /sandbox/requests     the requests since the log was cleared, in the order they came
DELETE /sandbox/requests     clear the log; the next request is number 1
GET    /sandbox/state        all that is there, clusters included, to be loaded into another sandbox
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from aiohttp import web

from sandbox.api.answers import whole
from sandbox.arm.api_versions import check_version
from sandbox.arm.azure_settings import Fault
from sandbox.arm.cloud import Cloud
from sandbox.arm.cloud_state import CloudState
from sandbox.arm.managed_clusters import ClusterApi, Clusters
from sandbox.arm.managed_identities import Identities, Roles
from sandbox.arm.networks import Networks
from sandbox.arm.protocol import NOT_SUPPORTED, Answer, ArmError, Call, Router
from sandbox.arm.registries import Registries, RegistryApi
from sandbox.arm.resource_api import ResourceApi
from sandbox.arm.resource_groups import Groups
from sandbox.arm.subscriptions import Permissions, Quotas, Subscriptions
from sandbox.core.nesting import DEEPEST, too_deep

log = logging.getLogger(__name__)

_MOST_LOGGED = 20_000
_LARGEST_BODY = 1 << 20


@dataclass(slots=True)
class Logged:
    number: int
    method: str
    path: str
    query: str
    when: float
    """Seconds since the epoch."""
    status: int | None = None
    """None while it is answered, and for a connection that was reset."""
    seconds: float | None = None
    fault: bool = False
    accepted: bool = False
    """It took effect, whatever the answer that a fault put in the place of its own."""


class Control:
    """`changed` is called when the settings were."""

    def __init__(self, cloud: Cloud, changed: Callable[[], None]) -> None:
        self._cloud, self._changed = cloud, changed
        self._log: list[Logged] = []
        self._asked = 0
        self._faults = _scripted(cloud.settings.faults)

    async def answer(self, method: str, path: str, body: Any) -> Answer:
        settings = self._cloud.settings
        match method, path:
            case "GET", "/sandbox/settings":
                return Answer(200, settings.show())
            case "POST", "/sandbox/settings":
                self._set(body)
                return Answer(200, self._cloud.settings.show())
            case "GET", "/sandbox/requests":
                return Answer(200, {"value": [asdict(each) for each in self._log]})
            case "DELETE", "/sandbox/requests":
                self._log.clear()
                self._asked = 0
                return Answer(204)
        raise ArmError(404, "NotFound", f"{method} {path} is not served.")

    def _set(self, said: Any) -> None:
        try:
            new = self._cloud.settings.changed(said)
        except ValueError as error:
            raise ArmError(400, "InvalidSettings", str(error)) from None
        self._cloud.apply(new, providers="providers" in said, failures="failures" in said)
        if "faults" in said:
            self._faults = _scripted(new.faults)
        self._changed()

    async def watched(
        self, request: web.Request, answer: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        """Answer and log it, or do what a fault says instead."""
        self._asked += 1
        logged = Logged(self._asked, request.method, request.path, request.query_string, time.time())
        self._log.append(logged)
        del self._log[:-_MOST_LOGGED]
        started = time.monotonic()
        fault = next((each for each in self._faults if each.hits(logged.number, request)), None)

        async def act() -> web.Response:
            response = await answer(request)
            logged.accepted = response.status < 300
            return response

        try:
            if fault is None:
                response = await act()
            else:
                logged.fault = True
                response = await self._faulty(fault, request, act)
            logged.status = None if fault is not None and fault.reset else response.status
            return response
        finally:
            logged.seconds = round(time.monotonic() - started, 4)

    async def _faulty(
        self, fault: Fault, request: web.Request, act: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        done = await act() if fault.acts or not fault.answers else None
        await asyncio.sleep(fault.delay)
        if fault.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if done is not None and not fault.answers:
            return done
        return fault.response()


def _scripted(faults: Iterable[Fault]) -> list[Fault]:
    """Each counts by itself what is still to come of it; the settings stay as they were said."""
    return [msgspec.structs.replace(fault) for fault in faults]


class ArmServer:
    def __init__(self, cloud: Cloud, token: str) -> None:
        self._cloud, self._token = cloud, token.encode()
        self.save: Callable[[], Awaitable[bytes]] | None = None
        """What answers /sandbox/state, as JSON: a sandbox has more than this server knows of. Raises ArmError."""
        self._router = Router()
        networks, registries, clusters = Networks(cloud), Registries(cloud), Clusters(cloud)
        self.state = CloudState(cloud, registries.images, clusters.stacks)
        apis = {
            networks.type.lower(): ResourceApi(networks, cloud),
            Identities.type.lower(): ResourceApi(Identities(cloud), cloud),
            registries.type.lower(): RegistryApi(registries, cloud),
            clusters.type.lower(): ClusterApi(clusters, cloud),
        }
        groups, self._permissions = Groups(cloud, apis), Permissions(cloud)
        for api in apis.values():
            api.routes(self._router)
        for part in (Subscriptions(cloud), Quotas(cloud), Roles(cloud), self._permissions):
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
            if self.save is not None and (request.method, request.path) == ("GET", "/sandbox/state"):
                return await whole(request, [await self.save()], {"Content-Type": "application/json"})
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
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise ArmError(400, "MissingApiVersionParameter", message)
        for header in ("If-Match", "If-None-Match"):
            if header in request.headers:
                raise ArmError(400, "InvalidHeader", f"{header} is {NOT_SUPPORTED}: nothing has an etag.")
        self._check_subscription(path)
        self._permissions.check(request.method, path)
        handler, names = self._router.match(request.method, path)
        body = await _body(request)
        place = body.get("location") if isinstance(body, dict) else None
        location = place if isinstance(place, str) else ""
        check_version(request.method, path, request.query["api-version"], location)
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
            message = f"The provided subscription identifier '{given}' is malformed or invalid."
            raise ArmError(400, "InvalidSubscriptionId", message) from None
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

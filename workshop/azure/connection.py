"""Where Azure's control plane is, and the way to it: the SDK's own clients, made when they are needed.

What differs between Azure and the sandbox is data here: endpoint, certificate, credential, how often to ask.

The clients are synchronous and called in threads. They are told not to retry: a retry of theirs can be neither
interrupted nor seen, knows nothing of a delay in a body, and repeats a PUT whose answer was lost without
looking whether it was accepted. `call` (and operations.py for what writes) does it instead.

Everything that is looked at comes through one client, that for any kind of resource, as the JSON that Azure sends.
So a run that finds everything as wanted imports no other: the network client alone takes half a second.

A call cannot be stopped: the clients block in it until Azure answers or their time is over. Python joins the
threads of asyncio's executor when a process ends, so a run that was interrupted would last as long as its slowest
call. The threads here are daemons instead. What dies in one of them is what `kill -9` would have cut off.

The clients know no run, and what is looked at serves all steps. So whoever asks on behalf of a step says which in
the context (`shown_in`), and tasks inherit that.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from workshop.azure import azure_login
from workshop.azure.faults import Fault, Kind
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient
    from azure.mgmt.containerservice import ContainerServiceClient
    from azure.mgmt.network import NetworkManagementClient
    from azure.mgmt.resource.resources import ResourceManagementClient

    from workshop.runbook.run import Run
    from workshop.settings import AzureSettings

T = TypeVar("T")
Object = dict[str, Any]
"""JSON as Azure takes and sends it."""

Place = Literal["primary", "secondary"]
"""Each has a group and a cluster in it."""

PLACES: tuple[Place, ...] = ("primary", "secondary")

ATTEMPTS = 5
"""How often something is tried before a fault that passes by itself is taken for one that does not."""

_SILENCE = 60.0
"""Seconds for which something is tried again while nothing at all comes back."""

_CONNECT = 10.0
"""Seconds that a connection may take. It takes milliseconds, or there is none."""

_SCOPE = "https://management.azure.com/.default"


SHOWN_EVERY = 1.0
"""Seconds after which a wait is shown, and after which it is shown again."""

_shown_in: ContextVar[Run | None] = ContextVar("run", default=None)


@dataclass(eq=False)
class Azure:
    """A tool of one run. `kubeconfig` is the workshop's own, `ca` the certificate authority of an endpoint that is
    not Azure's. `polling` is the seconds between two looks at an operation that names no interval itself,
    `backoff` those before a second attempt (they double), `timeout` those that one answer may take. `attempts` is
    how often something is looked at before its fault is told. `clusters_asked` are those that the run is about:
    they need their vCPUs together. `is_host` tells whether a host of that name is known, where registries are
    hosts. `prices` is where those of today are asked for, if at all; what is made in a `free` one costs nothing."""

    subscription: str
    tenant: str
    settings: AzureSettings
    kubeconfig: Path
    endpoint: str = "https://management.azure.com"
    ca: Path | None = None
    credential: Callable[[], TokenCredential] | None = None
    polling: float = 10.0
    backoff: float = 0.8
    timeout: float = 30.0
    attempts: int = ATTEMPTS
    clusters_asked: tuple[Place, ...] = PLACES
    is_host: Callable[[str], bool] | None = None
    prices: str = ""
    free: bool = False
    looked: bool = field(default=False, init=False, repr=False)
    """Whether everything was looked at (live_resources.py)."""
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _locks: dict[str, threading.Lock] = field(default_factory=dict, init=False, repr=False)

    @functools.cached_property
    def shared_credential(self) -> azure_login.CachedCredential:
        _quieten()  # before the first token: the credentials log what they fail for
        return azure_login.CachedCredential(self.credential or (lambda: azure_login.chain(self.tenant)))

    def resources(self) -> ResourceManagementClient:
        def make() -> ResourceManagementClient:
            from azure.mgmt.resource.resources import ResourceManagementClient

            return ResourceManagementClient(self.shared_credential, self.subscription, **self._options)

        return self._once("resources", make)

    def network(self) -> NetworkManagementClient:
        def make() -> NetworkManagementClient:
            from azure.mgmt.network import NetworkManagementClient

            return NetworkManagementClient(self.shared_credential, self.subscription, **self._options)

        return self._once("network", make)

    def registries(self) -> ContainerRegistryManagementClient:
        def make() -> ContainerRegistryManagementClient:
            from azure.mgmt.containerregistry import ContainerRegistryManagementClient

            return ContainerRegistryManagementClient(self.shared_credential, self.subscription, **self._options)

        return self._once("registries", make)

    def builds(self) -> ContainerRegistryTasksMgmtClient:
        def make() -> ContainerRegistryTasksMgmtClient:
            from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient

            return ContainerRegistryTasksMgmtClient(self.shared_credential, self.subscription, **self._options)

        return self._once("builds", make)

    def clusters(self) -> ContainerServiceClient:
        def make() -> ContainerServiceClient:
            from azure.mgmt.containerservice import ContainerServiceClient

            return ContainerServiceClient(self.shared_credential, self.subscription, **self._options)

        return self._once("clusters", make)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """A client is made by one thread while others wait for it, and nobody waits for another client's import."""
        if name not in self._clients:
            with self._locks.setdefault(name, threading.Lock()):
                if name not in self._clients:
                    self._clients[name] = make()
        made: T = self._clients[name]
        return made

    @property
    def _policies(self) -> list[Any]:
        """What the clients do with each request: as by default, but without retries, and without registering a
        provider that is missing, which would be a change made by a look. operations.py registers."""
        from azure.core.pipeline import policies
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy(base_user_agent="mesh-workshop"),
            policies.ProxyPolicy(),
            policies.ContentDecodePolicy(),
            ARMChallengeAuthenticationPolicy(self.shared_credential, _SCOPE),
        ]

    @property
    def _options(self) -> dict[str, Any]:
        return {"base_url": self.endpoint, "policies": self._policies, **self._transport}

    @property
    def _transport(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "connection_timeout": min(_CONNECT, self.timeout),
            "read_timeout": self.timeout,
        }
        if self.ca:
            # An endpoint of this machine: no proxy of the environment is asked for it.
            options |= {"connection_verify": str(self.ca), "use_env_settings": False}
        return options

    async def log_in(self) -> str:
        """The token that all requests share. Raises UsageError when there is no credential."""
        with as_error(self):
            return await self.call("log in to Azure", lambda: self.shared_credential.get_token(_SCOPE).token)

    async def reach(self) -> float:
        """Seconds until Azure answers, whatever it says: it takes no login to be refused. Raises WorkshopError."""

        def ask() -> float:
            from azure.core import PipelineClient
            from azure.core.pipeline import policies
            from azure.core.rest import HttpRequest

            with PipelineClient(self.endpoint, policies=[policies.ProxyPolicy()], **self._transport) as client:
                began = time.monotonic()
                client.send_request(HttpRequest("GET", f"{self.endpoint}/subscriptions?api-version=2022-12-01"))
                return time.monotonic() - began

        return await self.call(f"reach {self.endpoint}", ask)

    async def get(self, resource_id: str, api_version: str, query: dict[str, str] | None = None) -> Object | None:
        """The resource as Azure describes it; None when it (or its group) is not there."""

        def look() -> Object:
            found: Any = self.resources().resources.get_by_id(
                resource_id, api_version=api_version, params=dict(query or {}), cls=raw_json
            )
            return dict(found)

        try:
            return await self.call(f"look at {resource_id.rpartition('/')[2]}", look)
        except NotFound:
            return None

    def advised(self, command: str) -> str:
        """A command of Azure's own as the next one to type. None in the sandbox: `az` would ask the real Azure,
        where things of the same names may be."""
        if self.free:
            return ""
        return command if "/subscriptions/" in command else f"{command} --subscription {self.subscription}"

    def error(self, tried: str, fault: Fault, resource_id: str = "") -> WorkshopError:
        """What a fault of this Azure is for a person."""
        error = fault.error(tried, self.subscription, self.settings.location, resource_id)
        if self.free and error.next_command.startswith("az "):
            error.next_command = ""
        return error

    async def call(self, tried: str, function: Callable[[], T], *, looks: bool = True) -> T:
        """What `function` returns, run in a thread; `tried` is for errors: "look at aks-vnet".

        What only `looks` is tried again when the fault may pass. Raises NotFound, Unconfirmed (a fault that may
        pass: of what changes something at once, of what looks after several attempts) and WorkshopError.
        """
        # A token may have been fetched after the request began, and is then kept the first time; and another
        # request may have put the old one back into the client, which keeps one of its own.
        renewals = 4
        attempt, first = 1, time.monotonic()
        while True:
            began = time.monotonic()
            missing = "no answer yet" + (f", attempt {attempt}" if attempt > 1 else "")
            try:
                return await shown(in_thread(function), tried, missing, self.timeout)
            except Exception as error:
                fault = Fault.of(error)
                if fault is None:
                    raise
                if fault.token_refused and renewals:
                    renewals -= 1
                    self.shared_credential.forget(began)
                    continue
                delay = fault.delay(attempt, self.backoff)
                if fault.kind is Kind.NOT_FOUND:
                    raise NotFound(tried, fault) from error
                silent = fault.kind is Kind.UNREACHED and time.monotonic() - first > _SILENCE
                if delay is None or (looks and (silent or attempt >= self.attempts)):
                    raise self.error(tried, fault) from error
                if not looks:
                    raise Unconfirmed(tried, fault, delay) from error
                attempt += 1
                await pause(delay, fault.summary)


def _quieten() -> None:
    """What the SDK logs about errors that are told anyway is not to be printed for want of a handler."""
    for name in ("azure", "msal", "urllib3"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


class NotFound(Exception):
    """Azure has no such thing."""

    def __init__(self, tried: str, fault: Fault) -> None:
        super().__init__(f"{tried}: {fault.message}")
        self.tried, self.fault = tried, fault


class Unconfirmed(Exception):
    """A change that Azure did not take, or whose answer was lost: whether it was accepted has to be looked at, not
    before `delay` seconds have passed."""

    def __init__(self, tried: str, fault: Fault, delay: float) -> None:
        super().__init__(f"{tried}: {fault.message}")
        self.tried, self.fault, self.delay = tried, fault, delay


def raw_json(response: Any, model: object, headers: object) -> Object:
    """For the clients' `cls=`: the body itself, with the fields their models do not know."""
    body: Object = response.http_response.json()
    return body


async def gather(*looking: Any) -> list[Any]:
    """All of them, at the same time; the first error when there is one."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in looking]
    except BaseExceptionGroup as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return [task.result() for task in tasks]


@contextlib.contextmanager
def as_error(azure: Azure) -> Any:
    """An Unconfirmed or NotFound that nobody waits for any more becomes the error it stands for."""
    try:
        yield
    except (Unconfirmed, NotFound) as error:
        raise azure.error(error.tried, error.fault) from error


@contextlib.contextmanager
def shown_in(run: Run) -> Iterator[None]:
    """What is awaited in here, and takes long, is shown as a wait of this step."""
    before = _shown_in.set(run)
    try:
        yield
    finally:
        _shown_in.reset(before)


async def shown(work: Awaitable[T], what: str, missing: str, limit: float) -> T:
    """The result of `work`, which takes at most `limit` seconds."""
    task, started = asyncio.ensure_future(work), time.monotonic()
    try:
        while not (await asyncio.wait((task,), timeout=SHOWN_EVERY))[0]:
            _show(what, missing, time.monotonic() - started, limit)
        return await task
    finally:
        task.cancel()


async def pause(seconds: float, why: str) -> None:
    """Before something is tried again; a longer one is shown from its beginning."""
    if seconds >= SHOWN_EVERY:
        _show("Azure", why, 0.0, seconds)
    await shown(asyncio.sleep(seconds), "Azure", why, seconds)


async def in_thread(function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        if not settled.done():  # else nobody waits for it any more
            act()

    def work() -> None:
        try:
            act = partial(settled.set_result, function())
        except BaseException as error:
            act = partial(settled.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the run has ended, and its loop with it
            loop.call_soon_threadsafe(settle, act)

    threading.Thread(target=work, daemon=True, name="azure").start()
    return await settled


def _show(what: str, missing: str, waited: float, limit: float) -> None:
    if run := _shown_in.get():
        run.emit(events.Waiting(run.lab, what, missing, waited, limit))

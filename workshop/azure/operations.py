"""Making, changing and removing resources, surviving throttling, lost answers and the end of this process.

Every write is preceded by a look, and a write whose answer was lost is looked up before it is repeated: what Azure
has accepted is never sent twice. An operation that was accepted goes into the journal, as the SDK's continuation
token, before it is waited for; whoever comes next waits for that very operation. When there is no token (we were
killed before it was written) or it has expired, the resource itself tells: its provisioning state is waited for.

The SDK's pollers wait in a thread that nothing can interrupt. Here the waiting is done outside, so that Ctrl-C ends
it, each poll survives its own faults, and a person sees how long it has taken and how long it usually does.

A subscription must have registered a resource provider before it can use its kinds. The SDK registers by itself,
but not for the calls that begin long-running operations. So it is done here when Azure says that it is missing,
rather than asked before every change.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workshop.azure.connection import (
    ATTEMPTS,
    Azure,
    NotFound,
    Object,
    Unconfirmed,
    as_error,
    pause,
    raw_json,
    shown_in,
)
from workshop.azure.faults import Fault, Kind, ProviderNotRegistered
from workshop.azure.resource import Resource, is_busy, merged, state_of
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.journal import Journal, Operation
from workshop.runbook.stop import Stopped

if TYPE_CHECKING:
    from workshop.azure.polling import LroPolling
    from workshop.runbook.run import Run

NEEDED = (
    "Microsoft.Network",
    "Microsoft.ManagedIdentity",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
)
_REGISTRATION_LIMIT = 600.0


async def registration(azure: Azure, namespace: str) -> str:
    """ "Registered", "Registering", "NotRegistered", ..."""

    def look() -> Object:
        found: Any = azure.resources().providers.get(namespace, cls=raw_json)
        return dict(found)

    return str((await azure.call(f"look at the provider {namespace}", look)).get("registrationState", ""))


async def register(run: Run, azure: Azure, namespace: str) -> None:
    """Register it and wait until it is. Raises WorkshopError."""
    tried = f"register the provider {namespace}"
    run.emit(events.Told(run.lab, f"the subscription has not registered {namespace}: registering it"))
    with as_error(azure):
        await azure.call(tried, lambda: azure.resources().providers.register(namespace), looks=True)
    started = time.monotonic()
    while (state := await run.cuttable(registration(azure, namespace))) != "Registered":
        waited = time.monotonic() - started
        if waited > _REGISTRATION_LIMIT:
            raise WorkshopError(
                tried,
                f"it is still {state} after {waited:.0f} s",
                cause="Azure takes longer than usual; the same command goes on waiting",
                next_command=azure.advised(f"az provider show --namespace {namespace} --query registrationState"),
            )
        run.emit(events.Waiting(run.lab, f"provider {namespace}", state, waited, _REGISTRATION_LIMIT))
        with run.stopwatch.waiting():
            await run.cuttable(asyncio.sleep(azure.polling))


T = TypeVar("T")

_BUSY_LIMIT = 600.0
"""Seconds to wait for somebody else's operation to end, or for an identity to be known everywhere."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an operation does, to which kind of thing: "create AKS cluster" in the journal."""

    verb: str
    kind: str

    @classmethod
    def read(cls, text: str) -> Change:
        verb, _, kind = text.partition(" ")
        return cls(verb, kind)

    def __str__(self) -> str:
        return f"{self.verb} {self.kind}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An operation that Azure at `endpoint` has accepted; `token` is what the SDK needs to find it again. In the
    journal it is JSON."""

    endpoint: str
    token: str

    @classmethod
    def read(cls, text: str) -> Accepted:
        """Raises ValueError for what is none. Until version 0.1.0 it was written as both with a blank between."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            endpoint, blank, token = text.rpartition(" ")
            if not blank:
                raise ValueError("it is no record of one") from None
            return cls(endpoint, token)

    def __str__(self) -> str:
        return json.dumps({"endpoint": self.endpoint, "token": self.token})


class Failed(Exception):
    """An operation that Azure had accepted ended without success."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Operations:
    """On behalf of one step's run."""

    def __init__(self, run: Run) -> None:
        self._run, self._azure, self._journal = run, run.use(Azure), run.use(Journal)

    async def converge(self, resource: Resource) -> None:
        """Make it as wanted. Raises UsageError for what is not the workshop's or cannot be changed, WorkshopError
        with what Azure says."""
        retries = _Retries(self._azure, f"make the {resource.title}", resource.id)
        registered = False
        while True:
            live = await self._settled(resource)
            if live is not None:
                resource.refuse_foreign(live)
                found = resource.differences(live)
                if not found:
                    return
                resource.refuse_immutable(found, self._run.program, self._run.lab)
            body = merged(resource.wanted(), live or {})
            try:
                await self._write(resource, "create" if live is None else "change", partial(resource.put, body))
            except (Unconfirmed, Failed) as error:
                await self._pause(retries, error)
            except ProviderNotRegistered:
                if registered:
                    raise
                await self._shown(register(self._run, self._azure, resource.namespace))
                registered = True

    async def remove(self, resource: Resource) -> None:
        """Remove it when it is this workshop's; one that is not there is no error."""
        retries = _Retries(self._azure, f"delete the {resource.title}", resource.id)
        while True:
            live = await self._settled(resource, wanted=False)
            if live is None:
                return
            if not resource.is_ours(live):
                raise UsageError(
                    f"delete the {resource.title}",
                    "it does not carry this workshop's tag",
                    cause="somebody else made it, or has taken it over",
                )
            try:
                await self._write(resource, "delete", resource.remove)
            except NotFound:
                return
            except (Unconfirmed, Failed) as error:
                await self._pause(retries, error)

    async def act(
        self, resource_id: str, doing: str, change: Change, start: Callable[..., Any], resource: Resource
    ) -> None:
        """An operation that leaves no resource of its own (the import of an image): resumed, or begun."""
        retries = _Retries(self._azure, doing, resource.id)
        while True:
            try:
                if known := self._journal.operation(resource_id):
                    if await self._resume(known, resource):
                        return
                    continue
                await self._begin(resource_id, doing, change, start, resource)
                return
            except (Unconfirmed, Failed) as error:
                await self._pause(retries, error)

    async def _settled(self, resource: Resource, *, wanted: bool = True) -> Object | None:
        """The resource as it is once nothing is under way on it: an operation that was begun by an earlier run, or
        that the resource itself tells of, is waited for first."""
        known = self._journal.operation(resource.id)
        if known is not None:
            try:
                await self._resume(known, resource)
            except Failed as error:
                self._tell(f"what an earlier run had begun did not succeed: {error.fault.message}")
        live = await self._look(resource)
        if is_busy(live):
            live = await self._wait_for_state(resource, live)
        return live

    async def _look(self, resource: Resource) -> Object | None:
        return await self._shown(self._run.cuttable(resource.look()))

    async def _write(self, resource: Resource, verb: str, send: Callable[..., Any]) -> None:
        await self._begin(resource.id, f"{verb} the {resource.title}", Change(verb, resource.kind), send, resource)

    async def _begin(
        self, resource_id: str, doing: str, change: Change, send: Callable[..., Any], resource: Resource
    ) -> None:
        """Send it, write its token down in the same breath, and wait for it."""
        from workshop.azure.polling import LroPolling

        started = time.time()
        polling = LroPolling(
            self._azure.polling,
            lambda token: self._journal.begin(resource_id, str(change), str(Accepted(self._azure.endpoint, token))),
        )
        poller = await self._shown(self._azure.call(doing, lambda: send(polling=polling), looks=False))
        if poller is not None:
            await self._poll_until_over(resource_id, change, polling, started, resource)

    async def _resume(self, known: Operation, resource: Resource) -> bool:
        """Wait for the operation of an earlier run. False when nothing is known of it any more."""
        from workshop.azure.polling import LroPolling

        change, polling = Change.read(known.kind), LroPolling(self._azure.polling)
        client = self._azure.resources().resources
        try:
            accepted = Accepted.read(known.token)
            if accepted.endpoint != self._azure.endpoint:
                raise ValueError(f"it is of {accepted.endpoint}")
            client.begin_delete_by_id(  # resumes any operation: a token says itself what it is of
                resource.id, api_version=resource.api_version, polling=polling, continuation_token=accepted.token
            )
        except Exception as error:  # written by another version of the SDK, or damaged: whatever it raises
            self._tell(f"what an earlier run had written down is of no use any more ({error})")
            self._journal.end(known.resource_id, succeeded=False)
            return False
        self._tell(f"an earlier run has begun to {change.verb} it; waiting for that very operation")
        return await self._poll_until_over(known.resource_id, change, polling, known.started, resource)

    async def _poll_until_over(
        self, resource_id: str, change: Change, polling: LroPolling, started: float, resource: Resource
    ) -> bool:
        """Poll until it is over. False when Azure has forgotten the operation: then the resource tells. Raises
        Failed."""
        limit, usual = time.monotonic() + resource.limit, self._usual(change, resource)
        seen = False
        try:
            while not polling.finished():
                self._waiting(resource, change.verb, polling.state, started, usual)
                asking = self._azure.call(f"ask how far it is: {change}", polling.poll)
                await self._shown(self._run.cuttable(asking))
                self._refuse_endless(limit, resource, polling.state)
                if not polling.finished():
                    seen = True
                    await self._sleep(polling.delay)
        except (asyncio.CancelledError, Stopped):
            self._tell(
                f"Azure goes on with it ({change} {resource.name}); the same command waits for that operation"
            )
            raise
        except NotFound:
            self._journal.end(resource_id, succeeded=False)
            return False
        if polling.failed:
            self._journal.end(resource_id, succeeded=False)
            raise Failed(Fault.failed(polling.outcome))
        self._journal.end(resource_id, succeeded=seen)  # else it had ended, nobody knows when
        return True

    async def _wait_for_state(self, resource: Resource, live: Object | None) -> Object | None:
        """Wait for an operation of which only the resource tells."""
        started, limit = time.time(), time.monotonic() + resource.limit
        verb = "delete" if state_of(live) == "Deleting" else "create"
        usual = self._usual(Change(verb, resource.kind), resource)
        try:
            while is_busy(live):
                self._waiting(resource, verb, state_of(live), started, usual)
                await self._sleep(self._azure.polling)
                live = await self._look(resource)
                self._refuse_endless(limit, resource, state_of(live))
        except (asyncio.CancelledError, Stopped):
            self._tell(f"Azure goes on with the {resource.title} ({state_of(live)})")
            raise
        return live

    async def _pause(self, retries: _Retries, error: Unconfirmed | Failed) -> None:
        """Before looking again. Raises WorkshopError for a fault that does not pass, or has not in that time."""
        delay = retries.next(error)
        with self._run.stopwatch.waiting():
            await self._shown(self._run.cuttable(pause(delay, error.fault.summary)))

    async def _shown(self, work: Awaitable[T]) -> T:
        with shown_in(self._run):
            return await work

    async def _sleep(self, seconds: float) -> None:
        with self._run.stopwatch.waiting():
            await self._run.cuttable(asyncio.sleep(seconds))

    def _usual(self, change: Change, resource: Resource) -> float:
        usual = self._journal.usual(str(change))
        return resource.usual if usual is None else usual

    def _waiting(self, resource: Resource, verb: str, state: str, started: float, usual: float) -> None:
        what = f"{verb} the {resource.title}" if verb == "delete" else resource.title
        text = f"{state or 'accepted'}, usually {_duration(usual)}"
        waited = time.time() - started
        self._run.emit(events.Waiting(self._run.lab, what, text, waited, resource.limit))

    def _tell(self, text: str) -> None:
        self._run.emit(events.Told(self._run.lab, text))

    def _refuse_endless(self, limit: float, resource: Resource, state: str) -> None:
        if time.monotonic() > limit:
            raise WorkshopError(
                f"waited {_duration(resource.limit)} for the {resource.title}",
                f"it is still {state or 'not there'}",
                cause="Azure takes far longer than usual; it goes on there, and the same command goes on waiting",
            )


class _Retries:
    """How long one change is tried: a few times for faults, for minutes while something else is under way."""

    def __init__(self, azure: Azure, tried: str, resource_id: str) -> None:
        self._azure, self._tried, self._resource_id = azure, tried, resource_id
        self._attempt, self._busy_since = 0, time.monotonic()

    def next(self, error: Unconfirmed | Failed) -> float:
        """Seconds to the next attempt. Raises WorkshopError when there is none."""
        fault = error.fault
        if fault.kind in (Kind.BUSY, Kind.PRINCIPAL):
            if time.monotonic() - self._busy_since < _BUSY_LIMIT:
                return max(self._azure.polling, 0.05)
        else:
            self._attempt += 1
            delay = fault.delay(self._attempt, self._azure.backoff)
            if delay is not None and self._attempt < ATTEMPTS:
                return delay
        raise self._azure.error(self._tried, fault, self._resource_id) from error


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.2g} s"

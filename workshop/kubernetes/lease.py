"""The lock of a cluster: a coordination.k8s.io/v1 Lease that one run holds.

Two runs cannot both win: creating fails when it is there, and taking over names the resourceVersion that was read,
so the API server lets one of two through. A lease that is not renewed expires by itself, and one whose holder has
ended on this machine is free at once, so nobody ever needs a force-unlock.

Expiry compares the holder's clock with ours. One that is behind by more than the lease lasts lets a second run in;
the first then finds at its next renewal that the lease is no longer its own, and stops. One that is ahead tells
nothing: then it counts whether the lease is renewed while we look, for as long as it lasts, by our own clock (as
client-go's leader election does always, which may take its time).
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.manifests import Object
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.run import Listener, unheard

LASTS = 30
"""Seconds without a renewal until anybody may take the lease."""
_WRITTEN_WITHIN = 10.0
_GLANCE = 5.0
"""Seconds for a look whether another run has it, beside what a run looks at itself."""
_RENEWED_EVERY, _TRIED_AGAIN_AFTER = 10.0, 2.0
_LOOKED_AT_EVERY = 1.0
_AHEAD = timedelta(seconds=2)
"""What clocks that are kept right may differ by."""

_STOPPED = "this run stopped: it no longer has the cluster"


class Held(UsageError):
    """Another run has the lease. `age` is in seconds."""

    def __init__(self, tried: str, holder: str, age: float) -> None:
        super().__init__(
            tried,
            f"another run has it: {holder}, for {age:.0f} s",
            cause="two runs at the same time would undo each other's changes: wait until it ends; if it was killed "
            f"on another machine, its lock ends after {LASTS} s",
        )
        self.holder, self.age = holder, age


class Lost(WorkshopError):
    """The lease is somebody else's now, or could not be renewed in time."""


@dataclass(frozen=True, slots=True)
class _Theirs:
    """Another run's lease. `until` is when it expires by our clock; None where its holder's clock is ahead."""

    held: Held
    lasts: float
    until: datetime | None


class Lease:
    """`renewed_every` and `lasts` are seconds, `clock` is what the time is taken from, `emit` shows a wait."""

    def __init__(
        self,
        kubectl: Kubectl,
        namespace: str,
        name: str,
        holder: Holder,
        *,
        lasts: int = LASTS,
        renewed_every: float = _RENEWED_EVERY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        emit: Listener = unheard,
    ) -> None:
        self._kubectl, self._namespace, self._name, self._holder = kubectl, namespace, name, holder
        self._lasts, self._renewed_every, self._clock, self._emit = lasts, renewed_every, clock, emit
        self._live: Object = {}
        self._renewed = 0.0
        self._stop = asyncio.Event()

    async def acquire(self) -> None:
        """Raises Held, KubectlError (NotFound when the namespace is not there). Waits only for what a clock that is
        ahead has written, at most as long as that lasts."""
        while True:
            try:
                self._keep(await self._kubectl.create(self._body(), seconds=_WRITTEN_WITHIN))
                return
            except KubectlError as error:
                if error.reason is not Reason.ALREADY_EXISTS:
                    raise
            try:
                live = await self._read()
                if live is None:
                    continue  # it was released
                if (theirs := self._theirs(live)) is not None:
                    await self._watch(live, theirs)
                taken = self._body(transitions=live["spec"].get("leaseTransitions", 0) + 1)
                taken["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
                self._keep(await self._kubectl.replace(taken, seconds=_WRITTEN_WITHIN))
                return
            except KubectlError as error:
                if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
                    raise  # else it was released, or another run was faster: see how it is now

    async def refuse_if_held(self) -> None:
        """Raises Held when another run has it, KubectlError when it cannot be read. Of one whose holder's clock is
        ahead a glance does not tell."""
        live = await self._read(_GLANCE)
        theirs = self._theirs(live) if live else None
        if live and theirs and theirs.until and live["spec"].get("holderIdentity") != self._holder.identity:
            raise theirs.held

    async def keep(self) -> None:
        """Renew until `stop`. Raises Lost."""
        while not await self._stopped_within(self._renewed_every):
            await self._renew()

    def stop(self) -> None:
        """Let `keep` end, after a renewal that is under way: cut short, it would leave open what is written now."""
        self._stop.set()

    async def release(self) -> None:
        """Delete it, if it is still the very lease that was written last."""
        live, self._live = self._live, {}
        if not live:
            return
        try:
            await self._kubectl.remove(live, seconds=_WRITTEN_WITHIN)
        except KubectlError as error:
            if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
                raise

    async def _renew(self) -> None:
        while True:
            renewed = {**self._live, "spec": {**self._live["spec"], "renewTime": _text(self._clock())}}
            try:
                self._keep(await self._kubectl.replace(renewed, seconds=_WRITTEN_WITHIN))
                return
            except KubectlError as error:
                if error.reason in (Reason.CONFLICT, Reason.NOT_FOUND):
                    raise self._lost("another run took it, or somebody deleted it") from error
                why: WorkshopError = error
            except WorkshopError as error:
                why = error
            if time.monotonic() - self._renewed >= self._lasts - _TRIED_AGAIN_AFTER:
                raise self._gone(why) from why
            if await self._stopped_within(_TRIED_AGAIN_AFTER):
                return

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    def _lost(self, why: str) -> Lost:
        return Lost(f"keep the lock {self._namespace}/{self._name}", why, cause=_STOPPED)

    def _gone(self, why: WorkshopError) -> Lost:
        """It is the cluster that is missed, not the lock."""
        return Lost(
            f"reach the cluster {self._kubectl.context}, to keep this run's lock",
            why.came_back,
            cause="; ".join(filter(None, (why.cause, _STOPPED))),
            next_command=why.next_command,
        )

    async def _watch(self, live: Object, theirs: _Theirs) -> None:
        """Returns when nobody renews it for as long as it lasts. Raises Held, KubectlError (NotFound)."""
        if theirs.until:
            raise theirs.held
        began = time.monotonic()
        while (waited := time.monotonic() - began) < theirs.lasts:
            what = f"the lock of the cluster {self._kubectl.context} to end"
            missing = f"{theirs.held.holder} has it; that clock is ahead, so the lock is watched for a renewal"
            self._emit(events.Waiting("", what, missing, waited, theirs.lasts))
            await asyncio.sleep(min(_LOOKED_AT_EVERY, theirs.lasts - waited))
            now = await self._read()
            if now is None:
                return  # it was released
            if now["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
                raise theirs.held

    def _theirs(self, live: Object) -> _Theirs | None:
        """None when it can be taken."""
        spec = live["spec"]
        identity = spec.get("holderIdentity", "")
        holder = Holder.parse(identity)
        renewed = _time(spec.get("renewTime") or live["metadata"]["creationTimestamp"])
        lasts, now = spec.get("leaseDurationSeconds", LASTS), self._clock()
        until = renewed + timedelta(seconds=lasts)
        if not identity or until < now or (holder and holder.is_gone()):
            return None
        since = _time(spec.get("acquireTime") or live["metadata"]["creationTimestamp"])
        age = max(0.0, (now - since).total_seconds())
        held = Held(f"take the lock of the cluster {self._kubectl.context}", str(holder or identity), age)
        return _Theirs(held, lasts, None if renewed > now + _AHEAD else until)

    def _body(self, *, transitions: int = 0) -> Object:
        now = _text(self._clock())
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._holder.identity,
                "leaseDurationSeconds": self._lasts,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    async def _read(self, seconds: float = 30.0) -> Object | None:
        return await self._kubectl.find("Lease", self._namespace, self._name, seconds=seconds)

    def _keep(self, live: Object) -> None:
        self._live, self._renewed = live, time.monotonic()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@dataclass(frozen=True, slots=True)
class Holder:
    """`start` identifies the process among those that had its `pid`, and the system its pid means something in."""

    host: str
    pid: int
    user: str
    start: str

    @classmethod
    def me(cls) -> Holder:
        pid = os.getpid()
        return cls(socket.gethostname(), pid, getpass.getuser(), start_of(pid))

    @classmethod
    def parse(cls, identity: str) -> Holder | None:
        """None for an identity that another program wrote."""
        parts = identity.split("/", 3)
        if len(parts) != 4 or not parts[1].isdigit():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    @property
    def identity(self) -> str:
        return f"{self.host}/{self.pid}/{self.user}/{self.start}"

    def is_gone(self) -> bool:
        """Whether this process is certain to have ended: it ran on this very system and is not there now. Of a
        process elsewhere nothing can be known from here."""
        here = socket.gethostname() == self.host and self.start.partition("@")[2] == _system()
        return here and start_of(self.pid) != self.start

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid})"


def start_of(pid: int) -> str:
    """When a process started, in the system's own terms, and which system; empty when there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        state, started = fields[0], fields[19]
        return "" if state in "ZX" else f"{started}@{_system()}"
    shown = subprocess.run(  # macOS
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    return f"{'-'.join(shown.split())}@{_system()}" if shown else ""


def _system() -> str:
    """This boot and this namespace of process numbers (a container has its own, maybe under the same host name)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""

"""How this Azure behaves: how long things take, what is allowed, what is there that nobody here made, what goes
wrong.

Set at the start by the environment (`WORKSHOP_SANDBOX_AZURE`, a JSON object) or while it runs by a POST to
`/sandbox/settings`; what is named is replaced, the rest stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

VARIABLE = "WORKSHOP_SANDBOX_AZURE"

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Duration = Literal["group", "provider", "virtualNetworks", "registries", "importImage", "builds", "managedClusters"]
Quota = Literal["cores", "family", "managedClusters", "publicIPs"]

DURATIONS: Mapping[Duration, float] = {
    "group": 0.0,
    "provider": 0.3,
    "virtualNetworks": 0.2,
    "registries": 0.3,
    "importImage": 0.3,
    "builds": 1.0,
    "managedClusters": 1.0,
}
"""Seconds a creation or change takes; a deletion takes half of them."""

QUOTAS: Mapping[Quota, int] = {"cores": 20, "family": 20, "managedClusters": 10, "publicIPs": 20}
"""vCPUs of a location, of one family of machines there, managed clusters and public addresses there: what a new
pay-as-you-go subscription has. The vCPUs are those of "Azure subscription and service limits"
(MicrosoftDocs/azure-docs, includes/azure-virtual-machines-limits-azure-resource-manager.md: 20 cores per region,
20 per series and region)."""


class Foreign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resource nobody here made; it appears with its group."""

    group: str
    type: str
    name: str
    tags: dict[str, str] = {}


class ErrorContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    message: str
    details: tuple[dict[str, Any], ...] = ()


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operations on resources of `type` (of any, if it is not said) that end with `error`."""

    error: ErrorContent
    type: str = ""
    times: Count = 1


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that goes wrong.

    It hits by the number of a request (`nth`, counted since the log was cleared) or by `method` and `path` (a
    regular expression, found anywhere in path and query); of those it lets `skip` pass, then hits `times`. What
    happens then: after `delay` seconds the connection is reset (`reset`), or the answer is `status` with `headers`
    and `body`. With `acts` the request takes effect first, and only its answer is lost. A `delay` alone makes a
    late, right answer.
    """

    nth: Count = 0
    method: str = ""
    path: str = ""
    skip: Count = 0
    times: Count = 1
    delay: Seconds = 0.0
    status: Count = 0
    headers: dict[str, str] = {}
    body: Any = None
    reset: bool = False
    acts: bool = False

    def __post_init__(self) -> None:
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"a fault's path: {error}") from None
        if not (self.answers or self.delay):
            raise ValueError("a fault has a status, a delay or reset")

    @property
    def answers(self) -> bool:
        """Whether it puts something in the place of the right answer."""
        return bool(self.status or self.reset)

    def hits(self, number: int, request: web.Request) -> bool:
        """Whether this request is one; counts it."""
        if self.times <= 0 or (self.nth and number != self.nth):
            return False
        if self.method and self.method.upper() != request.method:
            return False
        if self.path and not re.search(self.path, request.path_qs, re.IGNORECASE):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def response(self) -> web.Response:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body) if self.body is not None else ""
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status, text=text, headers=headers)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    durations: dict[Duration, Seconds] = msgspec.field(default_factory=lambda: dict(DURATIONS))
    quotas: dict[Quota, Count] = msgspec.field(default_factory=lambda: dict(QUOTAS))
    providers: dict[str, str] = {}
    """Namespaces whose registration is not `Registered`."""
    principal_seconds: Seconds = 0.0
    """How long after a new identity its principal is unknown to role assignments."""
    operation_seconds: Seconds = 3600.0
    """How long after its end an operation can still be asked for."""
    state: str = "Enabled"
    """Of the subscription: one that is Disabled can only be read."""
    actions: tuple[str, ...] = ("*",)
    """What the token allows, and in `not_actions` what of that it does not, as roles name it."""
    not_actions: tuple[str, ...] = ()
    tasks: bool = True
    """Whether ACR Tasks are allowed: those who live on free credits may not use them."""
    denied_locations: tuple[str, ...] = ()
    taken_names: tuple[str, ...] = ()
    """Registries somebody else has."""
    foreign: tuple[Foreign, ...] = ()
    failures: tuple[Failure, ...] = ()
    faults: tuple[Fault, ...] = ()

    def changed(self, said: object) -> Settings:
        """With what `said` names replaced. Raises ValueError for what cannot be set."""
        if not isinstance(said, Mapping):
            raise ValueError("expected an object")
        new = {**self.show(), **said}
        for name in ("durations", "quotas"):
            if isinstance(new[name], Mapping):
                new[name] = {**getattr(self, name), **new[name]}
        return msgspec.convert(new, Settings)

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(self)
        return shown


def from_environment(text: str | None) -> Settings:
    return Settings().changed(json.loads(text)) if text else Settings()

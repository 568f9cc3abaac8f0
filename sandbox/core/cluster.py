"""What the parts of the sandbox ask of its Kubernetes API.

The API server (`api/`) implements `Cluster`. Controllers, the node and the mesh use it in-process; every
call takes the same path as a request over HTTP: defaulting, validation, admission, optimistic locking.
Everything runs on one asyncio loop and is synchronous up to the store, so a call never interleaves with
another.

Objects that `get`, `find`, `list` and `watch` hand out are shared: read them, never change them. To change
one, use `edit`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Object = dict[str, Any]
"""A Kubernetes object as JSON: apiVersion, kind, metadata, spec, status."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as it is served. `key` names it everywhere: `pods`, `deployments.apps`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def versioned(self, obj: Object) -> Object:
        """An object of this kind in this version; itself where it is that.

        Versions of a CRD differ in their apiVersion only: conversion webhooks are refused when the CRD is created.
        """
        return obj if obj.get("apiVersion") == self.api_version else {**obj, "apiVersion": self.api_version}


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: str
    object: Object


@dataclass(slots=True)
class Admission:
    """A write on its way in. A hook raises ApiError to refuse it; one of `admission` may also change `object`."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    resource: Resource
    object: Object
    old: Object | None
    dry_run: bool
    warnings: list[str] = field(default_factory=list)


AdmissionHook = Callable[[Admission], None]

Observer = Callable[[Object | None, Object | None], None]
"""Told what was there and what is there now; None for nothing."""


class ApiError(Exception):
    """A refusal in Kubernetes' own terms; `status()` is what goes over the wire.

    `reason` is one of the API's StatusReason values (NotFound, AlreadyExists, Conflict, Invalid,
    BadRequest, Forbidden, ...), `details` the Status' details object (`causes` and so on).
    """

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, dict(details or {})

    def status(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


class Cluster(Protocol):
    """The Kubernetes API, in-process. `resource` arguments are `Resource.key` strings."""

    admission: list[AdmissionHook]
    """Called before an object is held against its kind's schema: its fields may be of any type."""
    validation: list[AdmissionHook]
    """Called afterwards, with what is going to be stored. These change nothing."""

    def resources(self) -> list[Resource]:
        """All that is served now, CRDs included."""
        ...

    def get(self, resource: str, namespace: str | None, name: str) -> Object:
        """Raises ApiError NotFound."""
        ...

    def find(self, resource: str, namespace: str | None, name: str) -> Object | None:
        """As `get`, None where there is nothing (or the kind is not served)."""
        ...

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        manager: str | None = None,
    ) -> list[Object]:
        """All, or those of a namespace, with all of these labels, managed by the owner with this uid ("" for those
        that none manages). Costs what it finds. Empty when the kind is not served."""
        ...

    def observe(self, resource: str, observer: Observer) -> None:
        """Have it called for every object there is, and then within each write: what it keeps is never behind.

        It writes nothing, and does not fail.
        """
        ...

    def create(self, resource: str, obj: Object, *, manager: str) -> Object: ...

    def edit(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        change: Callable[[Object], None],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> Object | None:
        """Copy the live object, let `change` alter the copy, write it back if it differs.

        With `subresource="status"` only the status is taken, and admission is not called. Returns what is
        there afterwards, None when the object is gone.
        """
        ...

    def delete(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> Object | None:
        """Ask for removal as DELETE does (finalizers and a pod's grace period are honoured).

        None when it is not there (or has another uid).
        """
        ...

    def watch(self, *resources: str) -> AsyncIterator[WatchEvent]:
        """All objects of these kinds as ADDED, then every change, for ever. Never drops an event."""
        ...

"""Host names in Istio's rules: short names, wildcards, and which rule is meant for a host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sandbox.mesh.registry import DOMAIN

T = TypeVar("T")


def resolve(host: str, namespace: str) -> str:
    """A short name means a service in the rule's own namespace; everything with a dot is taken as it is."""
    if "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.{DOMAIN}"


def covers(pattern: str, host: str) -> bool:
    """Whether `pattern`, which may begin with a wildcard, stands for `host` (which may, too)."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return pattern == host


def most_specific(candidates: Iterable[tuple[str, T]], host: str) -> T | None:
    """Of (pattern, thing) the thing whose pattern covers `host` best: the exact one, else the longest."""
    best: tuple[int, T] | None = None
    for pattern, thing in candidates:
        if pattern == host:
            return thing
        if covers(pattern, host) and (best is None or len(pattern) > best[0]):
            best = (len(pattern), thing)
    return best[1] if best else None


def overlap(one: str, other: str) -> str | None:
    """The narrower of two patterns if one covers the other, else None."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None

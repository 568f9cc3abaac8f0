"""How this Azure behaves: how long things take, what is allowed, what is there that nobody here made.

Set at the start by the environment (`WORKSHOP_SANDBOX_AZURE`, a JSON object) or while it runs by a POST to
`/sandbox/settings`; what is named is replaced, the rest stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

VARIABLE = "WORKSHOP_SANDBOX_AZURE"

DURATIONS: Mapping[str, float] = {
    "group": 0.0,
    "provider": 0.3,
    "virtualNetworks": 0.2,
    "registries": 0.3,
    "importImage": 0.3,
    "managedClusters": 1.0,
}
"""Seconds a creation or change takes; a deletion takes half of them."""

QUOTAS: Mapping[str, int] = {"cores": 20, "family": 20, "managedClusters": 10}
"""vCPUs of a location, of one family of machines there, and managed clusters there: what a new pay-as-you-go
subscription has. The vCPUs are those of "Azure subscription and service limits" (MicrosoftDocs/azure-docs,
includes/azure-virtual-machines-limits-azure-resource-manager.md: 20 cores per region, 20 per series and region)."""


@dataclass(frozen=True, slots=True)
class Settings:
    durations: Mapping[str, float] = field(default_factory=lambda: dict(DURATIONS))
    quotas: Mapping[str, int] = field(default_factory=lambda: dict(QUOTAS))
    providers: Mapping[str, str] = field(default_factory=dict)
    """Namespaces whose registration is not `Registered`."""
    principal_seconds: float = 0.0
    """How long after a new identity its principal is unknown to role assignments."""
    operation_seconds: float = 3600.0
    """How long after its end an operation can still be asked for."""
    state: str = "Enabled"
    """Of the subscription: one that is Disabled can only be read."""
    actions: tuple[str, ...] = ("*",)
    """What the token allows, and in `not_actions` what of that it does not, as roles name it."""
    not_actions: tuple[str, ...] = ()
    denied_locations: tuple[str, ...] = ()
    taken_names: tuple[str, ...] = ()
    """Registries somebody else has."""
    foreign: tuple[Mapping[str, Any], ...] = ()
    """Resources nobody here made: group, type, name, tags; each appears with its group."""
    failures: tuple[Mapping[str, Any], ...] = ()
    """Operations that end badly: type, times, error (code, message, details)."""
    faults: tuple[Mapping[str, Any], ...] = ()
    """Answers that go wrong; see faults.py."""

    def changed(self, said: object) -> Settings:
        """With what `said` names replaced. Raises ValueError for what cannot be set."""
        if not isinstance(said, Mapping):
            raise ValueError("expected an object")
        known = {each.name for each in fields(self)}
        new: dict[str, Any] = {}
        for name, value in said.items():
            if name not in known:
                raise ValueError(f"{name}: not a setting (there are {', '.join(sorted(known))})")
            new[name] = _like(getattr(self, name), value, name)
        _check_parts(new)
        for name in ("durations", "quotas"):
            if strange := new.get(name, {}).keys() - getattr(self, name).keys():
                raise ValueError(f"{name}: unknown {', '.join(sorted(strange))}")
            new[name] = {**getattr(self, name), **new.get(name, {})}
        return replace(self, **new)

    def show(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _check_parts(said: Mapping[str, Any]) -> None:
    for name in ("durations", "quotas"):
        for key, number in said.get(name, {}).items():
            _number(number, f"{name}.{key}")
    for name, needed in (("foreign", {"group", "type", "name"}), ("failures", {"error"})):
        for each in said.get(name, ()):
            if not isinstance(each, Mapping) or needed - each.keys():
                raise ValueError(f"{name}: each needs {', '.join(sorted(needed))}")
    for each in said.get("failures", ()):
        if not isinstance(each["error"], Mapping) or {"code", "message"} - each["error"].keys():
            raise ValueError("failures: an error needs code, message")


def from_environment(text: str | None) -> Settings:
    return Settings().changed(json.loads(text)) if text else Settings()


def _like(default: object, value: object, name: str) -> object:
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{name}: expected a list")
        return tuple(value)
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected an object")
        return dict(value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ValueError(f"{name}: expected text")
        return value
    return _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name}: expected a number, 0 or more")
    return float(value)

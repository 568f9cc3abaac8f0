"""Where the azure labs make groups and clusters: a subscription at Azure, or the sandbox's stand-in for one."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workshop.azure import cost, preflight
from workshop.azure.azure_steps import clusters_of, makes_registry
from workshop.azure.connection import Azure
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab
from workshop.runbook.stop import run_cuttable
from workshop.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_SANDBOX_POLLING = 0.05
"""Seconds between two looks at an operation of the sandbox, where making a cluster takes one second."""

_NOBODY = "00000000-0000-0000-0000-000000000000"


def tools(settings: Settings) -> dict[type, object]:
    """What steps on the account need, by type."""
    azure, kubeconfig = settings.azure, settings.kubeconfig
    if settings.target == "azure":
        made = Azure(azure.subscription, azure.tenant, azure, kubeconfig)
        return {Azure: replace(made, is_host=_is_host, prices=azure.prices)}
    place = _SandboxAzure.read(settings.sandbox_folder / "azure.json")
    return {
        Azure: Azure(
            place.subscription,
            place.tenant,
            azure,
            kubeconfig,
            endpoint=place.url,
            ca=Path(place.ca),
            credential=lambda: place,
            polling=_SANDBOX_POLLING,
            backoff=_SANDBOX_POLLING,
            free=True,
        )
    }


def azure_of(tools: Mapping[type, object]) -> Azure:
    azure = tools[Azure]
    assert isinstance(azure, Azure)
    return azure


def for_labs(tools: Mapping[type, object], labs: Iterable[Lab]) -> dict[type, object]:
    """The same for a run of these labs."""
    return {**tools, Azure: replace(azure_of(tools), clusters_asked=clusters_of(labs))}


def cost_summary(tools: Mapping[type, object], labs: Iterable[Lab]) -> tuple[str, ...]:
    """What is to be said of what these labs make; nothing of those that make nothing that costs."""
    return run_cuttable(cost.summary(azure_of(tools), registry=makes_registry(labs)))


async def log_in(tools: Mapping[type, object]) -> None:
    """Raises UsageError when there is no credential, or no subscription that something can be made in: once, not
    from every step's first look."""
    azure = azure_of(tools)
    await azure.log_in()
    finding = await preflight.subscription(azure)
    if finding.state == "fail":
        raise UsageError(
            "look at the subscription",
            finding.what,
            cause="nothing can be made in it until it is enabled again",
            next_command=finding.next_command,
        )


def _is_host(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 443))
    except OSError:
        return False


@dataclass(frozen=True)
class _SandboxAzure:
    """The sandbox's stand-in for Azure as the sandbox describes it, and the credential for it."""

    url: str = "https://127.0.0.1"
    ca: str = ""
    token: str = field(default="", repr=False)
    subscription: str = _NOBODY
    tenant: str = _NOBODY

    @classmethod
    def read(cls, file: Path) -> _SandboxAzure:
        """Where there is none to be read, one that is good enough to explain with: before anything is looked at,
        the sandbox is made ready, and its files are found whole."""
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{name: str(said[name]) for name in ("url", "ca", "token", "subscription", "tenant")})
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return cls()

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        from azure.core.credentials import AccessToken

        return AccessToken(self.token, int(time.time()) + 3600)

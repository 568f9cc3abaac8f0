"""Where the azure labs make groups and clusters: a subscription at Azure, or the sandbox's stand-in for one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workshop.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_SANDBOX_POLLING = 0.05
"""Seconds between two looks at an operation of the sandbox, where making a cluster takes one second."""

_NOBODY = "00000000-0000-0000-0000-000000000000"


def tools(settings: Settings) -> dict[type, object]:
    """What steps on the account need, by type."""
    from workshop.azure.connection import Azure

    azure, kubeconfig = settings.azure, settings.kubeconfig
    if settings.target == "azure":
        return {Azure: Azure(azure.subscription, azure.tenant, azure, kubeconfig)}
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
        )
    }


def log_in(tools: Mapping[type, object]) -> None:
    """Raises UsageError when there is no credential: once, not from every step's first look."""
    from workshop.azure.connection import Azure
    from workshop.runbook.stop import run_cuttable

    azure = tools[Azure]
    assert isinstance(azure, Azure)
    run_cuttable(azure.log_in())


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

"""Credentials for Azure: a short, ordered chain that never needs `az`, behind one cache for all clients.

The SDK's default chain tries nine ways and ends in fifteen lines of why each of them failed. Three are enough, and
their names are the error: variables of a service principal, a login with `az`, a login with `azd`. The latter two
start a process for each token, which is why one token serves all clients until it is about to expire.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workshop.runbook.errors import UsageError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

_EARLY = 300.0
"""Seconds before its end at which a token is not used any more, as the SDK does."""


class Shared:
    """A credential that keeps each token until shortly before it expires. `make` is called when the first token is
    needed; used from any thread."""

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._tokens: dict[tuple[str, ...], tuple[AccessToken, float]] = {}
        """With when each was got."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        with self._lock:
            token, _ = self._tokens.get(scopes, (None, 0.0))
            if token is None or options.get("claims") or token.expires_on - time.time() < _EARLY:
                self._credential = self._credential or self._make()
                token = self._credential.get_token(*scopes, **options)
                self._tokens[scopes] = token, time.monotonic()
            return token

    def forget(self, before: float) -> None:
        """A request that began then (`time.monotonic`) was refused: the next one gets a new token, unless another
        request has seen to it since."""
        with self._lock:
            self._tokens = {scopes: kept for scopes, kept in self._tokens.items() if kept[1] > before}


def chain(tenant: str) -> TokenCredential:
    """The three ways, in order."""
    from azure.identity import (
        AzureCliCredential,
        AzureDeveloperCliCredential,
        ChainedTokenCredential,
        EnvironmentCredential,
    )

    return ChainedTokenCredential(
        EnvironmentCredential(),
        AzureCliCredential(tenant_id=tenant),
        AzureDeveloperCliCredential(tenant_id=tenant),
    )


def no_credential(tried: str) -> UsageError:
    """None of the three ways led to a token. What the chain says of each is not repeated: it is long, and none of
    it says what to do."""
    return UsageError(
        tried,
        "there is no credential for Azure",
        cause="log in with `az login` or `azd auth login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
        "AZURE_CLIENT_SECRET for a service principal",
        next_command="az login",
    )

"""Credentials for Azure: a short, ordered chain that never needs `az`, behind one cache for all clients.

The SDK's default chain tries nine ways and ends in fifteen lines of why each of them failed. Three are enough, and
their names are the error: variables of a service principal, a login with `az`, a login with `azd`. The latter two
start a process for each token, which is why one token serves all clients until it is about to expire.

The chain is not the SDK's either: that makes one text of all failures, and to a person a way that is not set up and
one whose login is refused are different things.
"""

from __future__ import annotations

import functools
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop.azure.faults import Login, LoginFailed

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

_EARLY = 300.0
"""Seconds before its end at which a token is not used any more, as the SDK does."""

_NETWORK = {"connection_timeout": 10.0, "read_timeout": 10.0, "retry_total": 1}
"""How Entra ID is asked; by default for up to five minutes an attempt, ten times."""


@dataclass
class LoginMethod:
    """One way to a token."""

    login: Login
    make: Callable[[], TokenCredential]

    @functools.cached_property
    def credential(self) -> TokenCredential:
        return self.make()


class Chain:
    """The first way that is set up. One whose login is refused ends the search, as in the SDK: a person who has
    set it up means it. Raises LoginFailed."""

    def __init__(self, *methods: LoginMethod) -> None:
        self.methods = methods

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        from azure.identity import CredentialUnavailableError

        said = ""
        for way in self.methods:
            try:
                return way.credential.get_token(*scopes, **options)
            except CredentialUnavailableError as error:
                if isinstance(error.__cause__, subprocess.TimeoutExpired):
                    said = f"{way.login.name} did not answer within {error.__cause__.timeout:g} s"
            except Exception as error:  # also a tenant's id that is none, or what MSAL raises
                raise LoginFailed(str(error), way.login) from error
        raise LoginFailed(said)


class CachedCredential:
    """A credential that keeps each token until shortly before it expires. `make` is called when the first token is
    needed; used from any thread.

    A login that failed is not tried again in this run: those who ask at the same time would wait for it one after
    the other, ten seconds each when `az` hangs.
    """

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._tokens: dict[tuple[str, ...], tuple[AccessToken, float]] = {}
        """With when each was got."""
        self._failed: LoginFailed | None = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        with self._lock:
            if self._failed:
                raise self._failed
            token, _ = self._tokens.get(scopes, (None, 0.0))
            if token is None or options.get("claims") or token.expires_on - time.time() < _EARLY:
                self._credential = self._credential or self._make()
                try:
                    token = self._credential.get_token(*scopes, **options)
                except LoginFailed as failed:
                    self._failed = failed
                    raise
                self._tokens[scopes] = token, time.monotonic()
            return token

    def forget(self, before: float) -> None:
        """A request that began then (`time.monotonic`) was refused: the next one gets a new token, unless another
        request has seen to it since."""
        with self._lock:
            self._tokens = {scopes: kept for scopes, kept in self._tokens.items() if kept[1] > before}


def chain(tenant: str) -> Chain:
    """The three ways, in order."""
    from azure.identity import AzureCliCredential, AzureDeveloperCliCredential, EnvironmentCredential

    expired = "the login has expired or was taken back, or is for another tenant"
    return Chain(
        LoginMethod(
            Login(
                "the service principal of AZURE_CLIENT_ID",
                "one of AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET is wrong or has expired; no other "
                "login is asked while they are set",
                "unset AZURE_CLIENT_SECRET && az login",
            ),
            lambda: EnvironmentCredential(**_NETWORK),
        ),
        LoginMethod(
            Login("`az`", expired, f"az login --tenant {tenant}" if tenant else "az login"),
            lambda: AzureCliCredential(tenant_id=tenant),
        ),
        LoginMethod(
            Login("`azd`", expired, f"azd auth login --tenant-id {tenant}" if tenant else "azd auth login"),
            lambda: AzureDeveloperCliCredential(tenant_id=tenant),
        ),
    )

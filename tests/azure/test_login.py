"""Tokens are shared, renewed when refused, and their lack is one clear error with the three ways to get one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.azure.world import TOKEN, Arm, Session
from workshop.azure.login import Shared, chain
from workshop.runbook.errors import UsageError


class _NoLogin:
    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.identity import CredentialUnavailableError

        raise CredentialUnavailableError("fifteen lines of reasons")


async def test_one_token_serves_a_whole_run(session: Session) -> None:
    await session.converge()
    assert session.credential.asked == 1


async def test_a_refused_token_is_renewed(arm: Arm, session: Session) -> None:
    session.credential.tokens = ["an old one", TOKEN]
    await session.converge("azure.group")
    assert session.credential.asked == 2


async def test_a_token_that_is_always_refused_is_told(session: Session) -> None:
    session.credential.tokens = ["an old one"]
    assert await session.run("azure.group") == 2
    assert "the login is not accepted" in str(session.errors[0])


async def test_no_credential_names_the_three_ways(session: Session) -> None:
    session.credential = _NoLogin()  # type: ignore[assignment]
    assert await session.run("azure.group") == 2
    error = session.errors[0]
    assert isinstance(error, UsageError)
    for way in ("az login", "azd auth login", "AZURE_CLIENT_SECRET"):
        assert way in error.cause
    assert "fifteen" not in str(error)


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    class Short:
        asked = 0

        def get_token(self, *scopes: str, **options: Any) -> Any:
            self.asked += 1
            return type("Token", (), {"token": "t", "expires_on": time.time() + 100})

    made = Short()
    shared = Shared(lambda: made)  # type: ignore[arg-type, return-value]
    shared.get_token("a")
    shared.get_token("a")
    assert made.asked == 2


def test_the_chain_is_environment_then_az_then_azd() -> None:
    names = [type(each).__name__ for each in chain("").credentials]  # type: ignore[attr-defined]
    assert names == ["EnvironmentCredential", "AzureCliCredential", "AzureDeveloperCliCredential"]


@pytest.mark.parametrize("kind", ["network", "clusters", "registries", "resources"])
def test_a_client_is_made_once(kind: str, session: Session) -> None:
    azure = session.azure
    assert getattr(azure, kind)() is getattr(azure, kind)()

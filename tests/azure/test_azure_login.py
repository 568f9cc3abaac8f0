"""Tokens are shared, renewed when refused, and their lack is one clear error with the three ways to get one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.azure import TENANT, TOKEN, Arm, Session
from workshop.azure.azure_login import CachedCredential, Chain, LoginMethod, chain
from workshop.azure.faults import Login, LoginFailed
from workshop.runbook.errors import WorkshopError

EXPIRED = """\
WARNING: A new version of az is there.
ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-01 and was \
inactive for 90.00:00:00. Trace ID: 1234 Correlation ID: 5678 Timestamp: 2026-11-01
Interactive authentication is needed. Please run:
az login
"""
REFUSED = """\
Authentication failed: AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request \
is the client secret value, not the client secret ID, for a secret added to app '1234'. Trace ID: 1234
"""
UNRESOLVED = """\
ERROR: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /x/token \
(Caused by NameResolutionError("<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to resolve \
'login.microsoftonline.com' ([Errno -3] Temporary failure in name resolution)"))
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, and nobody logged in."""
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(tools: Path, name: str, script: str) -> Path:
    """A tool that counts its calls in the file that is returned."""
    calls = tools / f"{name}.calls"
    (tools / name).write_text(f"#!/bin/sh\necho >> {calls}\n{script}\n")
    (tools / name).chmod(0o755)
    calls.touch()
    return calls


async def refused(session: Session, chain: Chain, status: int) -> WorkshopError:
    session.credential = chain  # type: ignore[assignment]
    assert await session.run("azure.group") == status
    error = session.errors[0]
    assert isinstance(error, WorkshopError)
    return error


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


async def test_no_credential_names_the_three_ways(tools: Path, session: Session) -> None:
    error = await refused(session, chain(""), 2)
    assert error.came_back == "there is no credential for Azure"
    for way in ("az login", "azd auth login", "AZURE_CLIENT_SECRET"):
        assert way in error.cause


async def test_a_login_that_has_expired_is_told_and_asked_for_once(tools: Path, session: Session) -> None:
    """Although eleven things are looked at, at the same time."""
    calls = put(tools, "az", f"/bin/cat >&2 <<'.'\n{EXPIRED}.\nexit 1")
    error = await refused(session, chain(TENANT), 2)
    said = "`az` gives no token: AADSTS700082: The refresh token has expired due to inactivity"
    assert error.came_back == said
    assert error.next_command == f"az login --tenant {TENANT}"
    assert calls.read_text().count("\n") == 1


async def test_a_tool_that_hangs_is_named_and_asked_once(tools: Path, session: Session) -> None:
    from azure.identity import AzureCliCredential

    calls = put(tools, "az", "exec /bin/sleep 60")
    az = LoginMethod(Login("`az`", "", ""), lambda: AzureCliCredential(process_timeout=1))
    error = await refused(session, Chain(az), 2)
    assert error.came_back == "there is no credential for Azure: `az` did not answer within 1 s"
    assert calls.read_text().count("\n") == 1


async def test_a_login_that_is_not_reached_is_told_as_that(
    tools: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variables of a service principal, and a way to Entra ID that leads nowhere."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, TENANT)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    error = await refused(session, chain(""), 1)
    assert error.came_back == "the proxy that is set (HTTPS_PROXY): Connection refused"


@pytest.mark.parametrize(
    ("said", "came_back"),
    [
        (REFUSED, "one way gives no token: AADSTS7000215: Invalid client secret provided"),
        (UNRESOLVED, "login.microsoftonline.com: its name does not resolve (DNS)"),
        ("Failed to parse\nthe answer", "one way gives no token: Failed to parse"),
        pytest.param("x" * 999, f"one way gives no token: {'x' * 200} ...", id="long"),
        ("", "one way gives no token: it does not say why"),
    ],
)
def test_what_a_login_says_is_one_sentence(said: str, came_back: str) -> None:
    assert LoginFailed(said, Login("one way", "", "")).error("log in").came_back == came_back


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    class Short:
        asked = 0

        def get_token(self, *scopes: str, **options: Any) -> Any:
            self.asked += 1
            return type("Token", (), {"token": "t", "expires_on": time.time() + 100})

    made = Short()
    shared = CachedCredential(lambda: made)  # type: ignore[arg-type, return-value]
    shared.get_token("a")
    shared.get_token("a")
    assert made.asked == 2


def test_the_chain_is_environment_then_az_then_azd() -> None:
    names = [type(way.credential).__name__ for way in chain("").methods]
    assert names == ["EnvironmentCredential", "AzureCliCredential", "AzureDeveloperCliCredential"]


@pytest.mark.parametrize("kind", ["network", "clusters", "registries", "resources"])
def test_a_client_is_made_once(kind: str, session: Session) -> None:
    azure = session.azure
    assert getattr(azure, kind)() is getattr(azure, kind)()

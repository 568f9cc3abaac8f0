"""Quotas that are enough for each member are not for all: asked once for those who share them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from tests.kit.azure import Arm, Session
from workshop.azure.class_quota import Account, examine
from workshop.runbook.results import Finding


def account(session: Session, name: str, *, public: bool = True, **changed: Any) -> Account:
    """A member's, with groups and clusters of their own."""
    azure = session.azure
    settings = msgspec.structs.replace(
        azure.settings,
        primary=msgspec.structs.replace(azure.settings.primary, group=f"first-{name}"),
        secondary=msgspec.structs.replace(azure.settings.secondary, group=f"second-{name}"),
        **changed,
    )
    return Account(name, replace(azure, settings=settings), public)


async def examined(*accounts: Account) -> dict[str, Finding]:
    return {row.name: row for row in await examine(accounts)}


async def test_what_is_enough_for_one_is_not_for_all(arm: Arm, session: Session) -> None:
    arm.set(quotas={"cores": 20, "family": 100, "managedClusters": 4, "publicIPs": 12})
    one = await examined(account(session, "ada"))
    assert {row.state for row in one.values()} == {"ok"}, one
    assert one["vCPUs in westeurope"].what.endswith("12 more needed by 1 member")
    arm.clear()
    found = await examined(*(account(session, name) for name in ("ada", "ben", "cy")))
    assert found["vCPUs in westeurope"] == Finding(
        "vCPUs in westeurope",
        "fail",
        "Total Regional vCPUs: 0 of 20 used, 36 more needed by 3 members: 16 are missing; ask for more quota, or "
        "set azure.nodes to fewer or smaller ones, or azure.location for some of them",
        found["vCPUs in westeurope"].next_command,
    )
    assert "az vm list-usage --location westeurope" in found["vCPUs in westeurope"].next_command
    assert found["clusters in westeurope"].what.startswith("0 of 4 used, 6 more needed by 3 members: 2 are missing")
    assert found["public addresses in westeurope"].state == "ok"
    assert len(arm.requests()) == 5, "one question each, however many members"
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_a_family_may_have_less_than_the_location(arm: Arm, session: Session) -> None:
    arm.set(quotas={"cores": 100, "family": 20})
    found = await examined(*(account(session, name) for name in ("ada", "ben")))
    assert "Standard DSv2 Family vCPUs: 0 of 20 used, 24 more needed" in found["vCPUs in westeurope"].what


async def test_public_addresses_of_open_gateways_and_of_private_ones(arm: Arm, session: Session) -> None:
    arm.set(quotas={"cores": 100, "family": 100, "managedClusters": 100, "publicIPs": 6})
    names = ("ada", "ben")
    found = await examined(*(account(session, name) for name in names))
    assert found["public addresses in westeurope"].what.startswith("0 of 6 used, 8 more needed by 2 members: 2 are")
    found = await examined(*(account(session, name, public=False) for name in names))
    assert found["public addresses in westeurope"] == Finding(
        "public addresses in westeurope", "ok", "0 of 6 used, 4 more needed by 2 members"
    )


async def test_what_a_member_has_already_is_not_needed_again(arm: Arm, session: Session) -> None:
    await session.start_converged()
    have = Account("ada", session.azure)
    found = await examined(have, account(session, "ben"))
    assert found["clusters in westeurope"].what == "2 of 10 used, 2 more needed by 2 members"
    assert found["vCPUs in westeurope"].state == "fail"
    assert "12 of 20 used, 12 more needed by 2 members: 4 are missing" in found["vCPUs in westeurope"].what


async def test_locations_have_quotas_of_their_own(arm: Arm, session: Session) -> None:
    here, there = account(session, "ada"), account(session, "ben", location="northeurope")
    found = await examined(here, there)
    assert {name.rpartition(" ")[2] for name in found} == {"westeurope", "northeurope"}
    assert {row.state for row in found.values()} == {"ok"}


async def test_a_subscription_that_is_not_there_is_one_row(arm: Arm, session: Session) -> None:
    other = account(session, "ada")
    strange = replace(other, azure=replace(other.azure, subscription="00000000-1111-2222-3333-444444444444"))
    rows = await examine([account(session, "ben"), strange])
    assert [row.state for row in rows] == ["ok", "ok", "ok", "fail"]
    assert "could not be found" in rows[-1].what
    assert strange.azure.subscription in rows[-1].name


async def test_a_provider_that_is_not_registered_is_a_warning(arm: Arm, session: Session) -> None:
    arm.set(providers={"Microsoft.Compute": "NotRegistered"})
    (row,) = await examine([account(session, "ada")])
    assert row.state == "warn"
    assert [each["method"] for each in arm.requests() if each["method"] != "GET"] == []

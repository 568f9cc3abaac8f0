"""What a profile costs, as an estimate, and what has been paid for what is there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from labs.azure import LABS
from tests.kit.azure import Arm, Session, profile
from tests.kit.engine import FakeGuard
from workshop.azure import cost
from workshop.azure.azure_steps import clusters_of, makes_registry
from workshop.azure.connection import Azure
from workshop.azure.cost import Estimate
from workshop.runbook import Runbook
from workshop.runbook.request import Request
from workshop.settings import ROOT

# What a profile costs, as an estimate: from the table, or from what the retail prices say today. They are asked
# on this machine only: no test reaches Azure's.

BOTH: Any = ("primary", "secondary")
TABLE = """
date: "2026-01-02"
region: westeurope
nodes: {Standard_DS2_v2: {hour: 0.1, disk: 128}}
disks: {128: 73.0}
load_balancer: 0.02
address: 0.01
registry: 2.4
control_plane: 0.0
logs: 3
"""


class Retail(ThreadingHTTPServer):
    """Azure's retail prices, as the documentation shows them, with `items` for each filter that has the key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.delay = 0.0
        self.answer: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/retail/prices"


class _Handler(BaseHTTPRequestHandler):
    server: Retail

    def do_GET(self) -> None:
        (wanted,) = parse_qs(urlsplit(self.path).query)["$filter"]
        self.server.asked.append(wanted)
        time.sleep(self.server.delay)
        found = [item for key, items in self.server.items.items() if key in wanted for item in items]
        said = {"BillingCurrency": "USD", "Items": found, "NextPageLink": None, "Count": len(found)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode() if self.server.answer is None else self.server.answer)

    def log_message(self, format: str, *arguments: object) -> None:
        return


@pytest.fixture
def retail() -> Iterator[Retail]:
    with Retail() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prices.yaml").write_text(TABLE)
    monkeypatch.setattr(cost, "TABLE", tmp_path / "prices.yaml")


def machine(price: float, product: str, sku: str = "DS2 v2", **more: Any) -> dict[str, Any]:
    shown = {"retailPrice": price, "productName": product, "skuName": sku, "meterName": sku}
    return {**shown, "unitOfMeasure": "1 Hour", "tierMinimumUnits": 0.0, "type": "Consumption", **more}


async def estimated(url: str = "", **changed: Any) -> Estimate:
    nodes = msgspec.structs.replace(profile().nodes, **changed)
    return await cost.estimate(profile(nodes=nodes), BOTH, registry=True, url=url)


async def test_the_table_s_prices_come_to_an_hour_and_a_day() -> None:
    found = await estimated(count=3)
    assert {item.what: item.hour for item in found.items} == {
        "6 x Standard_DS2_v2": pytest.approx(0.6),
        "6 x system disks of 128 GiB": pytest.approx(0.6),
        "2 x load balancer and address": pytest.approx(0.06),
        "2 x control plane, Free": 0.0,
        "registry, Standard": pytest.approx(0.1),
    }
    assert found.sum == "about USD 1.36 an hour, 32.64 a day"
    text = "\n".join(cost.lines(found))
    assert "an estimate" in text
    assert "list prices of westeurope of 2026-01-02" in text
    assert "logs" not in text
    assert all(len(line) <= 80 for line in cost.lines(found)[2:])


def test_the_workshop_s_own_table_knows_what_its_profile_makes() -> None:
    known = cost.from_table(profile().nodes.size, profile().location, ROOT / "config" / "prices.yaml")
    assert known.node
    assert known.disk
    assert "differ" not in known.source


async def test_one_cluster_costs_half_and_a_group_nothing() -> None:
    one = await cost.estimate(profile(), ("primary",), registry=False)
    assert one.hour == pytest.approx(0.63)
    assert not (await cost.estimate(profile(), (), registry=False)).items


async def test_a_size_that_the_table_has_not_is_not_guessed() -> None:
    found = await estimated(size="Standard_M8ms")
    assert "about USD 0.16 an hour, 3.84 a day, without 6 x Standard_M8ms" in found.sum
    text = "\n".join(cost.lines(found))
    assert "not known" in text
    assert "together (and what is not known)" in text


async def test_prices_of_another_region_are_said_to_be_that() -> None:
    found = await cost.estimate(profile(location="eastus"), BOTH, registry=True)
    assert found.source == "list prices of westeurope of 2026-01-02; those of eastus differ"


async def test_logs_are_named_where_they_are_collected() -> None:
    found = await cost.estimate(profile(monitoring=True), BOTH, registry=True)
    assert "      not counted: logs: USD 3.00 for each GB that comes into azure.workspace" in cost.lines(found)


async def test_what_azure_says_today_goes_before_the_table(retail: Retail) -> None:
    retail.items = {
        "armSkuName eq 'Standard_DS2_v2'": [
            machine(0.9, "Virtual Machines DSv2 Series Windows"),
            machine(0.01, "Virtual Machines DSv2 Series", "DS2 v2 Spot"),
            machine(0.02, "Virtual Machines DSv2 Series", "DS2 v2 Low Priority"),
            machine(0.2, "Virtual Machines DSv2 Series"),
        ],
        "Standard Registry Unit": [machine(4.8, "Container Registry", "Standard", unitOfMeasure="1/Day")],
    }
    found = await estimated(retail.url)
    hours = {item.what: item.hour for item in found.items}
    assert hours["6 x Standard_DS2_v2"] == pytest.approx(1.2)
    assert hours["registry, Standard"] == pytest.approx(0.2)
    assert hours["6 x system disks of 128 GiB"] == pytest.approx(0.6), "as in the table: Azure has told none"
    assert found.source.startswith("list prices of westeurope of today")
    assert len(retail.asked) == 3
    assert all("armRegionName eq 'westeurope' and priceType eq 'Consumption'" in each for each in retail.asked)
    assert any("meterName eq 'P10 LRS Disk'" in each for each in retail.asked)


async def test_it_prices_a_size_that_the_table_has_not(retail: Retail) -> None:
    retail.items = {"Standard_M8ms": [machine(2.0, "Virtual Machines MS Series", "M8ms")]}
    found = await estimated(retail.url, size="Standard_M8ms", count=1)
    assert found.items[0] == cost.Item("2 x Standard_M8ms", 4.0)
    assert "without 2 x system disks, whose price is not known" in found.sum


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"Items": null}', b'{"Items": [1, {"retailPrice": 1}]}']
)
async def test_an_answer_that_is_none_leaves_the_table(retail: Retail, answer: bytes) -> None:
    retail.answer = answer
    assert await estimated(retail.url) == await estimated()


async def test_nobody_waits_for_prices_that_do_not_come(retail: Retail, monkeypatch: pytest.MonkeyPatch) -> None:
    retail.delay = 5.0
    monkeypatch.setattr(cost, "PRICES_TIMEOUT", 0.05)
    assert await estimated(retail.url) == await estimated()
    retail.server_close()
    assert await estimated(retail.url) == await estimated(), "refused"


@pytest.mark.parametrize(
    ("lab", "clusters", "registry"),
    [
        ("azure.group", (), False),
        ("azure.vnet", (), False),
        ("azure.acr", (), True),
        ("azure.aks", ("primary",), True),
        ("azure.aks-secondary", ("secondary",), True),
        ("azure.credentials", BOTH, True),
        ("azure.cleanup", (), False),
    ],
)
async def test_a_plan_says_what_its_labs_cost_with_those_they_need(
    lab: str, clusters: tuple[str, ...], registry: bool
) -> None:
    labs = Request((lab,)).taking_part(Runbook(LABS))
    assert (clusters_of(labs), makes_registry(labs)) == (clusters, registry)
    azure = replace(Azure("s", "t", profile(), Path()), clusters_asked=clusters)  # type: ignore[arg-type]
    said = await cost.summary(azure, registry=registry)
    assert bool(said) == bool(clusters or registry)
    text = "\n".join(said)
    assert ("x load balancer" in text) == bool(clusters)
    assert ("registry, Standard" in text) == registry
    free = await cost.summary(replace(azure, free=True), registry=registry)
    assert [line.partition(":")[0] for line in free if line][:1] == (
        ["Here it costs nothing. At Azure"] if said else []
    )


# What the clean-up deletes is shown with since when it has been paid for, before anybody agrees to it.

HOURS = 5


@pytest.fixture
async def paid(arm: Arm, session: Session) -> None:
    """Everything, made five hours ago."""
    await session.start_converged()
    for resource in arm.cloud.resources.values():
        resource.created = datetime.now(UTC) - timedelta(hours=HOURS)


async def notes(session: Session) -> dict[str, str]:
    plan = await session.plan("azure.cleanup")
    return {each.subject: each.note for step in plan.steps for each in step.check.differences}


@pytest.mark.usefixtures("paid")
async def test_a_plan_says_since_when_and_what_it_has_cost(session: Session) -> None:
    said = await notes(session)
    when = f"{datetime.now(UTC) - timedelta(hours=HOURS):%Y-%m-%d %H:}"
    nodes = cost.from_table("Standard_DS2_v2", "westeurope")
    assert nodes.node
    assert nodes.disk
    cluster = HOURS * (3 * (nodes.node + nodes.disk) + nodes.load_balancer + nodes.address)
    for subject, usd in (
        ("AKS cluster mesh-workshop/primary", cluster),
        ("AKS cluster mesh-workshop-secondary/secondary", cluster),
        (next(subject for subject in said if subject.startswith("registry ")), HOURS * nodes.registry),
    ):
        assert said[subject].startswith(f"paid for since {when}")
        assert said[subject].endswith(f" UTC (5 h), about USD {usd:.2f} so far")
    assert not said["virtual network mesh-workshop/aks-vnet"], "it costs nothing"


@pytest.mark.usefixtures("paid")
async def test_whoever_has_to_agree_to_it_sees_it(session: Session) -> None:
    session.guard, session.gate.typed = FakeGuard("mesh-workshop"), False
    assert await session.run("azure.cleanup") == 2
    (asked,) = session.gate.asked
    assert asked.count("  paid for since ") == 3
    session.gate.asked.clear()
    session.gate.typed = True
    await session.converge("azure.cleanup")


@pytest.mark.usefixtures("paid")
async def test_what_it_has_cost_is_not_guessed_for_a_size_of_unknown_price(arm: Arm, session: Session) -> None:
    for resource in arm.cloud.of_type("Microsoft.ContainerService/managedClusters"):
        resource.properties["agentPoolProfiles"][0]["vmSize"] = "Standard_F2s_v2"
    said = (await notes(session))["AKS cluster mesh-workshop/primary"]
    assert said.startswith("paid for since ")
    assert "USD" not in said


@pytest.mark.usefixtures("paid")
async def test_a_cluster_of_another_profile_too_and_in_the_sandbox_nothing_is_paid(session: Session) -> None:
    other = msgspec.structs.replace(session.settings.primary, cluster="another")
    session.settings = msgspec.structs.replace(session.settings, primary=other)
    assert (await notes(session))["AKS cluster mesh-workshop/primary"].startswith("paid for since ")
    session.free = True
    said = await notes(session)
    assert said["AKS cluster mesh-workshop/primary"].startswith("there since ")
    assert not any("USD" in note or "paid" in note for note in said.values())

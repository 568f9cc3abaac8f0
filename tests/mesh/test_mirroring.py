"""What a person types to see mirrored requests, and what a slow machine does to their count."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from labs.istio.copies import noticed
from tests.kit.runs import Recorded
from tests.traffic.servers import Handler, serving
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.other_clusters import OtherCluster, OtherClusters
from workshop.mesh.mirroring import Mirrored, Receiver
from workshop.runbook.run import Facts, Run
from workshop.traffic.probe import Category

V1, V2 = Category("v1", "v1"), Category("v2", "v2")


def typed(cluster: str) -> tuple[str, ...]:
    guard = ClusterGuard(Kubectl(Path("kubectl"), Path("kubeconfig"), "blue", Path("cache")), "blue")
    run = Recorded(OtherClusters({"secondary": OtherCluster("blue", {}, guard)}))
    receiver = Receiver("v2", "apps", "version=v2", "app", cluster)
    return Mirrored("/hello", V1, V2, receiver, 0.5, (("Host", "a.example.com"),)).commands(run)


def test_the_log_is_read_in_the_cluster_that_gets_the_copies() -> None:
    logs = 'logs -n apps -l version=v2 -c app --tail=-1 --since=10m | grep -c "probe=$MARK"'
    assert typed("")[-1] == f"kubectl {logs}"
    assert typed("secondary")[-1] == f"kubectl --context blue {logs}"


def test_requests_are_sent_to_this_cluster_whose_address_is_read() -> None:
    *address, wait, mark, send, expected, _ = typed("secondary")
    assert address[-1] == "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT"
    assert not any("--context" in command for command in address)
    curl = "curl -s -o /dev/null -H 'Host: a.example.com' \"http://$GATEWAY_URL/hello?probe=$MARK\""
    # Anew for each measurement: what only sets a variable as it is set already is not shown again.
    assert mark == "export MARK=$RANDOM"
    assert send == f"for i in $(seq 100); do {curl}; done"
    assert wait.startswith("sleep 2 ")
    assert expected.startswith("# expected: about ")


@dataclass(frozen=True, slots=True)
class Here:
    """In place of the ingress gateway: a server of the test's."""

    url: str

    async def observe(self, run: Run) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Late(Receiver):
    """COPIED of the requests are copied (of a sample a half), and come in two lots, with `pause` seconds between
    them; it takes `reading` seconds to read the log."""

    pause: float = 0.0
    reading: float = 0.0

    async def count(self, run: Run, mark: str) -> int:
        now, sent = time.monotonic(), SENT[mark]
        await asyncio.sleep(self.reading)
        copies = int(COPIED * sent) if sent > SAMPLE else sent // 2
        return copies if now - STARTED.setdefault((mark, sent), now) >= self.pause else copies * 9 // 10


COPIED = 0.588  # more than half by nearly nine points, which is too much; nine tenths of that are not
SAMPLE = 145
SENT: dict[str, int] = {}
STARTED: dict[tuple[str, int], float] = {}


def mirrored(url: str, **receiver: float) -> Mirrored:
    return Mirrored("/hello", V1, V2, Late("v2", "apps", "version=v2", "app", **receiver), 0.5, ingress=Here(url))  # type: ignore[arg-type]


def answering(trouble: Handler | None = None) -> Handler:
    """v1, and what else becomes of the 300th request of those that are measured."""

    async def hello(request: web.Request) -> web.StreamResponse:
        mark = request.query["probe"]
        SENT[mark] = SENT.get(mark, 0) + 1
        return await trouble(request) if trouble and SENT[mark] == 300 else web.Response(text="v1")

    return hello


def run() -> Run:
    return Run("istio.mirror", {}, Facts(), {}, lambda event: None)


@pytest.mark.parametrize(("pause", "reading"), [(0.0, 0.0), (0.3, 0.0), (1.2, 0.5)])
async def test_a_pause_says_as_much_as_reading_the_log_is_quick(pause: float, reading: float) -> None:
    """Copies that come a while after the others are counted, also where a while is longer on a slow machine."""
    async with serving(answering()) as server:
        verdict = await mirrored(server.url, pause=pause, reading=reading).prove(run())
    assert verdict.kind == "fail"
    said = re.fullmatch(r"copied: ([\d,]+) of ([\d,]+), expected 50.0%", verdict.reason)
    assert said, verdict.reason
    received, sent = (int(number.replace(",", "")) for number in said.groups())
    assert received == int(COPIED * sent)
    assert 407 <= sent <= 1450


async def lost(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def other(request: web.Request) -> web.StreamResponse:
    return web.Response(text="v2")


@pytest.mark.parametrize(
    ("trouble", "kind", "said"),
    [
        (lost, "inconclusive", r"1 of [\d,]+ requests had no answer of either version \(connection lost: 1\)"),
        (other, "fail", r"1 of [\d,]+ callers see v2"),
    ],
)
async def test_no_answer_is_not_another_version_s(trouble: Handler, kind: str, said: str) -> None:
    async with serving(answering(trouble)) as server:
        verdict = await mirrored(server.url, pause=60.0).prove(run())
    assert verdict.kind == kind
    assert re.search(said, verdict.reason)


async def test_a_middling_share_takes_a_tenth_of_the_requests_that_ten_points_would() -> None:
    """Of half of the requests nobody needs to know whether it is 45 %: a mirror is there, or not, or copies all."""
    said = {share: noticed(share) for share in (0.01, 0.1, 0.15, 0.3, 0.5, 0.9, 1.0)}
    assert said == pytest.approx({0.01: 0.1, 0.1: 0.1, 0.15: 0.15, 0.3: 0.2, 0.5: 0.2, 0.9: 0.1, 1.0: 0.1})
    async with serving(answering()) as server:
        half = replace(
            mirrored(server.url), deviation=noticed(0.5), receiver=Even("v2", "apps", "version=v2", "app")
        )
        verdict = await half.prove(run())
    assert verdict.kind == "pass"
    copies, callers = verdict.measurements[-1], verdict.measurements[0]
    assert copies.title == "Copies in the log of v2"
    assert 96 <= copies.samples == callers.samples <= 346


@dataclass(frozen=True, slots=True)
class Even(Receiver):
    """Every other request is copied."""

    async def count(self, run: Run, mark: str) -> int:
        return SENT[mark] // 2

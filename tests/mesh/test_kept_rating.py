"""What the proof of a kept rating says of pages that keep none. tests/labs/test_ratings.py sees it pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.images.smoothies_page import menu
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.kept_rating import KeptRating
from workshop.runbook.results import Verdict
from workshop.runbook.run import Facts, Run

KUBECTL = Kubectl(Path("kubectl"), Path("nowhere"), "primary", Path("cache"))
PROOF = KeptRating("/ratings/", "smoothies", ("ratings-api", "ratings-web"), "2/2")
FRUIT = {"_id": "01", "name": "Banana", "img": ""}


async def measured(page: bytes, posted: str = "303 See Other", **looks: bool) -> tuple[Verdict, list[str]]:
    """The verdict on a server that always has this page, and what it was asked."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.partition(" HTTP")[0])
        status, body = ("200 OK", page) if head.startswith("GET") else (posted, b"no")
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        run = Run("istio.ratings", {Kubectl: KUBECTL}, Facts(), {}, lambda event: None, **looks)
        return await PROOF.measure(run, f"http://127.0.0.1:{port}"), asked


SMOOTHIES = menu([FRUIT], [], "pod-1")


@pytest.mark.parametrize(
    ("page", "posted", "kind", "said"),
    [
        (SMOOTHIES, "303 See Other", "fail", "5 stars for Banana are not kept: 0 ratings after them"),
        (SMOOTHIES, "503 Service Unavailable", "fail", "takes no rating of Banana: HTTP 503: no"),
        (b"<h1>podinfo</h1>", "404 Not Found", "pass", "it takes no ratings"),
    ],
)
async def test_a_rating_that_is_not_kept(page: bytes, posted: str, kind: Any, said: str) -> None:
    verdict, asked = await measured(page, posted)
    assert (verdict.kind, said in verdict.reason) == (kind, True), verdict.reason
    assert asked[0] == "GET /ratings/"
    assert ("POST /ratings/rate" in asked) == (kind == "fail")


async def test_who_only_looks_rates_nothing() -> None:
    verdict, asked = await measured(SMOOTHIES, only_looks=True)
    assert (verdict.kind, asked) == ("pass", ["GET /ratings/"])
    assert "Banana" in verdict.reason

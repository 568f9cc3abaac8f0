"""What is said of what Prometheus has counted. The expectations are the definitions of `observed_calls`: a request
is in every count that it belongs to, once, and only the version is chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from tests.kit.prometheus import behind_api, of_samples
from tests.kit.runs import Recorded
from workshop.mesh.observed_calls import Counted, CountedCalls, Looks, looked
from workshop.mesh.prometheus import Prometheus
from workshop.traffic.load import Result
from workshop.traffic.verdict import plan

PROOF = CountedCalls("/productpage", "bookinfo", "productpage-v1", "details-v1", "reviews")
HALVES = {"v1": 0.5, "v3": 0.5}
NEED = plan(HALVES, PROOF.deviation)
N = NEED.n
HALF = N // 2


def counted(versions: dict[str, int], *, at_gateway: int = N, at_details: int = N, failed: int = 0) -> Counted:
    """Calls of N pages; a version of None is of a pod whose proxy has not answered."""
    found = Counted()
    for reporter in ("source", "destination"):
        found.calls[reporter, "istio-ingressgateway", "productpage-v1", "v1"] = at_gateway
        found.calls[reporter, "productpage-v1", "details-v1", "v1"] = at_details
    found.failed["source", "istio-ingressgateway", "productpage-v1", "v1"] = failed
    for version, count in versions.items():
        found.calls["source", "productpage-v1", f"reviews-{version}", version] = count
    return found


def pages(**counts: int) -> Result:
    return Result(counts={status.removeprefix("s"): count for status, count in (counts or {"s200": N}).items()})


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (counted({"v1": HALF, "v3": N - HALF}), "pass", "versions of reviews by the metrics: every share is as"),
        # v2 has been called before, and its series is still there; of these pages it got none.
        (counted({"v1": HALF, "v2": 0, "v3": N - HALF}), "pass", f"{N:,} calls of istio-ingressgateway"),
        (counted({"v1": HALF, "v2": 1, "v3": N - HALF - 1}), "fail", "1 to v2, which no rule sends any of"),
        (counted({"v1": N, "v3": 0}), "fail", "v1"),
        # Of a pod that does not answer the version is not known, only that somebody was called.
        (counted({"v1": HALF, "v3": 0, "unknown": N - HALF}), "inconclusive", "too few to tell"),
        (counted({"v1": HALF, "v3": 0}), "inconclusive", f"{HALF:,} calls to reviews are counted, of {N:,} pages"),
        (counted({"v1": N, "v3": N}), "inconclusive", "some were repeated"),
        (
            counted({"v1": HALF, "v3": N - HALF}, at_gateway=N - 1),
            "fail",
            f"{N - 1:,} calls of istio-ingressgateway",
        ),
        (counted({"v1": HALF, "v3": N - HALF}, at_details=N + 1), "inconclusive", "somebody else sends as well"),
        (counted({"v1": HALF, "v3": N - HALF}, at_details=-N), "inconclusive", "a pod has been replaced"),
        (counted({"v1": HALF, "v3": N - HALF}, failed=2), "fail", f"2 of {N:,} pages failed by the metrics, and 0"),
    ],
)
def test_what_was_counted_is_held_against_what_was_sent(found: Counted, kind: str, said: str) -> None:
    verdict = PROOF.verdict(found, pages(), HALVES, NEED)
    assert (verdict.kind, said in verdict.reason) == (kind, True), verdict.reason


def test_what_failed_is_counted_as_it_was_seen() -> None:
    verdict = PROOF.verdict(counted({}, failed=3), pages(s200=N - 3, s503=3), {}, NEED)
    assert (verdict.kind, "0.9% failed" in verdict.reason) == ("pass", True), verdict.reason


def test_without_an_answer_to_every_page_nothing_is_known() -> None:
    verdict = PROOF.verdict(counted({}), pages(s200=N - 1), {}, NEED)
    assert (verdict.kind, verdict.reason) == ("inconclusive", f"1 of {N:,} requests had no answer")


LOOKS = {
    'up{job="kubernetes-pods", pod="details"}': "1 1 1 0 1",
    'up{job="kubernetes-pods", pod="reviews"}': "1x4",
    'istio_requests_total{pod="details"}': "5 6 7 stale 8",
    'istio_requests_total{pod="gone"}': "9 stale",
}
"""At 0, 15, 30, 45 and 60 s."""


async def test_where_prometheus_does_not_get_to_look_that_is_said_with_why(tmp_path: Path) -> None:
    """Seen on a machine that was too busy for its looks: the step had failed, as if the mesh did not count."""
    async with behind_api(of_samples(LOOKS, now=60.0)) as api:
        kubectl = api.kubectl(tmp_path)
        run = Recorded(kubectl)
        run.patience = 0.0
        found = await looked(run, Prometheus(kubectl, ""), {"reviews", "details"})
        assert found == "Prometheus has looked for 0 s, not yet at 2 of 2 pods (details)"
        assert await looked(run, Prometheus(kubectl, ""), set()) == Looks(60.0, 60.0)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (0.0, 16.0, [6.0]),  # not what was told at 0 s, also by a pod that has gone since
        (16.0, 46.0, [7.0]),  # though the last look at it failed
        (31.0, 46.0, []),
        (31.0, 60.0, [8.0]),
    ],
)
async def test_a_look_that_fails_takes_nothing_back(
    tmp_path: Path, start: float, end: float, told: list[float]
) -> None:
    async with behind_api(of_samples(LOOKS, now=60.0)) as api:
        prometheus = Prometheus(api.kubectl(tmp_path), "")
        found = await prometheus.query(Looks(start, end).values("istio_requests_total"), end)
    assert [sample.value for sample in found] == told


async def test_each_pod_has_to_answer_once_and_not_all_at_the_same_time(tmp_path: Path) -> None:
    """On a busy machine some look always fails, and each time it may be another one."""
    looks = iter([(11.0, {"details"}), (12.0, {"reviews"})])
    now, up = next(looks)

    async def prometheus(request: web.Request) -> web.StreamResponse:
        nonlocal now, up
        query = request.query["query"]
        if query == "time()":
            return web.json_response({"status": "success", "data": {"resultType": "scalar", "result": [10, "10"]}})
        answered = up if query.startswith("up") else {"details", "reviews"}
        found = [{"metric": {"pod": pod}, "value": [now, str(now)]} for pod in sorted(answered)]
        if query.startswith("up"):
            now, up = next(looks, (now, up))
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": found}})

    async with behind_api(prometheus) as api:
        kubectl = api.kubectl(tmp_path)
        run = Recorded(kubectl)
        run.patience = 5.0
        found = await looked(run, Prometheus(kubectl, ""), {"details", "reviews"})
    assert found == Looks(10.0, 12.0)

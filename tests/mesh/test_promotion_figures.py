"""A promotion's figures from Prometheus: what productpage's proxies have counted, when all of it is known, and how
the same verdicts follow. The samples have Istio's labels (tests/kit/mesh_samples.py)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from labs.istio.canary import PROMOTION, REVIEWS
from tests.kit.mesh_samples import NOW, call, rules
from tests.kit.prometheus import BehindApi, behind_api, of_samples, refusal
from tests.kit.runs import Recorded
from workshop.kubernetes.manifests import Manifests
from workshop.mesh.prometheus import NoPrometheus
from workshop.mesh.promotion import SOURCE
from workshop.mesh.promotion_figures import Asked, NoData, OfPrometheus, OfProxy
from workshop.mesh.promotion_run import Promote
from workshop.mesh.promotion_verdict import Counted, Figures, PromotionStage, Tolerance
from workshop.mesh.proxy_stats import Stats
from workshop.settings import ROOT

ASKED = Asked("bookinfo", "deploy/productpage-v1", "reviews.bookinfo", "details.bookinfo", ("v1", "v3"))
PAGE = "productpage-v1"
DESTINATION_RULES = "/apis/networking.istio.io/v1/namespaces/bookinfo/destinationrules"


def calls(v1: float, v3: float, *, failing: float = 0.0, slow: int = 50) -> dict[str, str]:
    """Requests a second from productpage, of which some to v3 fail; and some that are not its own."""
    made = [
        call(v1, PAGE, destination="reviews-v1", service="reviews", version="v1", slow=50),
        call(v3 - failing, PAGE, destination="reviews-v3", service="reviews", version="v3", slow=slow),
        call(failing, PAGE, destination="reviews-v3", service="reviews", version="v3", code="500"),
        call(v1 + v3, PAGE, destination="details-v1", service="details"),
        call(99, "fortio", destination="reviews-v1", service="reviews"),
        call(99, PAGE, destination="other-v1", service="reviews-archive"),
    ]
    return {name: notation for one in made for name, notation in one.items()}


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BehindApi]:
    async with behind_api(of_samples(calls(76, 4), NOW)) as made:
        made.lists[DESTINATION_RULES] = [obj for obj in rules() if obj["kind"] == "DestinationRule"]
        yield made


def readings(api: BehindApi, folder: Path, asked: Asked = ASKED) -> OfPrometheus:
    return OfPrometheus(Recorded(api.kubectl(folder)), asked)


async def between(api: BehindApi, folder: Path, series: dict[str, str]) -> Stats:
    """What was counted in the minute before NOW."""
    found = []
    for moment in (NOW - 60, NOW):
        api.prometheus = of_samples(series, moment)
        found.append(await readings(api, folder).read())
    return found[1] - found[0]


async def test_versions_are_the_subsets_and_what_was_counted_is_exact(api: BehindApi, tmp_path: Path) -> None:
    counted = await between(api, tmp_path, calls(76, 4, failing=1))
    v1, v3 = (Counted.of(counted.of("reviews.bookinfo", subset)) for subset in ("v1", "v3"))
    assert (v1.calls, v1.answers, v1.errors) == (76 * 60, 76 * 60, 0)
    assert (v3.calls, v3.answers, v3.errors) == (240, 240, 60)
    assert Counted.of(counted.of("details.bookinfo")).calls == 80 * 60
    assert {bound: count for bound, count in v1.times if count} == {0.05: 76 * 60}
    assert v1.times[-1][0] == math.inf


async def test_a_version_that_was_never_called_has_nought_and_calls_to_none_count_elsewhere(
    api: BehindApi, tmp_path: Path
) -> None:
    """No pod was ready: the metrics do not say whose they were."""
    nowhere = call(4, PAGE, destination="unknown", service="reviews", code="503", flags="UH")
    counted = await between(
        api, tmp_path, {**call(76, PAGE, destination="reviews-v1", service="reviews"), **nowhere}
    )
    assert Counted.of(counted.of("reviews.bookinfo", "v3")) == Counted()
    assert counted.of("reviews.bookinfo", "unknown").answers == {"5xx": 240}


async def test_who_got_no_answer_is_an_error(api: BehindApi, tmp_path: Path) -> None:
    cut = call(2, PAGE, destination="reviews-v3", service="reviews", version="v3", code="0", flags="DC")
    counted = await between(api, tmp_path, {**calls(76, 2), **cut})
    v3 = Counted.of(counted.of("reviews.bookinfo", "v3"))
    assert (v3.calls, v3.answers, v3.errors) == (240, 120, 120)


async def test_a_reading_is_of_a_look_after_it_was_asked_for(api: BehindApi, tmp_path: Path) -> None:
    """By Prometheus' own clock: 9 s after its last look, and then after the next one."""
    older, newer = of_samples(calls(76, 4), NOW + 9), of_samples(calls(76, 4), NOW + 10)
    late = {name: f"{notation[:-2]}x12" for name, notation in calls(76, 4).items()}
    newest, asked = of_samples(late, NOW + 15), list[str]()

    async def answering(request: web.Request) -> web.StreamResponse:
        asked.append(request.query["query"])
        looks = sum("timestamp(" in query for query in asked)
        return await (older if looks < 2 else newer if looks < 4 else newest)(request)

    api.prometheus = answering
    read = readings(api, tmp_path)
    counted = await read.read()
    assert counted.of("reviews.bookinfo", "v1").requests == 76 * 135, "that of the look at 135 s"
    assert sum("timestamp(" in query for query in asked) == 4
    waits = [event for event in read._run.events if hasattr(event, "missing")]  # type: ignore[attr-defined]
    assert [wait.missing for wait in waits] == ["it is 9 s behind"] * 3


@pytest.mark.parametrize(
    ("v1", "v3", "more", "kind", "reason"),
    [
        (75, 25, {}, "pass", "split, errors and P99 are good"),
        (75, 25, {"failing": 25.0}, "fail", "errors: calls to v3 that failed: 100.0% of 1,500"),
        (75, 25, {"slow": 2500}, "fail", "P99: calls to v3 slower than 100 ms: 100.0% of 1,500"),
        (90, 10, {}, "fail", "split: v3 got 10.0% of the calls instead of 25 %"),
        (1, 1 / 3, {}, "inconclusive", "no data: 80 calls were counted, "),
    ],
)
async def test_the_verdicts_are_the_same(
    api: BehindApi, tmp_path: Path, v1: float, v3: float, more: dict[str, float], kind: str, reason: str
) -> None:
    counted = await between(api, tmp_path, calls(v1, v3, **more))  # type: ignore[arg-type]
    stable, candidate, control = (
        Counted.of(counted.of(*which))
        for which in (("reviews.bookinfo", "v1"), ("reviews.bookinfo", "v3"), ("details.bookinfo",))
    )
    stage = PromotionStage(25, "v1", "v3", Tolerance(0.05, 2))
    verdict = stage.judge(Figures(stable, candidate, 0, 60.0, control))
    assert verdict.kind == kind, verdict.reason
    assert verdict.reason.startswith(reason)


async def test_without_what_it_needs_there_is_no_data(
    api: BehindApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workshop.mesh.promotion_figures._LOOKED", 0.0)
    with pytest.raises(NoData, match=r"it has no calls of deploy/other to reviews.bookinfo"):
        await readings(api, tmp_path, replace(ASKED, caller="deploy/other")).read()
    with pytest.raises(NoData, match="what the subset erring is"):
        await readings(api, tmp_path, replace(ASKED, subsets=("v1", "erring"))).read()
    api.prometheus = silent
    with pytest.raises(NoData, match=r"Prometheus: .*no endpoints available"):
        await readings(api, tmp_path).read()


async def silent(request: web.Request) -> web.StreamResponse:
    return refusal(503, "ServiceUnavailable", 'no endpoints available for service "prometheus"')


async def none(request: web.Request) -> web.StreamResponse:
    return refusal(404, "NotFound", 'services "prometheus" not found')


def promoting(api: BehindApi, folder: Path, **options: str) -> tuple[Promote, Recorded]:
    run = Recorded(api.kubectl(folder), Manifests(ROOT / "labs", {}), options={"promote": "v3", **options})
    stage = REVIEWS.custom_stage(run)
    assert stage
    assert isinstance(stage.step, Promote)
    return stage.step, run


async def test_without_prometheus_nothing_is_looked_at_or_moved(api: BehindApi, tmp_path: Path) -> None:
    api.prometheus = none
    step, run = promoting(api, tmp_path, source="prometheus")
    with pytest.raises(NoPrometheus) as refused:
        await step.check(run)
    assert (refused.value.exit_status, refused.value.next_command) == (2, "invoke lab.istio.observe")
    step, run = promoting(api, tmp_path)
    assert isinstance(step.readings(run), OfProxy), "which needs none"


async def test_how_a_person_reads_the_same(api: BehindApi, tmp_path: Path) -> None:
    step, run = promoting(api, tmp_path, source="prometheus")
    reading = step.readings(run)
    assert reading.asked == ASKED
    commands = step.explain(run).commands
    typed = [command for command in commands if "get --raw" in command]
    assert len(typed) == 2 * len(step.stages)
    assert "query=sum+by+%28destination_service" in typed[0]


def test_a_source_is_one_of_two() -> None:
    assert SOURCE.of({}) == "proxy"
    assert SOURCE.problem("prometheus") == SOURCE.problem("proxy") == ""
    assert SOURCE.problem("grafana") == "it is proxy or prometheus"
    assert SOURCE in PROMOTION.options

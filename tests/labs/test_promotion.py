"""The guarded promotion on the sandbox: a good version, an erring and a slow one, missing data, an interruption.

What only one lab's step does is run without the labs that it needs: they would repair what a test breaks, and their
checks take time.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from labs.istio import canary
from tests.kit.engine import FakeGate, FakeGuard
from tests.kit.heard import Heard
from tests.kit.in_process import bring_all
from tests.kit.workshop import BIN, HANGS, Workshop, until
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests
from workshop.mesh.promotion_verdict import PromotionStage, Tolerance
from workshop.runbook import events
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.settings import ROOT

FEW_CALLS = "25,100"
"""Stages. At 5 %, the default's first one, twice as many calls tell a bad version, five times as many a good."""
TRIED = "deployments,services,virtualservices,destinationrules -n bookinfo -l workshop/lab=istio.canary -o name"


@pytest.fixture(scope="module")
def at_v1(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    bring_all(workshop, "istio.gateway")
    workshop.converge("lab.istio.canary", "--to", "v1")
    return workshop


@dataclass
class Promoted(Heard):
    status: int = -1
    events: list[events.Event] = field(default_factory=list)

    def between(self, verdict: str, told: str) -> list[str]:
        """What was run from a measurement with that title to the line that begins so."""
        first = self.events.index(next(event for event in self.of(events.Measured) if verdict in event.title))
        last = self.events.index(next(event for event in self.of(events.Told) if event.text.startswith(told)))
        run = [event for event in self.events[first:last] if isinstance(event, events.Command)]
        return [next(word for word in event.argv[1:] if not word.startswith("-")) for event in run]

    @property
    def measured(self) -> list[tuple[str, str]]:
        return [(event.title, event.verdict.kind) for event in self.of(events.Measured)]

    @property
    def verdicts(self) -> list[str]:
        return [event.verdict.reason for event in self.of(events.Measured)]

    @property
    def reason(self) -> str:
        """Of the roll-back."""
        finished = self.of(events.StepFinished)
        assert finished[-1].verdict, finished[-1]
        assert finished[-1].undone
        assert not finished[-1].verdict.measurements
        return finished[-1].verdict.reason

    @property
    def written(self) -> list[str]:
        """Kind and name of what was applied, in order."""
        documents: list[dict[str, Any]] = []
        for event in self.of(events.Command):
            if "apply" in event.argv:
                documents += yaml.safe_load_all(event.stdin)
        return [f"{one['kind']} {one['metadata']['name']}" for one in documents]


def kubectl_of(workshop: Workshop) -> Kubectl:
    return Kubectl(BIN / "kubectl", workshop.state / "sandbox" / "kubeconfig", "primary", workshop.state / "cache")


IMAGES = yaml.safe_load((ROOT / "config" / "sandbox.yaml").read_text())["images"]


async def promote(workshop: Workshop, name: str, **options: str) -> Promoted:
    """As the engine runs it, with the canary's lab alone in the runbook."""
    toolbox: dict[type, object] = {
        Kubectl: kubectl_of(workshop),
        Manifests: Manifests(ROOT / "labs", IMAGES),
    }
    lab = replace(canary.LAB, needs=())
    asked = {"promote": name, **{key.replace("_", "-"): value for key, value in options.items()}}
    promoted = Promoted()
    request = Request((lab.name,), options={lab.name: asked})
    job = Job(Runbook((lab,)), request, toolbox, promoted.events.append, "sandbox")
    promoted.status = await execute(job, FakeGuard(), FakeGate())
    return promoted


async def weights(workshop: Workshop) -> dict[str, int]:
    live = await kubectl_of(workshop).get_json("virtualservice", "reviews", "-n", "bookinfo")
    return {one["destination"]["subset"]: one["weight"] for one in live["spec"]["http"][0]["route"]}


def watching(workshop: Workshop) -> subprocess.Popen[str]:
    """Each state of the split, as it is written: asking again and again takes the machine from its writer."""
    kubectl, what = kubectl_of(workshop), "virtualservice reviews -n bookinfo --watch -o json"
    place = ("--kubeconfig", kubectl.kubeconfig, "--context", kubectl.context, f"--request-timeout={HANGS}s")
    return subprocess.Popen([BIN / "kubectl", "get", *what.split(), *place], text=True, stdout=subprocess.PIPE)


async def names(workshop: Workshop) -> Sequence[str]:
    return sorted((await kubectl_of(workshop).call("get", *TRIED.split())).split())


ALONE = [
    *(
        f"destinationrule.networking.istio.io/{service}"
        for service in ("details", "productpage", "ratings", "reviews")
    ),
    "virtualservice.networking.istio.io/reviews",
]


@pytest.mark.parametrize(
    ("name", "stages", "percent", "decided"),
    [
        (
            *("erring", {}, 5),
            r"errors: calls to erring that failed: 100.0% of \d+ against the stable version's 0.0% of \d+",
        ),
        (
            *("slow", {"promote_stages": FEW_CALLS}, 25),
            r"P99: calls to slow slower than \d+ ms: (9\d|100)\.\d% of \d+ against",
        ),
    ],
)
async def test_a_bad_version_is_rolled_back_at_once(
    at_v1: Workshop, name: str, stages: dict[str, str], percent: int, decided: str
) -> None:
    await kubectl_of(at_v1).call("delete", "virtualservice", "reviews", "-n", "bookinfo")  # all versions in turn
    promoted = await promote(at_v1, name, **stages)
    assert promoted.status == 1, promoted.events[-1]
    expected = [(f"{percent} % of the calls to {name}", "fail"), ("after the roll-back", "pass")]
    assert promoted.measured == expected, promoted.verdicts
    assert re.match(rf"rolled back to v1: at {percent} %: {decided}", promoted.reason), promoted.reason
    # One write, and nothing before it: how long that takes is for the machine to say (0.2 s on a quiet one).
    assert promoted.between(f"calls to {name}", "rolled back to v1 ") == ["apply"]
    assert promoted.written[0] == "VirtualService reviews"  # before there is anything to be sent to
    assert promoted.written[-1] == "VirtualService reviews"
    assert f"Deployment reviews-{name}" in promoted.written
    assert await weights(at_v1) == {"v1": 100}
    assert await names(at_v1) == ALONE
    ended = promoted.events[-1]
    assert isinstance(ended, events.RunFinished)
    seen, good, *_, back = [f"{hint.kind} {hint.what} {hint.about}" for hint in ended.hints]
    assert re.fullmatch(r"open http://\S+/productpage .*100 % v1, no stars", seen)
    assert good.startswith("try invoke lab.istio.canary --promote v3 ")
    assert back.startswith("undo invoke lab.istio.canary --undo ")
    assert not ended.resume  # which would end the same


async def test_a_killed_promotion_is_off_the_path_and_the_next_run_begins_at_v1(at_v1: Workshop) -> None:
    process = at_v1.start("lab.istio.canary", "--promote", "slow")
    watch = watching(at_v1)
    try:
        assert '"slow"' in await asyncio.to_thread(until, watch, '"subset": "slow"')
    finally:
        process.kill()
        watch.kill()
        watch.communicate()
    process.communicate()
    assert len(await names(at_v1)) == len(ALONE) + 4
    planned = at_v1.converge("lab.istio.canary", "--plan").said
    assert "off the path" in planned
    for left in ("Deployment bookinfo/reviews-slow", "Service bookinfo/ratings-slow"):
        assert f"- {left}" in planned
    at_v1.converge("lab.istio.canary", "--to", "v1")
    assert await weights(at_v1) == {"v1": 100}
    assert await names(at_v1) == ALONE


def test_a_good_version_gets_all_requests_and_is_where_the_lab_ends(at_v1: Workshop) -> None:
    ran = at_v1.converge("lab.istio.canary", "--promote", "v3", "--promote-stages", "25,75,100")
    for percent in (25, 75, 100):
        assert re.search(rf"measured +2 {percent} % of the calls to v3", ran.said)
    assert ran.said.count("split, errors and P99 are good") == 3
    assert "v3 has all requests, and was no worse than v1 at any stage" in ran.said
    assert set(at_v1.converge("lab.istio.canary").outcomes) == {"unchanged"}
    again = at_v1.converge("lab.istio.canary", "--promote", "v3")
    assert set(again.outcomes) == {"unchanged"}
    assert "v3 has all requests already" in again.said


async def test_ctrl_c_rolls_back_and_says_so(at_v1: Workshop) -> None:
    at_v1.converge("lab.istio.canary", "--to", "v1")
    process = at_v1.start("lab.istio.canary", "--promote", "v3", "--promote-stages", "25,50,100")
    said = await asyncio.to_thread(until, process, "25 % of the calls")
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=HANGS)[0]
    assert process.returncode == 130, said
    assert re.search(r"rolled back to v1 \d\.\d\d s after the interruption", said)
    assert "interrupted, and taken back" in said
    assert "~ VirtualService" not in said
    assert await weights(at_v1) == {"v1": 100}


def test_without_prometheus_a_promotion_by_it_is_refused(at_v1: Workshop) -> None:
    ran = at_v1.run("lab.istio.canary", "--promote", "v3", "--source", "prometheus")
    assert ran.status == 2
    assert "there is no Service istio-system/prometheus" in ran.unfolded
    assert "next invoke lab.istio.observe" in ran.unfolded


PROMETHEUS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: prometheus, namespace: istio-system}
data:
  prometheus.yml: |
    global: {scrape_interval: 5s, scrape_timeout: 5s}
    scrape_configs:
    - job_name: kubernetes-pods
      honor_labels: true
      kubernetes_sd_configs: [{role: pod}]
      relabel_configs:
      - {action: keep, source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true"}
      - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], target_label: __metrics_path__}
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        separator: ":"
        target_label: __address__
---
apiVersion: v1
kind: Service
metadata: {name: prometheus, namespace: istio-system}
spec: {selector: {app: prometheus}, ports: [{name: http, port: 9090}]}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus, namespace: istio-system, labels: {app: prometheus, sidecar.istio.io/inject: "false"}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: prometheus
    image: prom/prometheus:v3.7.3
    args: [--config.file=/etc/config/prometheus.yml]
    volumeMounts: [{name: config, mountPath: /etc/config}]
  volumes: [{name: config, configMap: {name: prometheus}}]
"""
"""As small as it can be, under the names of Istio's add-on."""


@pytest.fixture(scope="module")
def measured(at_v1: Workshop) -> Iterator[Workshop]:
    """With a Prometheus that looks each five seconds: a busy machine answers it in three."""
    at_v1.converge("lab.istio.canary", "--to", "v1")
    at_v1.by_hand(f"kubectl apply -f - <<'EOF'\n{PROMETHEUS}EOF\n")
    at_v1.by_hand("kubectl wait pod prometheus -n istio-system --for=condition=Ready --timeout=300s")
    yield at_v1
    at_v1.by_hand("kubectl delete pod,service,configmap prometheus -n istio-system")


@pytest.mark.slow
async def test_prometheus_figures_roll_a_bad_version_back(measured: Workshop) -> None:
    promoted = await promote(measured, "erring", source="prometheus", promote_stages=FEW_CALLS)
    assert promoted.status == 1, promoted.events[-1]
    expected = [("25 % of the calls to erring", "fail"), ("after the roll-back", "pass")]
    assert promoted.measured == expected, promoted.verdicts
    decided = (
        r"at 25 %: errors: calls to erring that failed: 100.0% of [\d,]+ "
        r"against the stable version's 0.0% of [\d,]+"
    )
    assert re.match(f"rolled back to v1: {decided}", promoted.reason), promoted.reason
    assert promoted.between("calls to erring", "rolled back to v1 ") == ["apply"]
    assert await weights(measured) == {"v1": 100}
    assert await names(measured) == ALONE


@pytest.mark.slow
async def test_prometheus_figures_promote_a_good_version_and_count_each_call_once(measured: Workshop) -> None:
    promoted = await promote(measured, "v3", source="prometheus", promote_stages=FEW_CALLS)
    assert promoted.status == 0, promoted.verdicts
    assert promoted.measured == [(f"{percent} % of the calls to v3", "pass") for percent in (25, 100)]
    stages = [event.verdict.measurements[0] for event in promoted.of(events.Measured)]
    assert all(stage.errors == 0 for stage in stages)
    requests = [PromotionStage(percent, "v1", "v3", Tolerance(0.05, 2)).requests for percent in (25, 100)]
    for stage, sent in zip(stages, requests, strict=True):
        assert sent <= stage.samples < 1.5 * sent, "each call once; a page that waits too long calls again"
    assert await weights(measured) == {"v3": 100}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--promote", "v3", "--to", "v1"), "use --to with a stage of your own"),
        (("--promote", "v3", "--promote-stages", "5,25"), "the last stage must be 100, not 25"),
    ],
)
def test_what_makes_no_promotion_is_refused(at_v1: Workshop, words: tuple[str, ...], reason: str) -> None:
    ran = at_v1.run("lab.istio.canary", *words)
    assert ran.status == 2
    assert reason in re.sub(r"\s+", " ", ran.said)


async def test_without_data_nothing_moves_and_it_is_inconclusive(at_v1: Workshop) -> None:
    """The last one: productpage's pod is another one afterwards, whose proxy counts nothing."""
    kubectl = kubectl_of(at_v1)
    annotations = {"proxy.istio.io/config": None}
    patch = json.dumps({"spec": {"template": {"metadata": {"annotations": annotations}}}})
    await kubectl.call("patch", "deployment", "productpage-v1", "-n", "bookinfo", "-p", patch)
    await kubectl.call("rollout", "status", "deployment/productpage-v1", "-n", "bookinfo", "--timeout=300s")
    promoted = await promote(at_v1, "erring")
    assert promoted.status == 3
    assert promoted.reason.startswith("rolled back to v1: at 5 %: no data: it has none of destinations")
    assert "annotation proxy.istio.io/config lacks proxyStatsMatcher" in promoted.reason
    assert promoted.measured[0] == ("5 % of the calls to erring", "inconclusive")
    assert await weights(at_v1) == {"v1": 100}
    assert await names(at_v1) == ALONE

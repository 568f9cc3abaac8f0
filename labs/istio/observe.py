"""A mesh sees every request, so it can tell who calls whom, how often, how long that takes
and how much of it fails, and no service is touched for it. Every proxy counts; Prometheus
collects what they count, Grafana draws it over time, Kiali as a graph of the mesh. A trace
follows one request through all services: each proxy tells of its part, Jaeger puts the
parts together. Which share of requests is traced is for a Telemetry resource to say, and
where the parts go for the mesh's configuration; the services only hand on the headers that
say what belongs together.

Istio's releases bring all four as add-ons: `kubectl apply -f samples/addons`, and then
`istioctl dashboard kiali`. They are for trying out: what they know is gone with their pods,
and whoever reaches them may look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.istio.stars import STARS_TELL
from workshop.kubernetes.ingress import through_ingress
from workshop.kubernetes.stages import Stage, stage
from workshop.mesh.addons import AddonStages
from workshop.mesh.tracing_provider import Provider
from workshop.runbook import Lab
from workshop.runbook.options import Number
from workshop.traffic.probe import Category, Probe

if TYPE_CHECKING:
    from workshop.kubernetes.proofs import Proof
    from workshop.runbook.run import Run

SAMPLING = Number("sampling", "Which percentage of requests is traced; Istio's own default is 1.", "100", low=1)
METRICS = ("prometheus", "grafana", "kiali")


def counted(run: Run) -> tuple[Proof, ...]:
    from workshop.mesh.observed_calls import CountedCalls

    return (CountedCalls("/productpage", "bookinfo", "productpage-v1", "details-v1", "reviews"),)


def traced(run: Run) -> tuple[Proof, ...]:
    from workshop.mesh.observed_trace import Traced

    return (Traced("/productpage", "bookinfo", ("productpage", "reviews", "ratings"), STARS_TELL, SAMPLING),)


OBSERVED = AddonStages(
    "Observe the mesh",
    stage("metrics", "Install Prometheus, Grafana and Kiali: what proxies count", proofs=counted),
    stage(
        "traces",
        "Install Jaeger, and have proxies send it their spans",
        "observe-telemetry.yaml",
        values=(SAMPLING,),
        proofs=traced,
    ),
    stage(
        "gateway",
        "Open a gateway for Kiali",
        "observe-telemetry.yaml",
        "observe-gateway.yaml",
        values=(SAMPLING,),
        proofs=(
            through_ingress(
                Probe("Kiali seen from outside", "/kiali/", (Category("Kiali's page", "(?i)kiali"),), (1.0,)),
                tell=True,
            ),
        ),
    ),
    start=Stage("off", "Remove the add-ons: nobody looks"),
    addons={"metrics": METRICS, "traces": (*METRICS, "jaeger"), "gateway": (*METRICS, "jaeger")},
    provider=Provider("jaeger", "jaeger-collector.istio-system.svc.cluster.local", 4317),
    traced=("traces", "gateway"),
)

LAB = Lab(
    name="istio.observe",
    title="See the mesh: metrics, graph and traces",
    text=__doc__,
    needs=("istio.gateway",),
    apart_from=("istio.canary", "istio.identity", "istio.fault"),  # which send requests to BookInfo as well
    options=(SAMPLING,),
    tries=(("--to traces --sampling 10", "only one request of ten is traced"),),
    parts=(OBSERVED,),
)

"""What all labs of a runbook ask a cluster for, when everything they deploy is there at the same time.

It is read from their own manifests. What Istio adds is its chart's: requests of istiod, of a gateway and of each
sidecar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import ISTIO_NAMESPACE
from workshop.kubernetes.object_steps import Apply
from workshop.kubernetes.other_clusters import OnCluster
from workshop.kubernetes.quantities import Amount, free, requested, total, without_place
from workshop.kubernetes.rollout import containers_wanted
from workshop.mesh.install import Install
from workshop.runbook.model import Runbook, Step, Together
from workshop.runbook.results import Finding
from workshop.runbook.run import Run

ISTIOD, PROXY = Amount(0.5, 2 * 1024**3), Amount(0.1, 128 * 1024**2)
"""What Istio's charts request for istiod (500m, 2Gi) and for each proxy, gateway or sidecar (100m, 128Mi), by
default: shared/real/objects/istio-system-workloads.yaml and pod-ratings.yaml, Istio 1.31.1."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`pods` is what each pod asks for, `namespaces` where they go."""

    pods: tuple[Amount, ...]
    namespaces: frozenset[str]


def wanted(runbook: Runbook, run: Run, cluster: str = "") -> Wanted:
    """On the cluster that labs work on, or on the other one of that name. `run` is any run at the target."""
    pods: dict[tuple[str, str], tuple[Amount, ...]] = {}
    for lab, step in _steps(runbook, cluster):
        if isinstance(step, Install):
            pods[ISTIO_NAMESPACE, ""] = (ISTIOD, PROXY)
        elif isinstance(step, Apply):
            here = run.of_lab(lab)
            for obj in step.declared(here):
                if obj["kind"] == "Deployment":
                    key = obj["metadata"]["namespace"], obj["metadata"]["name"]
                    spec = obj["spec"]
                    own = len(spec["template"]["spec"]["containers"])
                    added = max(containers_wanted(step.ready) - own, 0) if step.ready else 0
                    one = requested(spec["template"]) + PROXY.times(added)
                    # A later step may deploy the same with a sidecar.
                    pods[key] = max(pods.get(key, ()), (one,) * spec.get("replicas", 1), key=_cpus)
    return Wanted(tuple(one for each in pods.values() for one in each), frozenset(where for where, _ in pods))


def _cpus(pods: tuple[Amount, ...]) -> float:
    return total(pods).cpus


def _steps(runbook: Runbook, cluster: str) -> Iterator[tuple[str, Step]]:
    """Those on that cluster, without what is around them."""
    for lab in runbook.labs:
        for part in lab.parts:
            for step in part.steps if isinstance(part, Together) else (part,):
                if isinstance(step, Step):
                    where = ""
                    while step.inner is not None:
                        where = step.cluster if isinstance(step, OnCluster) else where
                        step = step.inner
                    if where == cluster:
                        yield lab.name, step


async def finding(row: str, runbook: Runbook, run: Run, cluster: str = "") -> Finding:
    """Whether all labs fit. Raises KubectlError."""
    asked = wanted(runbook, run, cluster)
    kubectl = run.use(Kubectl)
    found = await kubectl.get_items("nodes,pods", "-A", seconds=15)
    nodes = [obj for obj in found if obj["kind"] == "Node"]
    others = [o for o in found if o["kind"] == "Pod" and o["metadata"]["namespace"] not in asked.namespaces]
    left = free(nodes, others)
    said = (
        f"all labs together ask for {total(asked.pods)}; {total(left.values())} of {len(left)} "
        f"node{'' if len(left) == 1 else 's'} are not asked for by others"
    )
    if homeless := without_place(asked.pods, left):
        short = f"{len(homeless)} of {len(asked.pods)} pods would find no node, {total(homeless)} more are needed"
        return Finding(
            row,
            "warn",
            f"{said}: {short}. Add a node, or run only some labs",
            kubectl.typed("kubectl describe nodes"),
        )
    return Finding(row, "ok", said)

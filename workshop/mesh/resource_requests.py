"""What all labs of a runbook ask a cluster for, when everything they deploy is there at the same time.

It is read from their own manifests. What Istio adds is its chart's: requests of istiod, of a gateway and of each
sidecar.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from workshop.kubernetes.cluster_facts import NODES, Everywhere
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import ISTIO_NAMESPACE, Object
from workshop.kubernetes.object_steps import Apply
from workshop.kubernetes.quantities import Amount, free, requested, total, without_place
from workshop.kubernetes.rollout import containers_wanted
from workshop.mesh.install import Install
from workshop.mesh.lab_steps import steps_on
from workshop.runbook.model import Lab
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


def wanted(labs: Iterable[Lab], run: Run, cluster: str = "") -> Wanted:
    """On the cluster that labs work on, or on the other one of that name. `run` is any run at the target."""
    pods: dict[tuple[str, str], tuple[Amount, ...]] = {}
    for lab, step in steps_on(labs, run, cluster, stages=True):
        if isinstance(step, Install):
            pods[ISTIO_NAMESPACE, ""] = (ISTIOD, PROXY)
        elif isinstance(step, Apply):
            objects = step.declared(run.of_lab(lab))
            for obj in objects:
                if obj["kind"] == "Deployment":
                    key = obj["metadata"]["namespace"], obj["metadata"]["name"]
                    spec = obj["spec"]
                    own = len(spec["template"]["spec"]["containers"])
                    added = max(containers_wanted(step.ready) - own, 0) if step.ready else 0
                    one = requested(spec["template"]) + PROXY.times(added)
                    # A later step may deploy the same with a sidecar.
                    pods[key] = max(pods.get(key, ()), (one,) * _replicas(obj, objects), key=_cpus)
    return Wanted(tuple(one for each in pods.values() for one in each), frozenset(where for where, _ in pods))


def _replicas(deployment: Object, objects: Iterable[Object]) -> int:
    """How many pods it has at least: where it does not say, an autoscaler may."""
    least = [
        obj["spec"].get("minReplicas", 1)
        for obj in objects
        if obj["kind"] == "HorizontalPodAutoscaler"
        and obj["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    ]
    replicas: int = deployment["spec"].get("replicas", max(least, default=1))
    return replicas


def _cpus(pods: tuple[Amount, ...]) -> float:
    return total(pods).cpus


async def finding(row: str, labs: Iterable[Lab], run: Run, cluster: str = "") -> Finding:
    """Whether all of these labs fit. Raises KubectlError."""
    asked, kubectl = wanted(labs, run, cluster), run.use(Kubectl)
    nodes, pods = await asyncio.gather(run.observe(NODES), run.observe(Everywhere("Pod")))
    left = free(nodes, [pod for pod in pods if pod["metadata"]["namespace"] not in asked.namespaces])
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

"""The steps of labs as they are on one of a target's clusters: what is to be known of them before any of them
runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workshop.kubernetes.other_clusters import IfCluster, OnCluster, OtherClusters
from workshop.runbook.model import Lab, Part, Step, Timeline, Together
from workshop.runbook.run import Run


def steps_on(
    labs: Iterable[Lab], run: Run, cluster: str = "", *, stages: bool = False
) -> Iterator[tuple[str, Step]]:
    """Those on the cluster of that name (empty: where labs work), each with its lab and without what is around it;
    with `stages`, also that of each stage of what moves through several. `run` is any run at the target."""
    for lab in labs:
        for part in lab.parts:
            for step in _steps_of(part, run.of_lab(lab.name), stages):
                inner, where = _inner(step, run)
                if inner is not None and where == cluster:
                    yield lab.name, inner


def _steps_of(part: Part, run: Run, stages: bool) -> Iterable[Step]:
    if isinstance(part, Together):
        return part.steps
    if isinstance(part, Timeline):
        return (part.step(stage, run) for stage in part.stages) if stages else ()
    return (part,)


def _inner(step: Step, run: Run) -> tuple[Step | None, str]:
    """What it is about, and on which cluster; None where it is left out on this target."""
    where, others = "", run.toolbox.get(OtherClusters)
    while step.inner is not None:
        if isinstance(step, OnCluster):
            where = step.cluster
        elif (
            isinstance(step, IfCluster)
            and isinstance(others, OtherClusters)
            and step.cluster not in others.clusters
        ):
            return None, ""
        step = step.inner
    return step, where

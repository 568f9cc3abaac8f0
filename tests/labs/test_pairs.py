"""Labs beside each other: each ends the same on its own from an empty cluster and after each other one.

What a lab ends with are the objects that carry its label or that of a lab it needs. The pairs are walked in one
cluster, so that each lab is run right after each other one; all that the others have left is there as well.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from labs import RUNBOOK
from tests.kit.in_process import LABS, converge_here, run_here
from tests.kit.workshop import Cluster, Ran, Workshop
from workshop.runbook.model import Lab, Timeline

pytestmark = pytest.mark.slow

SHARING = ("istio.canary", "istio.identity")
"""Labs that move the same objects, and are quick. Istio's other labs are with `-m exhaustive`."""

PLAIN = ("Namespace", "Service", "Deployment", "ConfigMap", "ServiceAccount")
KINDS = frozenset((*PLAIN, "Gateway", "VirtualService", "DestinationRule", "ServiceEntry"))
State = dict[str, Any]


def ends_with(workshop: Workshop, lab: Lab) -> State:
    """The objects of the lab and of what it needs, without what is different each time."""
    names = {other.name for other in RUNBOOK.with_needs((lab.name,))}
    found: State = {}
    for context in ("primary", "secondary"):
        cluster = Cluster(workshop.state / "sandbox" / "kubeconfig", context)
        for kind, item in cluster.items(KINDS.__contains__):
            metadata = item["metadata"]
            labels = metadata.get("labels", {})
            if labels.get("app.kubernetes.io/part-of") == "mesh-workshop" and labels.get("workshop/lab") in names:
                name = f"{context}: {kind} {metadata.get('namespace', '')}/{metadata['name']}"
                found[name] = {"labels": labels, "spec": _lasting(item)}
    return found


def _lasting(item: dict[str, Any]) -> Any:
    """The spec without addresses that a cluster hands out, and times of restarts."""
    spec = dict(item.get("spec", item.get("data", {})))
    for key in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
        spec.pop(key, None)
    template = spec.get("template", {}).get("metadata", {})
    template.get("annotations", {}).pop("kubectl.kubernetes.io/restartedAt", None)
    for port in spec.get("ports", ()):
        port.pop("nodePort", None)
    return spec


def straight_to_its_end(workshop: Workshop, lab: Lab) -> Ran:
    """Where a lab ends depends neither on the stages between nor on proofs."""
    ends = [part.stages[-1] for part in lab.parts if isinstance(part, Timeline)]
    return run_here(workshop, lab.name, to=ends[-1] if ends else None, proofs=False)


def alone(workshop: Workshop, lab: Lab) -> State:
    converge_here(workshop, "istio.cleanup")
    ran = straight_to_its_end(workshop, lab)
    assert ran.status == 0, ran.said
    return ends_with(workshop, lab)


def walk(labs: tuple[Lab, ...]) -> list[Lab]:
    """The labs in an order in which each comes right after each other one: a tour of the complete graph."""
    left = {lab.name: [other for other in labs if other is not lab] for lab in labs}
    stack, tour = [labs[0]], []
    while stack:
        following = left[stack[-1].name]
        if following:
            stack.append(following.pop())
        else:
            tour.append(stack.pop())
    return tour[::-1]


def test_the_walk_has_every_pair() -> None:
    pairs = set(itertools.pairwise(lab.name for lab in walk(LABS)))
    assert pairs == {(one.name, other.name) for one, other in itertools.permutations(LABS, 2)}


@pytest.mark.parametrize(
    "names",
    [
        SHARING,
        pytest.param(tuple(lab.name for lab in LABS), marks=pytest.mark.exhaustive),
    ],
    ids=("sharing", "all"),
)
def test_each_lab_ends_the_same_alone_and_after_each_other_one(workshop: Workshop, names: tuple[str, ...]) -> None:
    labs = tuple(RUNBOOK.lab(name) for name in names)
    workshop.converge("sandbox.up")
    first, *others = walk(labs)
    # The walk's first one last: it goes on from there.
    ends = {lab.name: alone(workshop, lab) for lab in (*(lab for lab in labs if lab is not first), first)}
    assert all(ends.values())
    before = first.name
    for lab in others:
        ran = straight_to_its_end(workshop, lab)
        assert ran.status == 0, f"{lab.name} after {before}:\n{ran.said}"
        assert ends_with(workshop, lab) == ends[lab.name], f"{lab.name} after {before}"
        before = lab.name

"""What labs have to be allowed in a cluster, and whether this user is.

Nobody has listed it: it follows from the labs. The kinds and namespaces are those of the objects that their
steps make, the verbs what the workshop does with objects; where a step installs Istio, the kinds that an
installation is made of come to it. What is run inside of pods, and read from their logs, is in the commands that
a step is explained with; so is what is asked of a Service through the API server. The mark and the lock are in a
namespace of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from workshop.kubernetes.access_reviews import Access, denied
from workshop.kubernetes.cluster_facts import INSTALLED_KINDS
from workshop.kubernetes.cluster_guard import NAMESPACE
from workshop.kubernetes.kinds import KINDS
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import ISTIO_NAMESPACE
from workshop.mesh.install import Install
from workshop.mesh.lab_steps import steps_on
from workshop.runbook.model import Lab
from workshop.runbook.results import Finding
from workshop.runbook.run import Run

_LOOKING = ("get", "list", "watch")
_CHANGING = ("get", "create", "patch", "delete")
_VERBS = (*_LOOKING, *_CHANGING[1:])
"""What is done with what is in a namespace: looked at place by place, watched, applied, and deleted."""
_LOCKING = ("get", "create", "update", "delete")

_BY_HELM = {"Secret": ("update",)}
"""How Helm writes down that a revision has been superseded."""

_BESIDE = {"Deployment": ("Pod",)}
"""Kinds whose objects labs do not make, and look at to see how the others do."""

_INSIDE = {
    "exec": ("create", "pods/exec"),
    "logs": ("get", "pods/log"),
    "port-forward": ("create", "pods/portforward"),
}
"""What kubectl's commands about pods need."""
_ASKED = re.compile(r"\bkubectl get --raw '?/api/v1/namespaces/([^/]+)/services/[^/]+/proxy/")
"""What is asked of a program in the cluster, through the API server."""
_CALLED = re.compile(rf"\bkubectl ({'|'.join(_INSIDE)}) (.*)")
_HOME = re.compile(r"(?:^| )(?:-n|--namespace)[ =](\S+)")

_ROLES = ("ClusterRole", "Role")
_GIVING = tuple(
    Access(KINDS[kind].plural, KINDS[kind].group, verb) for kind in _ROLES for verb in ("bind", "escalate")
)
"""The roles of Istio and its add-ons hold rights of their own: who does not hold all of these may only make the
roles with these verbs."""

_PARTS, _KINDS = 3, 6
"""Shown of what is missing."""


async def rights_of(labs: Sequence[Lab], run: Run, cluster: str = "", *, installs: bool = True) -> list[Access]:
    """What these labs need on the cluster of that name, which `run` is at. Where Istio is there already, none
    `installs` it."""
    found = set(_own())
    for lab, step in steps_on(labs, run, cluster, stages=True):
        here = run.of_lab(lab)
        for subject in await step.made(here):
            kind, _, name = subject.partition(" ")
            if kind in KINDS:  # of another one, a step has no facts, and says so itself
                found |= set(_objects(kind, name.rpartition("/")[0]))
                found |= set(_GIVING if kind in _ROLES else ())
        if isinstance(step, Install) and installs:
            found |= set(_installing())
        for command in step.explain(here).commands:
            found |= set(_inside(command))
    return sorted(found)


def _own() -> Iterator[Access]:
    """To mark a cluster, and to lock it."""
    yield from _objects("Namespace", "")
    for kind, verbs in (("ConfigMap", _CHANGING[:3]), ("Lease", _LOCKING)):
        for verb in verbs:
            yield Access(KINDS[kind].plural, KINDS[kind].group, verb, NAMESPACE)


def _objects(kind: str, namespace: str) -> Iterator[Access]:
    for verb in _VERBS if KINDS[kind].namespaced else _CHANGING:
        yield Access(KINDS[kind].plural, KINDS[kind].group, verb, namespace)
    for verb in _BY_HELM.get(kind, ()):
        yield Access(KINDS[kind].plural, KINDS[kind].group, verb, namespace)
    for beside in _BESIDE.get(kind, ()):
        for verb in _LOOKING:
            yield Access(KINDS[beside].plural, KINDS[beside].group, verb, namespace)


def _installing() -> Iterator[Access]:
    yield from _GIVING
    for kind in INSTALLED_KINDS:
        yield from _objects(kind, ISTIO_NAMESPACE if KINDS[kind].namespaced else "")
        if not KINDS[kind].namespaced:
            yield Access(KINDS[kind].plural, KINDS[kind].group, "list")


def _inside(command: str) -> Iterator[Access]:
    line = command.partition("\n")[0]
    if asked := _ASKED.search(line):
        yield Access("services/proxy", "", "get", asked[1])
    if (called := _CALLED.search(line)) and (home := _HOME.search(called[2].partition(" -- ")[0])):
        verb, resource = _INSIDE[called[1]]
        yield Access(resource, "", verb, home[1])


async def finding(row: str, labs: Sequence[Lab], run: Run, cluster: str = "", *, installs: bool = True) -> Finding:
    """Whether this user may do all of it. Raises KubectlError."""
    kubectl = Kubectl.of(run)
    wanted = await rights_of(labs, run, cluster, installs=installs)
    missing = await denied(kubectl, wanted)
    if not missing:
        return Finding(row, "ok", f"this user may do all {len(wanted)} things that these labs do")
    certain = [each for each in missing if each not in _GIVING]
    command = kubectl.typed((certain or missing)[0].typed)
    if certain:
        return Finding(row, "fail", f"this user may not {said(certain)}", command)
    what = f"this user may not {said(missing)}: refused are roles that hold more than this user's own"
    return Finding(row, "warn", what, command)


def said(missing: Iterable[Access]) -> str:
    """By name: what may not be done, with which kinds, and in which namespaces."""
    verbs: dict[tuple[str, str], tuple[str, ...]] = {}
    for each in missing:
        of = each.named, each.namespace
        verbs[of] = (*verbs.get(of, ()), each.verb)
    homes: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
    for (resource, home), which in verbs.items():
        homes[resource, which] = (*homes.get((resource, which), ()), home)
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (resource, which), there in homes.items():
        kinds.setdefault((which, there), []).append(resource)
    return _some(
        [
            f"{', '.join(which)} {_some(resources, ', ', _KINDS)}"
            + (f" in {', '.join(there)}" if any(there) else "")
            for (which, there), resources in kinds.items()
        ],
        "; ",
        _PARTS,
    )


def _some(words: Sequence[str], between: str, most: int) -> str:
    more = f"{between}and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more

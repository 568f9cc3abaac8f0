"""Istio in the cluster: precheck, install, and away again.

The namespace istio-system gets the workshop's labels before anything is installed into it, and what is in no
namespace afterwards. They say that this Istio is the workshop's: one that was there before is used, and never
uninstalled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.proofs import Proof, all_commands, look_at_all, prove_all
from workshop.mesh.inventory import CONTROL_PLANE, INGRESS, NAMESPACE, Owner, differences, marked, owner
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, HeldUp, Hint, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.mesh.istioctl import Istioctl
    from workshop.runbook.run import Run

Object = dict[str, Any]

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"

_WITHOUT_INGRESS = ("minimal", "empty", "ambient", "remote")


def install(title: str, *, proofs: tuple[Proof, ...] = (), seconds: float = 600.0) -> Step:
    """Install Istio as the target's settings say (version, profile, public or private ingress)."""
    return Install(title, proofs, seconds)


class Install(Step):
    def __init__(self, title: str, proofs: tuple[Proof, ...], seconds: float) -> None:
        self.title, self._proofs, self._seconds = title, proofs, seconds
        self.undo_title = f"Uninstall Istio and delete {NAMESPACE}"

    async def check(self, run: Run) -> Check:
        from workshop.mesh.istioctl import Istioctl

        return Check(tuple(unlike(await _snapshot(run), run.use(Istioctl))))

    async def apply(self, run: Run) -> None:
        try:
            await self._apply(run)
        finally:
            run.facts.forget()  # also what lasts while others apply

    async def _apply(self, run: Run) -> None:
        from workshop.kubernetes import rollout
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.kubernetes.repair import repair
        from workshop.mesh import inventory
        from workshop.mesh.istioctl import Istioctl

        kubectl, istioctl = Kubectl.of(run), Istioctl.of(run)
        await istioctl.precheck()
        snapshot = await _snapshot(run)
        ours = owner(snapshot) is not Owner.OTHERS
        if ours:
            await repair(kubectl, [_namespace(run)], snapshot, seconds=self._seconds)
        for name in _deployments(istioctl):
            live = snapshot.get("Deployment", NAMESPACE, name)
            if live is not None and live["spec"].get("replicas", 1) == 0:
                # istioctl leaves the number to an autoscaler, which leaves none alone.
                await kubectl.call("scale", f"deployment/{name}", "-n", NAMESPACE, "--replicas=1")
        with _arguments(istioctl) as arguments:
            await _install(run, istioctl, arguments, self._seconds)
        await rollout.wait(
            run, kubectl, {(NAMESPACE, name): "" for name in _deployments(istioctl)}, seconds=self._seconds
        )
        if ours:
            await inventory.record(run, kubectl)

    async def verify(self, run: Run) -> Verdict | None:
        from workshop.kubernetes.meanwhile import namespace
        from workshop.mesh.istioctl import Istioctl

        istioctl = Istioctl.of(run)
        versions = await istioctl.versions()
        planes = ", ".join(dict.fromkeys(versions.control_plane)) or "none"
        said = f"istioctl {versions.client}, control plane {planes}"
        if set(versions.control_plane) != {istioctl.version}:
            return Verdict("fail", f"{said}; wanted is {istioctl.version}")
        proven = await prove_all(run, self._proofs, [namespace(NAMESPACE)])
        if proven is None:
            return Verdict("pass", said)
        return Verdict(proven.kind, f"{said}; {proven.reason}", proven.measurements)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, self._proofs)

    async def check_undo(self, run: Run) -> Check:
        from workshop.kubernetes.leaving import waits_for
        from workshop.mesh import leftovers

        snapshot = await _snapshot(run)
        if owner(snapshot) is Owner.OTHERS:
            return Check(note="Istio was there before the workshop")
        namespace = _own_namespace(snapshot)
        left = [Difference(part.subject, "", ABSENT, "present") for part in marked(snapshot)]
        if namespace is not None:
            left.insert(0, Difference(f"Namespace {NAMESPACE}, with Istio", "", ABSENT, waits_for(namespace)))
        if left:
            left += leftovers.found(snapshot)
        return Check(tuple(left))

    async def held_up(self, run: Run) -> HeldUp:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.kubernetes.leaving import held_up

        return await held_up(Kubectl.of(run), [_namespace(run)])

    async def undo(self, run: Run) -> None:
        try:
            await self._undo(run)
        finally:
            run.facts.forget()

    async def _undo(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.mesh import leftovers
        from workshop.mesh.inventory import reference
        from workshop.mesh.istioctl import Istioctl

        own, kubectl = _own_namespace(await _snapshot(run)), Kubectl.of(run)
        await Istioctl.of(run).uninstall(seconds=self._seconds)
        await leftovers.remove(kubectl, NAMESPACE)
        await kubectl.delete([reference(), *([own] if own else [])], wait=False)

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.manifests import LAB
        from workshop.kubernetes.typed import fed
        from workshop.mesh.inventory import marking
        from workshop.mesh.istioctl import Istioctl

        istioctl = run.use(Istioctl)
        operator = _operator(istioctl)
        install = f"istioctl install -y --set profile={istioctl.profile}"
        if operator:
            install = fed("istioctl install -y -f /dev/stdin", [operator])
        kinds, selector = marking()
        mark = f"kubectl label {kinds} {selector} {LAB}={run.lab}"
        # Created, not applied: that fails where an Istio was there before. The labels make it the workshop's, which
        # the clean-up removes.
        own = fed("kubectl create -f -", [_namespace(run)])
        warning = f"# if {NAMESPACE} was there already, stop: that Istio is not the workshop's"
        commands = ("istioctl x precheck", own, warning, install, mark, "istioctl version")
        return Explanation(commands=(*commands, *all_commands(run, self._proofs)))

    def explain_undo(self, run: Run) -> Explanation:
        from workshop.mesh import leftovers

        uninstall, delete = "istioctl uninstall --purge -y", f"kubectl delete namespace {NAMESPACE}"
        return Explanation(commands=(uninstall, *leftovers.typed(NAMESPACE), delete))


async def _snapshot(run: Run) -> Snapshot:
    from workshop.kubernetes.facts import ClusterFacts

    return await run.observe(ClusterFacts())


def _namespace(run: Run) -> Object:
    from workshop.kubernetes.manifests import mark

    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    mark(namespace, run.lab)
    return namespace


def _deployments(istioctl: Istioctl) -> tuple[str, ...]:
    return (CONTROL_PLANE,) if istioctl.profile in _WITHOUT_INGRESS else (CONTROL_PLANE, INGRESS)


def _own_namespace(snapshot: Snapshot) -> Object | None:
    from workshop.kubernetes.manifests import is_ours

    live = snapshot.get("Namespace", "", NAMESPACE)
    return live if live is not None and is_ours(live) else None


def unlike(snapshot: Snapshot, istioctl: Istioctl) -> list[Difference]:
    """What is otherwise than `istioctl` would install it."""
    from workshop.kubernetes import rollout

    found = differences(snapshot, _deployments(istioctl))
    for name in _deployments(istioctl):
        subject, live = f"Deployment {NAMESPACE}/{name}", snapshot.get("Deployment", NAMESPACE, name)
        if live is None:
            continue
        images = [container["image"] for container in live["spec"]["template"]["spec"]["containers"]]
        if name == CONTROL_PLANE and _tag(images[0]) != istioctl.version:
            found.append(
                Difference(subject, "spec.template.spec.containers[0].image", istioctl.version, _tag(images[0]))
            )
        found += rollout.without_pods(live)
        if not rollout.is_complete(live):
            available = live.get("status", {}).get("availableReplicas", 0)
            found.append(
                Difference(subject, "status.availableReplicas", live["spec"].get("replicas", 1), available)
            )
    service = snapshot.get("Service", NAMESPACE, INGRESS)
    if service is not None:
        there = service["metadata"].get("annotations", {}).get(INTERNAL, ABSENT)
        wanted = "true" if istioctl.private_ingress else ABSENT
        if there != wanted and (istioctl.private_ingress or there == "true"):
            found.append(
                Difference(f"Service {NAMESPACE}/{INGRESS}", f"metadata.annotations[{INTERNAL}]", wanted, there)
            )
    return found


def _tag(image: str) -> str:
    """Of "docker.io/istio/pilot:1.31.1" (also with "-distroless" or a digest after it): 1.31.1."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2].removesuffix("-distroless").removesuffix("-debug")


def _operator(istioctl: Istioctl) -> Object | None:
    """What istioctl is to install beyond a profile. In a file, because an annotation has to be text and `--set`
    would make the word `true` a boolean."""
    if not istioctl.private_ingress:
        return None
    gateways = {INGRESS: {"serviceAnnotations": {INTERNAL: "true"}}}
    return {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"name": "private-ingress"},
        "spec": {"profile": istioctl.profile, "values": {"gateways": gateways}},
    }


@contextlib.contextmanager
def _arguments(istioctl: Istioctl) -> Iterator[tuple[str, ...]]:
    """The arguments for `istioctl install`, with the file they may name for as long as it is needed."""
    import tempfile

    from workshop.kubernetes.manifests import as_yaml

    operator = _operator(istioctl)
    if operator is None:
        yield ("--set", f"profile={istioctl.profile}")
        return
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(as_yaml([operator]))
        file.flush()
        yield ("-f", file.name)


async def _install(run: Run, istioctl: Istioctl, arguments: tuple[str, ...], seconds: float) -> None:
    """Run it, and show every second what it said last: it takes minutes on a real cluster."""
    import asyncio
    import time

    from workshop.runbook import events

    said, started = ["its first message"], time.monotonic()
    task = asyncio.create_task(istioctl.install(*arguments, seconds=seconds, on_line=said.append))
    try:
        while not (await asyncio.wait({task}, timeout=1.0))[0]:
            waited = time.monotonic() - started
            run.emit(events.Waiting(run.lab, "istioctl install", f"last said: {said[-1]}", waited, seconds))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    await task

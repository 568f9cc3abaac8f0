"""Istio in the cluster: precheck, install, whether it is whole, and away again.

The namespace istio-system gets the workshop's labels before anything is installed into it, and what is in no
namespace afterwards. They say that this Istio is the workshop's: one that was there before is used, looked at only
for what no lab can do without, and never uninstalled.

**What it is made of.** An installation is some forty objects, half of them in no namespace. Those stay when
somebody deletes the namespace istio-system, and its webhooks then refuse every pod of the mesh, so the clean-up has
to know them. What istioctl has made is written down beside it, in a ConfigMap: it differs from version to version
and by profile, and only so is it seen that something is gone.

**What istioctl leaves.** istiod writes two ConfigMaps into every namespace, and `istioctl uninstall --purge` leaves
them there. They are known by name and label. They go after istiod, which would write them again, and before the
namespace istio-system, whose labels say that this Istio is the workshop's: a clean-up that is killed in between
goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from workshop.kubernetes.manifests import (
    INGRESS_GATEWAY,
    ISTIO_NAMESPACE,
    LAB,
    Object,
    as_yaml,
    is_ours,
    mark,
    name_of,
    namespace_object,
)
from workshop.kubernetes.proofs import Proof, all_commands, look_at_all, prove_all
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Finding, HeldUp, Hint, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Installed, Snapshot
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.mesh.istioctl import Istioctl
    from workshop.runbook.run import Run


CONTROL_PLANE = "istiod"
RECORD = "workshop-installed"
_OBJECTS = "objects"
_INJECTOR, _VALIDATOR = "sidecar-injector.istio.io", "validation.istio.io"
_DEACTIVATED = "istio.io/deactivated"
_CONFIG_MAPS = ("istio-ca-root-cert", "istio-ca-crl")
_CONFIG_SELECTOR = "istio.io/config=true"
_ISTIOD_LEAVES_SECONDS = 120
_SHOWN = 4

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"

_WITHOUT_INGRESS = ("minimal", "empty", "ambient", "remote")


def install(title: str, *, proofs: tuple[Proof, ...] = (), seconds: float = 600.0) -> Step:
    """Install Istio as the target's settings say (version, profile, public or private ingress)."""
    return Install(title, proofs, seconds)


class Install(Step):
    undo_only_deletes = False

    def __init__(self, title: str, proofs: tuple[Proof, ...], seconds: float) -> None:
        self.title, self._proofs, self._seconds = title, proofs, seconds
        self.undo_title = f"Uninstall Istio and delete {ISTIO_NAMESPACE}"

    async def check(self, run: Run) -> Check:
        from workshop.mesh.istioctl import Istioctl

        snapshot = await _snapshot(run)
        if version := installed_version(snapshot):
            _note(run, version)
        return Check(tuple(installation_differences(snapshot, run.use(Istioctl))))

    async def apply(self, run: Run) -> None:
        try:
            await self._apply(run)
        finally:
            run.facts.forget()  # also what lasts while others apply

    async def _apply(self, run: Run) -> None:
        from workshop.kubernetes import rollout
        from workshop.kubernetes.drift import repair
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.mesh.istioctl import Istioctl

        kubectl, istioctl = Kubectl.of(run), Istioctl.of(run)
        await istioctl.precheck()
        snapshot = await _snapshot(run)
        ours = owner(snapshot) is not Owner.OTHERS
        if ours:
            await repair(kubectl, [_namespace(run)], snapshot, seconds=self._seconds)
        for name in _deployments(istioctl):
            live = snapshot.get("Deployment", ISTIO_NAMESPACE, name)
            if live is not None and live["spec"].get("replicas", 1) == 0:
                # istioctl leaves the number to an autoscaler, which leaves none alone.
                await kubectl.call("scale", f"deployment/{name}", "-n", ISTIO_NAMESPACE, "--replicas=1")
        with _arguments(istioctl) as arguments:
            await _install(run, istioctl, arguments, self._seconds)
        await rollout.wait(
            run, kubectl, {(ISTIO_NAMESPACE, name): "" for name in _deployments(istioctl)}, seconds=self._seconds
        )
        if ours:
            await record_parts(run, kubectl)

    async def verify(self, run: Run) -> Verdict | None:
        from workshop.mesh.istioctl import Istioctl

        istioctl = Istioctl.of(run)
        versions = await istioctl.versions()
        planes = ", ".join(dict.fromkeys(versions.control_plane)) or "none"
        _note(run, planes)
        said = f"istioctl {versions.client}, control plane {planes}"
        if set(versions.control_plane) != {istioctl.version}:
            return Verdict("fail", f"{said}; wanted is {istioctl.version}")
        proven = await prove_all(run, self._proofs, [namespace_object(ISTIO_NAMESPACE)])
        if proven is None:
            return Verdict("pass", said)
        return Verdict(proven.kind, f"{said}; {proven.reason}", proven.measurements)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, self._proofs)

    async def check_undo(self, run: Run) -> Check:
        from workshop.kubernetes.deletion import waits_for

        snapshot = await _snapshot(run)
        if owner(snapshot) is Owner.OTHERS:
            return Check(note="Istio was there before the workshop")
        namespace = _own_namespace(snapshot)
        left = [Difference(part.subject, "", ABSENT, "present") for part in marked(snapshot)]
        if namespace is not None:
            left.insert(0, Difference(f"Namespace {ISTIO_NAMESPACE}, with Istio", "", ABSENT, waits_for(namespace)))
        if left:
            left += await left_config_maps(run)
        return Check(tuple(left))

    async def held_up(self, run: Run) -> HeldUp:
        from workshop.kubernetes.deletion import held_up
        from workshop.kubernetes.kubectl import Kubectl

        return await held_up(Kubectl.of(run), [_namespace(run)])

    async def undo(self, run: Run) -> None:
        try:
            await self._undo(run)
        finally:
            run.facts.forget()

    async def _undo(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.mesh.istioctl import Istioctl

        own, kubectl = _own_namespace(await _snapshot(run)), Kubectl.of(run)
        await Istioctl.of(run).uninstall(seconds=self._seconds)
        await remove_config_maps(kubectl, ISTIO_NAMESPACE)
        await kubectl.delete([record_reference(), *([own] if own else [])], wait=False)

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset(map(name_of, (_namespace(run), record_reference())))

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.typed_commands import with_stdin
        from workshop.mesh.istioctl import Istioctl

        istioctl = run.use(Istioctl)
        operator = _operator(istioctl)
        install = f"istioctl install -y --set profile={istioctl.profile}"
        if operator:
            install = with_stdin("istioctl install -y -f /dev/stdin", [operator])
        kinds, selector = marking()
        mark = f"kubectl label {kinds} {selector} {LAB}={run.lab}"
        # Created, not applied: that fails where an Istio was there before. The labels make it the workshop's, which
        # the clean-up removes.
        own = with_stdin("kubectl create -f -", [_namespace(run)])
        warning = f"# if {ISTIO_NAMESPACE} was there already, stop: that Istio is not the workshop's"
        commands = ("istioctl x precheck", own, warning, install, mark, "istioctl version")
        return Explanation(commands=(*commands, *all_commands(run, self._proofs)))

    def explain_undo(self, run: Run) -> Explanation:
        uninstall, delete = "istioctl uninstall --purge -y", f"kubectl delete namespace {ISTIO_NAMESPACE}"
        return Explanation(commands=(uninstall, *config_map_commands(ISTIO_NAMESPACE), delete))


def _note(run: Run, version: str) -> None:
    """For the record."""
    from workshop.runbook import events

    run.emit(events.Found(run.lab, f"Istio, {run.place}" if run.place else "Istio", version))


async def _snapshot(run: Run) -> Snapshot:
    from workshop.kubernetes.cluster_facts import look_at_installation

    return await look_at_installation(run)


def _namespace(run: Run) -> Object:
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ISTIO_NAMESPACE}}
    mark(namespace, run.lab)
    return namespace


def _deployments(istioctl: Istioctl) -> tuple[str, ...]:
    return (CONTROL_PLANE,) if istioctl.profile in _WITHOUT_INGRESS else (CONTROL_PLANE, INGRESS_GATEWAY)


def _own_namespace(snapshot: Snapshot) -> Object | None:
    live = snapshot.get("Namespace", "", ISTIO_NAMESPACE)
    return live if live is not None and is_ours(live) else None


def installation_differences(snapshot: Snapshot, istioctl: Istioctl) -> list[Difference]:
    """What is otherwise than `istioctl` would install it."""
    from workshop.kubernetes import rollout

    found = missing_parts(snapshot, _deployments(istioctl))
    for name in _deployments(istioctl):
        subject, live = f"Deployment {ISTIO_NAMESPACE}/{name}", snapshot.get("Deployment", ISTIO_NAMESPACE, name)
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
    service = snapshot.get("Service", ISTIO_NAMESPACE, INGRESS_GATEWAY)
    if service is not None:
        there = service["metadata"].get("annotations", {}).get(INTERNAL, ABSENT)
        wanted = "true" if istioctl.private_ingress else ABSENT
        if there != wanted and (istioctl.private_ingress or there == "true"):
            found.append(
                Difference(
                    f"Service {ISTIO_NAMESPACE}/{INGRESS_GATEWAY}",
                    f"metadata.annotations[{INTERNAL}]",
                    wanted,
                    there,
                )
            )
    return found


async def is_provided(run: Run) -> bool:
    """Whether there is an Istio that others have installed, as labs want it: they install none then. Raises
    KubectlError."""
    from workshop.mesh.istioctl import Istioctl

    snapshot = await _snapshot(run)
    return owner(snapshot) is Owner.OTHERS and not installation_differences(snapshot, run.use(Istioctl))


def installed_version(snapshot: Snapshot) -> str:
    """Of the control plane; empty where there is none."""
    live = snapshot.get("Deployment", ISTIO_NAMESPACE, CONTROL_PLANE)
    return _tag(live["spec"]["template"]["spec"]["containers"][0]["image"]) if live else ""


def _tag(image: str) -> str:
    """Of "docker.io/istio/pilot:1.31.1" (also with "-distroless" or a digest after it): 1.31.1."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2].removesuffix("-distroless").removesuffix("-debug")


def _operator(istioctl: Istioctl) -> Object | None:
    """What istioctl is to install beyond a profile. In a file, because an annotation has to be text and `--set`
    would make the word `true` a boolean."""
    if not istioctl.private_ingress:
        return None
    gateways = {INGRESS_GATEWAY: {"serviceAnnotations": {INTERNAL: "true"}}}
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


class Owner(Enum):
    NOBODY = "there is none"
    WORKSHOP = "the workshop's"
    OTHERS = "it was there before the workshop"


def owner(snapshot: Snapshot) -> Owner:
    """Of the Istio that is there, or of what is left of it."""
    namespace = snapshot.get("Namespace", "", ISTIO_NAMESPACE)
    if marked(snapshot) or (namespace is not None and is_ours(namespace)):
        return Owner.WORKSHOP
    there = snapshot.istio or snapshot.installed or snapshot.get("Deployment", ISTIO_NAMESPACE, CONTROL_PLANE)
    return Owner.OTHERS if there else Owner.NOBODY


def marked(snapshot: Snapshot) -> list[Installed]:
    """What the workshop's Istio has outside of any namespace."""
    return [part for part in snapshot.installed if part.cluster_wide and part.lab]


def missing_parts(snapshot: Snapshot, deployments: tuple[str, ...]) -> list[Difference]:
    """What is not there of an Istio with these Deployments; how they are is not looked at."""
    found = [*_unlike_record(snapshot), *_unmarked(snapshot)]
    named = {difference.subject for difference in found}
    for name in deployments:
        for kind in ("Deployment", "Service"):
            subject = f"{kind} {ISTIO_NAMESPACE}/{name}"
            if subject not in named and snapshot.get(kind, ISTIO_NAMESPACE, name) is None:
                found.append(Difference(subject, "", "present", ABSENT))
    if not snapshot.istio:
        found.append(Difference("Istio's kinds (VirtualService and others)", "", "present", ABSENT))
    for kind, webhook, does in (
        ("MutatingWebhookConfiguration", _INJECTOR, "injects sidecars"),
        ("ValidatingWebhookConfiguration", _VALIDATOR, "validates rules"),
    ):
        if not any(name.startswith(f"{kind} ") for name in named) and not _answered(snapshot, kind, webhook):
            found.append(Difference(f"{kind} that {does}", "", "present", ABSENT))
    return found


def _answered(snapshot: Snapshot, kind: str, webhook: str) -> bool:
    """Whether some configuration has such a webhook, and not one that istioctl has put out of use."""
    return any(
        hook["name"].endswith(webhook)
        and _DEACTIVATED not in hook.get("namespaceSelector", {}).get("matchLabels", {})
        for configuration in snapshot.all(kind, "")
        for hook in configuration.get("webhooks", ())
    )


def _unlike_record(snapshot: Snapshot) -> list[Difference]:
    record = snapshot.get("ConfigMap", ISTIO_NAMESPACE, RECORD)
    if record is None:
        return []
    there = {part.subject for part in snapshot.installed}
    wanted = record.get("data", {}).get(_OBJECTS, "").splitlines()
    return [Difference(subject, "", "present", ABSENT) for subject in wanted if subject not in there]


def _unmarked(snapshot: Snapshot) -> list[Difference]:
    if owner(snapshot) is not Owner.WORKSHOP:
        return []
    return [
        Difference(part.subject, f"metadata.labels[{LAB}]", "present", ABSENT)
        for part in snapshot.installed
        if part.cluster_wide and not part.lab
    ]


async def record_parts(run: Run, kubectl: Kubectl) -> None:
    """Write down what is installed, then mark it: without the mark, the next run does both again."""
    from workshop.kubernetes.kinds import KINDS

    run.facts.forget()
    installed = (await _snapshot(run)).installed
    written = record_reference()
    written["data"] = {_OBJECTS: "\n".join(part.subject for part in installed)}
    mark(written, run.lab)
    await kubectl.apply([written])
    parts: list[Object] = [
        {"apiVersion": KINDS[part.kind].api_version, "kind": part.kind, "metadata": {"name": part.name}}
        for part in installed
        if part.cluster_wide
    ]
    if parts:
        await kubectl.label(parts, {LAB: run.lab}, selector=marking()[1])


def marking() -> tuple[str, str]:
    """Kinds and selector of what has to carry the workshop's label, as kubectl takes them."""
    from workshop.kubernetes.cluster_facts import CLUSTER_WIDE, INSTALLED_LABEL
    from workshop.kubernetes.kinds import KINDS

    return ",".join(KINDS[kind].resource for kind in CLUSTER_WIDE), f"--selector={INSTALLED_LABEL}"


def record_reference() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD, "namespace": ISTIO_NAMESPACE}}


async def left_config_maps(run: Run) -> list[Difference]:
    """Those that are there, as what a clean-up is to change."""
    from workshop.kubernetes.cluster_facts import Selected

    written = [obj["metadata"]["name"] for obj in await run.observe(Selected("ConfigMap", _CONFIG_SELECTOR))]
    return [
        Difference(f"ConfigMap {name} in {_count(written.count(name))}", "", ABSENT, "present")
        for name in _CONFIG_MAPS
        if name in written
    ]


def _count(namespaces: int) -> str:
    return f"{namespaces} namespace" + ("s" if namespaces > 1 else "")


async def remove_config_maps(kubectl: Kubectl, istio_namespace: str) -> None:
    """Remove them from all namespaces, when the istiod that wrote them has ended."""
    for arguments in _config_map_arguments(istio_namespace):
        await kubectl.call(*arguments, seconds=_ISTIOD_LEAVES_SECONDS + 10)


def config_map_commands(istio_namespace: str) -> tuple[str, ...]:
    """What a person would type instead."""
    return tuple(" ".join(("kubectl", *arguments)) for arguments in _config_map_arguments(istio_namespace))


def _config_map_arguments(istio_namespace: str) -> Iterator[tuple[str, ...]]:
    limit = f"--timeout={_ISTIOD_LEAVES_SECONDS}s"
    yield ("wait", "--for=delete", "pod", "-n", istio_namespace, "-l", "app=istiod", limit)
    for name in _CONFIG_MAPS:
        yield ("delete", "configmaps", "-A", "-l", _CONFIG_SELECTOR, f"--field-selector=metadata.name={name}")


async def installation_finding(row: str, run: Run, command: str) -> Finding:
    """`command` is how Invoke was called. Raises KubectlError."""
    from workshop.mesh.istioctl import Istioctl

    snapshot, istioctl = await _snapshot(run), run.use(Istioctl)
    whose = owner(snapshot)
    if whose is Owner.NOBODY:
        return Finding(row, "ok", "not installed yet")
    found = list(dict.fromkeys(difference.subject for difference in installation_differences(snapshot, istioctl)))
    if not found:
        return Finding(row, "ok", f"{istioctl.version}, {whose.value}, and all of it is there")
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    said = f"{whose.value}, and not as it was installed: {', '.join(found[:_SHOWN])}{more}"
    if snapshot.get("Namespace", "", ISTIO_NAMESPACE) is None and (left := marked(snapshot)):
        said = (
            f"namespace {ISTIO_NAMESPACE} is gone, and {len(left)} of its objects outside of it are not: "
            "pods and rules of the mesh are refused until it is installed again, or all of it removed "
            f"({command} lab.istio.cleanup)"
        )
    return Finding(row, "warn", said, f"{command} lab.istio.install")

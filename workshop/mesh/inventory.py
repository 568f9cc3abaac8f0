"""What an Istio in the cluster is made of, whose it is, and what of it is missing.

An installation is some forty objects, half of them in no namespace. The workshop's own carries the workshop's label
on those as well: they stay when somebody deletes the namespace istio-system, and its webhooks then refuse every pod
of the mesh, so the clean-up has to know them. What istioctl has made is written down beside it, in a ConfigMap: it
differs from version to version and by profile, and only so is it seen that something is gone.

An Istio without the label was there before the workshop. It is used, and looked at only for what no lab can do
without.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Installed, Snapshot
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.run import Run

Object = dict[str, Any]

NAMESPACE = "istio-system"
CONTROL_PLANE, INGRESS = "istiod", "istio-ingressgateway"
RECORD = "workshop-installed"
_OBJECTS = "objects"
_INJECTOR, _VALIDATOR = "sidecar-injector.istio.io", "validation.istio.io"
_DEACTIVATED = "istio.io/deactivated"


class Owner(Enum):
    NOBODY = "there is none"
    WORKSHOP = "the workshop's"
    OTHERS = "it was there before the workshop"


def owner(snapshot: Snapshot) -> Owner:
    """Of the Istio that is there, or of what is left of it."""
    from workshop.kubernetes.manifests import is_ours

    namespace = snapshot.get("Namespace", "", NAMESPACE)
    if marked(snapshot) or (namespace is not None and is_ours(namespace)):
        return Owner.WORKSHOP
    there = snapshot.istio or snapshot.installed or snapshot.get("Deployment", NAMESPACE, CONTROL_PLANE)
    return Owner.OTHERS if there else Owner.NOBODY


def marked(snapshot: Snapshot) -> list[Installed]:
    """What the workshop's Istio has outside of any namespace."""
    return [part for part in snapshot.installed if part.cluster_wide and part.lab]


def differences(snapshot: Snapshot, deployments: tuple[str, ...]) -> list[Difference]:
    """What is not there of an Istio with these Deployments; how they are is not looked at."""
    found = [*_unlike_record(snapshot), *_unmarked(snapshot)]
    named = {difference.subject for difference in found}
    for name in deployments:
        for kind in ("Deployment", "Service"):
            subject = f"{kind} {NAMESPACE}/{name}"
            if subject not in named and snapshot.get(kind, NAMESPACE, name) is None:
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
    record = snapshot.get("ConfigMap", NAMESPACE, RECORD)
    if record is None:
        return []
    there = {part.subject for part in snapshot.installed}
    wanted = record.get("data", {}).get(_OBJECTS, "").splitlines()
    return [Difference(subject, "", "present", ABSENT) for subject in wanted if subject not in there]


def _unmarked(snapshot: Snapshot) -> list[Difference]:
    from workshop.kubernetes.manifests import LAB

    if owner(snapshot) is not Owner.WORKSHOP:
        return []
    return [
        Difference(part.subject, f"metadata.labels[{LAB}]", "present", ABSENT)
        for part in snapshot.installed
        if part.cluster_wide and not part.lab
    ]


async def record(run: Run, kubectl: Kubectl) -> None:
    """Write down what is installed, then mark it: without the mark, the next run does both again."""
    from workshop.kubernetes.facts import ClusterFacts
    from workshop.kubernetes.manifests import LAB, mark

    run.facts.forget()
    installed = (await run.observe(ClusterFacts())).installed
    written = reference()
    written["data"] = {_OBJECTS: "\n".join(part.subject for part in installed)}
    mark(written, run.lab)
    await kubectl.apply([written])
    kinds, selector = marking()
    await kubectl.label(kinds, [selector], {LAB: run.lab})


def marking() -> tuple[str, str]:
    """Kinds and selector of what has to carry the workshop's label, as kubectl takes them."""
    from workshop.kubernetes.facts import CLUSTER_WIDE, INSTALLED_LABEL

    return ",".join(CLUSTER_WIDE.values()), f"--selector={INSTALLED_LABEL}"


def reference() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD, "namespace": NAMESPACE}}

"""Are Deployments rolled out? Read from live objects, and said in words of what is still missing; also why a pod
has come without what a webhook should have injected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Object, name_of
from workshop.kubernetes.watching import Watched, watched
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Difference
from workshop.runbook.run import Run

_STAYS_SECONDS = 5.0
"""How long pods of a complete Deployment are looked at before they are taken for what stays."""


AT_LEAST_ONE = "at least 1"


def is_complete(deployment: Object) -> bool:
    """Seen by its controller, all pods of the newest template and available, no older ones left (what `kubectl
    rollout status` waits for)."""
    status = deployment.get("status", {})
    wanted: int = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
        and status.get("replicas", 0) <= wanted
    )


def without_pods(deployment: Object) -> tuple[Difference, ...]:
    """That it is scaled to none: complete, and of no use."""
    if deployment["spec"].get("replicas", 1):
        return ()
    return (Difference(name_of(deployment), "spec.replicas", AT_LEAST_ONE, 0),)


def pods_of(deployment: Object, pods: Iterable[Object]) -> list[Object]:
    """Its pods, those that are on their way out left aside."""
    selector = deployment["spec"]["selector"].get("matchLabels", {})
    namespace = deployment["metadata"]["namespace"]
    return [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and "deletionTimestamp" not in pod["metadata"]
        and selector.items() <= pod["metadata"].get("labels", {}).items()
    ]


def left_by(namespace: str, deployment: str, pods: Iterable[Object]) -> list[Object]:
    """Pods that a Deployment of this name made, whether it is there or not, on their way out or not."""
    return [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and any(
            owner["kind"] == "ReplicaSet" and owner["name"].rpartition("-")[0] == deployment
            for owner in pod["metadata"].get("ownerReferences", ())
        )
    ]


def ready_of(pod: Object) -> str:
    """Its READY column as `kubectl get pods` shows it: "2/2". An init container that goes on beside the others
    (restartPolicy Always, a native sidecar) counts as one."""
    spec = pod["spec"]
    names = {container["name"] for container in spec["containers"]}
    names |= {c["name"] for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"}
    status = pod.get("status", {})
    states = (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
    return f"{sum(state['ready'] for state in states if state['name'] in names)}/{len(names)}"


def containers_wanted(ready: str) -> int:
    """Of "2/2": 2."""
    return int(ready.partition("/")[2])


def with_more(ready: str, wanted: Object, live: Object | None) -> str:
    """READY of the pods of a Deployment whose template has more containers than was `wanted`: by hand, left alone.
    Empty where `ready` is."""
    if not ready or live is None:
        return ready
    there, own = (len(it["spec"]["template"]["spec"]["containers"]) for it in (live, wanted))
    count = containers_wanted(ready) + max(there - own, 0)
    return f"{count}/{count}"


def has_containers(pod: Object, ready: str) -> bool:
    """Whether the pod has as many containers as READY is to say, ready or not yet."""
    return containers_wanted(ready_of(pod)) == containers_wanted(ready)


def trouble(pod: Object) -> str:
    """Why a pod does not get ready, in Kubernetes' words, if it says so."""
    status = pod.get("status", {})
    for state in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = state.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
    return ""


def refused(deployment: Object) -> str:
    """Why its pods cannot even be created, if so: a webhook, or a quota, refuses them."""
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            said: str = f"{condition.get('reason', '')}: {condition.get('message', '')}"
            return said.strip(": ")
    return ""


def _why_not(deployment: Object, pods: Iterable[Object]) -> str:
    """Why it does not become complete, as far as it or its pods say so."""
    return next(filter(None, (refused(deployment), *map(trouble, pods))), "")


def progress_difference(subject: str, deployment: Object, pods: Iterable[Object]) -> Difference:
    """How a Deployment that is not complete differs from one that is, and why as far as its `pods` say so."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    why = _why_not(deployment, pods)
    for field in ("updatedReplicas", "availableReplicas", "replicas"):
        if (there := status.get(field, 0)) != wanted:
            return Difference(subject, f"status.{field}", wanted, there, why)
    metadata = deployment["metadata"]
    seen = status.get("observedGeneration", 0)
    return Difference(subject, "status.observedGeneration", metadata.get("generation", 0), seen, why)


def lacking(
    wanted: Mapping[tuple[str, str], str], deployments: Iterable[Object], pods: Sequence[Object]
) -> Object | None:
    """A pod that is there to stay, its Deployment being complete, with fewer containers than READY is to say."""
    for deployment in deployments:
        ready = wanted.get((deployment["metadata"]["namespace"], deployment["metadata"]["name"]))
        if ready and is_complete(deployment):
            for pod in pods_of(deployment, pods):
                if containers_wanted(ready_of(pod)) < containers_wanted(ready):
                    return pod
    return None


def missing(wanted: Mapping[tuple[str, str], str], deployments: Iterable[Object], pods: Sequence[Object]) -> str:
    """What is missing of the Deployments `wanted` ((namespace, name) -> READY of their pods, or empty)."""
    there = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in deployments}
    return ", ".join(_missing(wanted, there, pods))


def _missing(
    wanted: Mapping[tuple[str, str], str], there: Mapping[tuple[str, str], Object], pods: Sequence[Object]
) -> Iterator[str]:
    for (namespace, name), ready in wanted.items():
        deployment = there.get((namespace, name))
        if deployment is None:
            yield f"{name} (not there)"
            continue
        own = pods_of(deployment, pods)
        if not is_complete(deployment):
            available = deployment.get("status", {}).get("availableReplicas", 0)
            why = _why_not(deployment, own)
            yield f"{name} {available}/{deployment['spec'].get('replicas', 1)}" + (f" ({why})" if why else "")
        elif ready and len(own) < (replicas := deployment["spec"].get("replicas", 1)):
            # Each kind is watched by itself: of its pods, the news are still to come.
            yield f"{name} {len(own)}/{replicas} pods seen"
        elif odd := [pod for pod in own if ready and ready_of(pod) != ready]:
            yield f"{odd[0]['metadata']['name']} READY {ready_of(odd[0])} instead of {ready}"


async def wait(run: Run, kubectl: Kubectl, wanted: Mapping[tuple[str, str], str], *, seconds: float) -> None:
    """Until nothing is missing. Raises WorkshopError after `seconds`, saying what is, and sooner when pods have
    come without a container that others were to add: they stay as they are."""
    namespaces = sorted({namespace for namespace, _ in wanted})
    uninjected_since: list[float] = []

    async def still(there: Watched) -> str:
        deployments, pods = there.objects("Deployment"), there.objects("Pod")
        said = missing(wanted, deployments, pods)
        lacks = lacking(wanted, deployments, pods)
        if lacks is None:
            uninjected_since.clear()
            return said
        why, following = await not_injected(kubectl, lacks)
        uninjected_since.append(time.monotonic())
        if time.monotonic() - uninjected_since[0] > _STAYS_SECONDS:
            raise WorkshopError(
                f"wait for {', '.join(name for _, name in wanted)}",
                f"still missing: {said}; these pods stay as they are",
                cause=why,
                next_command=following,
            )
        return f"{said} ({why})"

    if not wanted:
        return
    places = [Place(kind, namespace) for namespace in namespaces for kind in ("Deployment", "Pod")]
    async with watched(kubectl, places) as there:
        await run.wait(
            f"{len(wanted)} Deployment{'s' if len(wanted) > 1 else ''} in {', '.join(namespaces)}",
            lambda: still(there),
            seconds=seconds,
            every=1.0,
            pause=there.changed,
            next_command=kubectl.typed(f"kubectl get pods -n {namespaces[0]}"),
        )


def injects(configurations: Iterable[Object], namespace: Object, pod: Object) -> bool:
    """Whether a MutatingWebhookConfiguration asks for a new pod like this one in that namespace."""
    return any(
        "pods" in rule["resources"]
        and selects(webhook.get("namespaceSelector", {}), _labels(namespace))
        and selects(webhook.get("objectSelector", {}), _labels(pod))
        for configuration in configurations
        for webhook in configuration.get("webhooks", ())
        for rule in webhook.get("rules", ())
    )


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """As a label selector does (metav1.LabelSelector)."""
    holds: dict[str, Callable[[Object], bool]] = {
        "In": lambda one: labels.get(one["key"]) in one["values"],
        "NotIn": lambda one: labels.get(one["key"]) not in one["values"],
        "Exists": lambda one: one["key"] in labels,
        "DoesNotExist": lambda one: one["key"] not in labels,
    }
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    return equal and all(holds[one["operator"]](one) for one in selector.get("matchExpressions", ()))


async def not_injected(kubectl: Kubectl, pod: Object) -> tuple[str, str]:
    """Why a pod is there without what should have been injected, and what to type."""
    name = pod["metadata"]["namespace"]
    webhooks, home = Place("MutatingWebhookConfiguration"), Place("Namespace", "", name)
    found = await kubectl.look([webhooks, home])
    configurations, namespaces = found[webhooks] or (), found[home] or ()
    if not any(injects(configurations, namespace, pod) for namespace in namespaces):
        why = (
            f"the injector is missing: no MutatingWebhookConfiguration asks for new pods of namespace {name}, "
            "because it was deleted or the namespace lacks its label"
        )
        return why, kubectl.typed("kubectl get mutatingwebhookconfigurations")
    why = f"the injector was missing, or not asked, when this pod of namespace {name} was created"
    return why, kubectl.typed(f"kubectl rollout restart deployment -n {name}")


def _labels(obj: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = obj["metadata"].get("labels", {})
    return labels

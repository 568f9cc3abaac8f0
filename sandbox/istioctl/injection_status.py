"""Who gets a sidecar, and why: `istioctl x injector list`, `istioctl x check-inject`.

By what the real one looks at: the selectors of Istio's webhooks, labels, and what pods say of their injection.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sandbox.core.cluster import ApiError, Object
from sandbox.core.label_selectors import matches, parse
from sandbox.istioctl.api_client import Client, Invocation
from sandbox.istioctl.cluster_status import table
from sandbox.istioctl.command_line import IstioctlError, UsageError
from sandbox.istioctl.proxy_config import pod_of
from sandbox.mesh.istio import KUBERNETES_NAMESPACES, NAMESPACE_LABEL, POD_LABEL, REVISION_LABEL

_Labels = Mapping[str, str]
_OF_NAMESPACES = ("rev.namespace.sidecar-injector.istio.io", "namespace.sidecar-injector.istio.io")
_NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}


def injector_list(invocation: Invocation) -> int:
    client, only = invocation.client, invocation.arguments.text("namespace")
    left_out = {*KUBERNETES_NAMESPACES, invocation.istio_namespace}
    namespaces = [one for one in client.list("v1", "Namespace") if one["metadata"]["name"] not in left_out]
    namespaces = [one for one in namespaces if one["metadata"]["name"] == only] or namespaces
    namespaces.sort(key=lambda one: str(one["metadata"]["name"]))
    hooks = _hooks(client, "app=sidecar-injector")
    pods: dict[str, list[Object]] = {}
    for pod in client.list("v1", "Pod"):
        pods.setdefault(pod["metadata"]["namespace"], []).append(pod)
    rows = [row for one in namespaces for row in _counted(one, hooks, pods.get(one["metadata"]["name"], ()))]
    heading = ("NAMESPACE", "ISTIO-REVISION", "POD-REVISIONS")
    print("\n".join(table([heading, *rows], 1)) if rows else "No Istio injected namespaces present.")
    print()
    if not hooks:
        print("No Istio injection hooks present.")
        return 0
    images = _images(client)
    heading_of_hooks = ("NAMESPACES", "INJECTOR-HOOK", "ISTIO-REVISION", "SIDECAR-IMAGE")
    found = [
        (name, str(hook["metadata"]["name"]), revision, images.get(revision, ""))
        for hook in hooks
        for revision in (_labels(hook).get(REVISION_LABEL, ""),)
        for name in (_led_in(hook, namespaces) or ["DOES NOT AUTOINJECT"])
    ]
    print("\n".join(table([heading_of_hooks, *found], 1)))
    return 0


def _hooks(client: Client, labels: str = "") -> list[Object]:
    """By name."""
    kind = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
    return sorted(client.list(*kind, labels=labels), key=lambda hook: str(hook["metadata"]["name"]))


def _labels(obj: Object) -> _Labels:
    return obj["metadata"].get("labels") or {}


def _selects(webhook: Object, kind: str, labels: _Labels) -> bool:
    return matches(webhook.get(f"{kind}Selector") or {}, labels)


def _counted(namespace: Object, hooks: Iterable[Object], pods: Iterable[Object]) -> Iterator[tuple[str, ...]]:
    """How many pods are of which revision, and how many will be of another one when they are made anew."""
    name, revision = namespace["metadata"]["name"], _revision(namespace, hooks)
    every, disabled, stale = Counter[str](), Counter[str](), Counter[str]()
    for pod in pods:
        own = _revision_of_pod(pod)
        shown = own or "<non-Istio>"
        every[shown] += 1
        said = {**(pod["metadata"].get("annotations") or {}), **_labels(pod)}.get(POD_LABEL, "")
        if said.lower() == "false":
            disabled[shown] += 1
        elif own != revision:
            stale[shown] += 1
    for shown, count in sorted(every.items()):
        more = f" (injection disabled: {disabled[shown]})" if disabled[shown] else ""
        more += f" NEEDS RESTART: {stale[shown]}" if stale[shown] else ""
        yield name, revision, f"{shown}: {count}{more}"
    if revision and not every:
        yield name, revision, "<no pods>"


def _revision(namespace: Object, hooks: Iterable[Object]) -> str:
    """The first's that a webhook is of which the namespace is for."""
    labels = _labels(namespace)
    for hook in hooks:
        if any(_selects(webhook, "namespace", labels) for webhook in hook.get("webhooks") or ()):
            return _labels(hook).get(REVISION_LABEL, "")
    if wanted := labels.get(REVISION_LABEL):
        return f"MISSING/{wanted}"
    return "" if labels.get(NAMESPACE_LABEL, "disabled") == "disabled" else f"MISSING/{NAMESPACE_LABEL}"


def _revision_of_pod(pod: Object) -> str:
    said = (pod["metadata"].get("annotations") or {}).get("sidecar.istio.io/status", "")
    try:
        return str(json.loads(said).get("revision") or "")
    except ValueError:
        return ""


def _led_in(hook: Object, namespaces: Iterable[Object]) -> list[str]:
    """The namespaces all of whose pods it injects."""
    concerned = [one for one in hook.get("webhooks") or () if one["name"] in _OF_NAMESPACES]
    return [
        str(namespace["metadata"]["name"])
        for namespace in namespaces
        if any(_selects(webhook, "namespace", _labels(namespace)) for webhook in concerned)
    ]


def _images(client: Client) -> dict[str, str]:
    """What revisions inject."""
    found = {}
    for settings in client.list("v1", "ConfigMap", labels=REVISION_LABEL):
        values = json.loads((settings.get("data") or {}).get("values") or "{}").get("global") or {}
        image = str((values.get("proxy") or {}).get("image", ""))
        if image:
            whole = image if "/" in image else f"{values.get('hub')}/{image}:{values.get('tag')}"
            found[_labels(settings)[REVISION_LABEL]] = whole
    return found


def check_inject(invocation: Invocation) -> int:
    client, arguments = invocation.client, invocation.arguments
    pairs = arguments.text("labels")
    if len(arguments.words) > 1 or not (arguments.words or pairs):
        raise UsageError(
            "check-inject requires only [<resource-type>/]<resource-name>[.<namespace>], or specify labels flag"
        )
    if arguments.words:
        pod, name = pod_of(client, arguments.words[0], invocation.namespace)
        labels = _labels(client.find("v1", "Pod", name, pod) or {"metadata": {}})
    else:
        name, labels = invocation.namespace, _pairs(pairs)
    namespace = client.find("v1", "Namespace", None, name)
    if namespace is None:
        raise IstioctlError(f'namespaces "{name}" not found')
    rows = []
    for hook in _hooks(client):
        webhooks = hook.get("webhooks") or ()
        if any(webhook["name"].endswith("istio.io") for webhook in webhooks):
            injects, why = _verdict(webhooks, _labels(namespace), labels)
            revision = _labels(hook).get(REVISION_LABEL, "")
            rows.append((str(hook["metadata"]["name"]), revision, "✔" if injects else "✘", why))
    if not rows:
        print("ERROR: no Istio injection hooks present.")
        return 0
    print("\n".join(table([_HEADING, *rows], 2)))
    if sum(injected == "✔" for _, _, injected, _ in rows) > 1:
        print("ERROR: multiple webhooks will inject, which can lead to errors")
    return 0


_HEADING = ("WEBHOOK", "REVISION", "INJECTED    ", "REASON")
"""As wide as the real one's, which counts what colours the marks."""


def _pairs(text: str) -> _Labels:
    try:
        terms = parse(text)["matchExpressions"]
    except ApiError as error:
        raise UsageError(str(error)) from error
    return {term["key"]: term["values"][0] for term in terms if term["operator"] == "In"}


def _verdict(webhooks: Iterable[Object], namespace: _Labels, pod: _Labels) -> tuple[bool, str]:
    """Whether one of them injects a pod with such labels, and the reason in the real one's words."""
    webhooks = list(webhooks)
    for webhook in webhooks:
        of_namespace = _selects(webhook, "namespace", namespace)
        of_pod = _selects(webhook, "object", pod)
        if of_namespace and of_pod:
            label_of_namespace = _reason(webhook, "namespace", namespace)
            label_of_pod = _reason(webhook, "object", pod)
            if label_of_namespace and label_of_pod:
                return True, f"Namespace label {label_of_namespace} matches, and pod label {label_of_pod} matches"
            if label_of_namespace:
                return True, f"Namespace label {label_of_namespace} matches"
            if label_of_pod:
                return True, f"Pod label {label_of_pod} matches"
        elif of_namespace:
            for term in _terms(webhook, "object"):
                key, operator = term["key"], term["operator"]
                refused = operator == "NotIn" and pod.get(key) in term["values"]
                if key in pod and (refused or operator == "DoesNotExist"):
                    return False, f"Pod has {key}={pod[key]} label, preventing injection"
        elif of_pod and namespace.get(NAMESPACE_LABEL, "enabled") != "enabled":
            why = f"Namespace has {NAMESPACE_LABEL}={namespace[NAMESPACE_LABEL]} label, preventing injection"
            return False, why
    if any(webhook.get("namespaceSelector") == webhook.get("objectSelector") == _NEVER for webhook in webhooks):
        return False, "The injection webhook is deactivated, and will never match labels."
    wanted = {
        kind: ", ".join(
            f"{term['key']}={value}"
            for webhook in webhooks
            for term in _terms(webhook, kind)
            if term["operator"] == "In"
            for value in term["values"]
        )
        for kind in ("namespace", "object")
    }
    return False, f"No matching namespace labels ({wanted['namespace']}) or pod labels ({wanted['object']})"


def _terms(webhook: Object, kind: str) -> list[Object]:
    return (webhook.get(f"{kind}Selector") or {}).get("matchExpressions") or []


def _reason(webhook: Object, kind: str, labels: _Labels) -> str:
    """The label by which a selector matches, if it asks for the value of one."""
    named = (term["key"] for term in _terms(webhook, kind) if term["operator"] in ("In", "NotIn"))
    return next((f"{key}={labels[key]}" for key in named if key in labels), "")

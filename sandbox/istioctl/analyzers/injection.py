"""Who was to have a sidecar: namespaces that do not say (IST0102), pods that came too early (IST0103)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.ready import has_proxy
from sandbox.istioctl.resources import Resources, namespace_of
from sandbox.mesh.injection import POD_LABEL, enabled


def namespaces_not_injected(resources: Resources) -> Iterator[Message]:
    """IST0102: nobody said whether pods of a namespace are to have sidecars."""
    for namespace in resources.outside_the_system("Namespace"):
        if enabled(namespace) is None:
            label = f"kubectl label namespace {namespace['metadata']['name']} istio-injection"
            yield Message(
                "IST0102",
                Level.Info,
                namespace,
                "The namespace is not enabled for Istio injection. "
                f"Run '{label}=enabled' to enable it, or '{label}=disabled' to explicitly mark it as "
                "not needing injection.",
            )


def missing_proxies(resources: Resources) -> Iterator[Message]:
    """IST0103: a pod from before its namespace was enabled, also while it ends, until it is gone."""
    injected = {obj["metadata"]["name"] for obj in resources.outside_the_system("Namespace") if enabled(obj)}
    for pod in resources.of("Pod"):
        metadata = pod["metadata"]
        says = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(POD_LABEL, "")
        left_alone = has_proxy(pod) or says.lower() == "false" or pod["spec"].get("hostNetwork")
        if namespace_of(pod) in injected and not left_alone:
            name = f"{namespace_of(pod)}/{pod['metadata']['name']}"
            yield Message(
                "IST0103",
                Level.Warning,
                pod,
                f"The pod {name} is missing the Istio proxy. "
                "This can often be resolved by restarting or redeploying the workload.",
            )

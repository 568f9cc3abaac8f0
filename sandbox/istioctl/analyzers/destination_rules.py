"""DestinationRules: hosts nobody knows (IST0174), subsets nobody is in (IST0173)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.known_hosts import KnownHosts
from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.resources import Resources, labels_of, namespace_of
from sandbox.mesh import hosts


def idle(resources: Resources) -> Iterator[Message]:
    """What of a DestinationRule is for nobody. As in the real one, a subset's pods may be in any namespace."""
    known = KnownHosts(resources)
    pods = [labels_of(pod).items() for pod in resources.of("Pod")]
    for rule in resources.of("DestinationRule"):
        written = rule["spec"].get("host", "")
        host = hosts.resolve(written, namespace_of(rule))
        if not known(host, namespace_of(rule)):
            yield Message(
                "IST0174",
                Level.Warning,
                rule,
                f"The host {written} defined in the DestinationRule does not match any services in the mesh.",
            )
            continue
        for subset in rule["spec"].get("subsets") or []:
            wanted = {**known.selector(host), **(subset.get("labels") or {})}
            if not any(wanted.items() <= labels for labels in pods):
                yield Message(
                    "IST0173",
                    Level.Error,
                    rule,
                    f"The Subset {subset['name']} defined in the DestinationRule does not select any pods. "
                    "Which may lead to 503 UH (NoHealthyUpstream).",
                )

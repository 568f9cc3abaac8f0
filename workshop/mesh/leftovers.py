"""What istiod writes into every namespace, and `istioctl uninstall --purge` leaves there: two ConfigMaps.

They are known by name and label. They go after istiod, which would write them again, and before the namespace
istio-system, whose labels say that this Istio is the workshop's: a clean-up that is killed in between goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.kubernetes.kubectl import Kubectl

NAMES = ("istio-ca-root-cert", "istio-ca-crl")
LABEL, VALUE = "istio.io/config", "true"
_LAST_SECONDS = 120


def found(snapshot: Snapshot) -> Iterator[Difference]:
    """Those that are there, as what a clean-up is to change."""
    for name in NAMES:
        there = [
            obj
            for obj in snapshot.all("ConfigMap")
            if obj["metadata"]["name"] == name and obj["metadata"].get("labels", {}).get(LABEL) == VALUE
        ]
        if there:
            places = f"{len(there)} namespace" + ("s" if len(there) > 1 else "")
            yield Difference(f"ConfigMap {name} in {places}", "", ABSENT, "present")


async def remove(kubectl: Kubectl, istio_namespace: str) -> None:
    """Remove them from all namespaces, when the istiod that wrote them has ended."""
    for arguments in _commands(istio_namespace):
        await kubectl.call(*arguments, seconds=_LAST_SECONDS + 10)


def typed(istio_namespace: str) -> tuple[str, ...]:
    """What a person would type instead."""
    return tuple(" ".join(("kubectl", *arguments)) for arguments in _commands(istio_namespace))


def _commands(istio_namespace: str) -> Iterator[tuple[str, ...]]:
    yield ("wait", "--for=delete", "pod", "-n", istio_namespace, "-l", "app=istiod", f"--timeout={_LAST_SECONDS}s")
    for name in NAMES:
        yield ("delete", "configmaps", "-A", "-l", f"{LABEL}={VALUE}", f"--field-selector=metadata.name={name}")

"""Whether the Istio that is there is whole, for `invoke doctor`."""

from __future__ import annotations

from workshop.kubernetes.facts import ClusterFacts
from workshop.mesh.install import unlike
from workshop.mesh.inventory import NAMESPACE, Owner, marked, owner
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.results import Finding
from workshop.runbook.run import Run

_SHOWN = 4


async def look(row: str, run: Run, command: str) -> Finding:
    """`command` is how Invoke was called. Raises KubectlError."""
    snapshot, istioctl = await run.observe(ClusterFacts()), run.use(Istioctl)
    whose = owner(snapshot)
    if whose is Owner.NOBODY:
        return Finding(row, "ok", "not installed yet")
    found = list(dict.fromkeys(difference.subject for difference in unlike(snapshot, istioctl)))
    if not found:
        return Finding(row, "ok", f"{istioctl.version}, {whose.value}, and all of it is there")
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    said = f"{whose.value}, and not as it was installed: {', '.join(found[:_SHOWN])}{more}"
    if snapshot.get("Namespace", "", NAMESPACE) is None and (left := marked(snapshot)):
        said = (
            f"namespace {NAMESPACE} is gone, and {len(left)} of its objects outside of it are not: "
            "pods and rules of the mesh are refused until it is installed again, or all of it removed "
            f"({command} lab.istio.cleanup)"
        )
    return Finding(row, "warn", said, f"{command} lab.istio.install")

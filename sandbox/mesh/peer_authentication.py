"""Whether a workload takes connections with mTLS, without, or both: what all PeerAuthentications say together.

One for the mesh (in the root namespace, without a selector), one for the namespace, one that selects the workload;
of several of the same level the oldest counts. What a narrower one leaves unset is as the wider one says. Only one
that selects workloads may say something of single ports, and they are the workload's. One with a selector in the
root namespace is for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.core.cluster import Object
from sandbox.mesh.rules import ROOT_NAMESPACE

Mode = Literal["DISABLE", "PERMISSIVE", "STRICT"]

_MESH, _NAMESPACE, _WORKLOAD = range(3)


@dataclass(frozen=True)
class PeerMode:
    """Of one workload."""

    mode: Mode = "PERMISSIVE"
    ports: Mapping[int, Mode] = field(default_factory=dict)
    """Those of which something else may be said."""

    def of(self, port: int) -> Mode:
        """`port` is the workload's, not a service's."""
        return self.ports.get(port, self.mode)


def peer_mode(policies: Iterable[Object], namespace: str, labels: Mapping[str, str]) -> PeerMode:
    """Of a workload with `labels` in `namespace`; `policies` are all there are, the oldest first."""
    found: dict[int, Object] = {}
    for policy in policies:
        level = _level(policy, namespace, labels)
        if level is not None:
            found.setdefault(level, policy)
    mode: Mode = "PERMISSIVE"
    for level in sorted(found):
        mode = _set((found[level].get("spec") or {}).get("mtls"), mode)
    of_ports = (found[_WORKLOAD].get("spec") or {}).get("portLevelMtls") if _WORKLOAD in found else None
    return PeerMode(mode, {int(port): _set(said, mode) for port, said in (of_ports or {}).items()})


def _level(policy: Object, namespace: str, labels: Mapping[str, str]) -> int | None:
    wanted = ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    place = policy["metadata"]["namespace"]
    if not wanted and place == ROOT_NAMESPACE:
        return _MESH
    if place != namespace or place == ROOT_NAMESPACE:
        return None
    if not wanted:
        return _NAMESPACE
    return _WORKLOAD if all(labels.get(key) == value for key, value in wanted.items()) else None


def _set(said: Mapping[str, Any] | None, otherwise: Mode) -> Mode:
    mode: Literal["UNSET"] | Mode = (said or {}).get("mode") or "UNSET"
    return otherwise if mode == "UNSET" else mode

"""How many nodes a cluster has, and what they are called after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodePool:
    """As of an AKS cluster: the workshop's own one, when nothing else is said.

    That has room for a thousand pods and what a mesh needs beside them: more than AKS gives a node, which is 250.
    """

    name: str = "akssyspool"
    count: int = 3
    size: str = "Standard_DS2_v2"
    max_pods: int = 400

    def node(self, index: int) -> str:
        return f"aks-{self.name}-1234567-vmss{index:06d}"

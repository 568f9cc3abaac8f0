"""The same place as the node's tests have: the network is tested from pods that really run."""

from tests.sandbox.node.conftest import place

__all__ = ["place"]

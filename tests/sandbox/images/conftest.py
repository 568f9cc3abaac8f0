"""The same place as the node's tests have: images are tested in pods that really run."""

from tests.sandbox.node.conftest import place

__all__ = ["place"]

"""kubectl for the tests of the sandbox's parts, and a cluster in which pods really run."""

from tests.kit.sandbox import either_kubectl, kubectl
from tests.sandbox.node.conftest import place

__all__ = ["either_kubectl", "kubectl", "place"]

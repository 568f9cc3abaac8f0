"""kubectl for the tests of the sandbox's parts."""

from tests.kit.sandbox import either_kubectl, kubectl

__all__ = ["either_kubectl", "kubectl"]

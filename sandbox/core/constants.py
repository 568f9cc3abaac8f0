"""What several parts of the sandbox must say alike."""

from __future__ import annotations

KUBERNETES_VERSION = "v1.36.1"
SANDBOX_VERSION = f"{KUBERNETES_VERSION}-sandbox"
"""As servers and kubelets report it, so that nobody takes them for the real ones."""

CRDS = "customresourcedefinitions.apiextensions.k8s.io"

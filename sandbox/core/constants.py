"""What several parts of the sandbox must say alike."""

from __future__ import annotations

KUBERNETES_VERSION = "v1.36.1"
SANDBOX_VERSION = f"{KUBERNETES_VERSION}-sandbox"
"""As servers and kubelets report it, so that nobody takes them for the real ones."""

PROXY = "istio-proxy"
"""The container that is a pod's sidecar or a gateway's proxy."""

CRDS = "customresourcedefinitions.apiextensions.k8s.io"

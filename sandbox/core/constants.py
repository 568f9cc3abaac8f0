"""What several parts of the sandbox must say alike."""

from __future__ import annotations

KUBERNETES_VERSION = "v1.36.1"
SANDBOX_VERSION = f"{KUBERNETES_VERSION}-sandbox"
"""As servers and kubelets report it, so that nobody takes them for the real ones."""

CRDS = "customresourcedefinitions.apiextensions.k8s.io"

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
"""The finalizers that a deletion's propagation puts on an object, for the garbage collector."""

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: no vowels and nothing that looks alike, so that one is never a word."""

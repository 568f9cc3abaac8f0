"""A kubeconfig with one context, whose user is known by a token."""

from __future__ import annotations

import base64
import json

CONTEXT = "primary"
"""Of the cluster that is always there."""


def kubeconfig(url: str, authority: bytes, token: str, context: str, user: str) -> bytes:
    """As JSON, which is YAML too."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    return json.dumps(config, indent=2).encode() + b"\n"

"""The kubeconfig of a sandbox: one context, `primary`, whose user is known by a token."""

from __future__ import annotations

import base64
import json

CONTEXT = "primary"


def kubeconfig(url: str, authority: bytes, token: str) -> bytes:
    """As JSON, which is YAML too."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    return json.dumps(config, indent=2).encode() + b"\n"

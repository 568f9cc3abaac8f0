"""A kubeconfig whose users are known by tokens."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

PRIMARY, SECONDARY = "primary", "secondary"
"""The contexts of the clusters that are always there."""


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to talk to a cluster. `authority` is a PEM certificate."""

    url: str
    authority: bytes
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    context: str
    user: str
    access: Access


def kubeconfig(*entries: Entry) -> bytes:
    """As JSON, which is YAML too. The first one's context is the current one."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": entry.context,
                "cluster": {
                    "server": entry.access.url,
                    "certificate-authority-data": base64.b64encode(entry.access.authority).decode(),
                },
            }
            for entry in entries
        ],
        "users": [{"name": entry.user, "user": {"token": entry.access.token}} for entry in entries],
        "contexts": [
            {"name": entry.context, "context": {"cluster": entry.context, "user": entry.user}} for entry in entries
        ],
        "current-context": entries[0].context,
    }
    return json.dumps(config, indent=2).encode() + b"\n"

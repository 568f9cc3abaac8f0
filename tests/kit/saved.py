"""What of saved states is the same in every sandbox that is loaded with one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sandbox.core.addresses import BLOCKS, Network
from sandbox.server import saved_state
from sandbox.server.snapshot import Translation, ranges_of

_ANEW = re.compile(r'"(?:last\w*Time|startTime|startedAt|finishedAt|renewTime|containerID|bootID)": *"[^"]*",?')
"""What is new in a pod's status, and in what is counted from it."""
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----")
"""Each sandbox makes its own."""


def content(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(saved_state.read(file)[1])
    return found


def comparable(file: Path) -> dict[str, str]:
    """By cluster, kind, namespace and name: all but who wrote it when. Addresses are those of a sandbox that has
    the first blocks."""
    found, said = {}, content(file)
    translation = Translation()
    for block, cluster in zip(BLOCKS, said["clusters"], strict=False):
        translation.add_ranges(cluster["network"], ranges_of(Network(block)))
    for cluster in json.loads(translation(json.dumps(said["clusters"]))):
        for kind, objects in cluster["objects"].items():
            for obj in objects:
                metadata = {**obj["metadata"], "managedFields": []}
                name = "/".join((cluster["name"], kind, metadata.get("namespace", ""), metadata["name"]))
                text = json.dumps({**obj, "metadata": metadata}, sort_keys=True)
                found[name] = _CERTIFICATE.sub("", _ANEW.sub("", text))
    return found


def differences(before: Path, after: Path) -> dict[str, tuple[str | None, str | None]]:
    there, here = comparable(before), comparable(after)
    return {
        name: (there.get(name), here.get(name))
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    }

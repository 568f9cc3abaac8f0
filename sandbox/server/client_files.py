"""What a sandbox writes for its clients: a kubeconfig whose users are known by tokens, where Azure is (azure.json),
and the commands for their PATH; and whether a running sandbox's can still be used.

Its clients may write some of them as well, as `kubectl config use-context` does; so what is looked at is what the
labs, kubectl and the Azure SDK need of them. `server.json` is the state's own.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.core.programs import kubectl
from sandbox.server.state import StateFolder, reading, text

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


_ROOT = Path(__file__).resolve().parents[2]
_AZURE = ("url", "ca", "token", "subscription", "tenant")


def verify(state: StateFolder, url: str) -> None:
    """Raises DamagedError for the first one that cannot be used. `url` is where the primary cluster is."""
    authority = _authority_in(state.kubeconfig, url)
    with reading(state.authority):
        if state.authority.read_bytes() != authority:
            raise ValueError(f"it is another certificate than {state.kubeconfig} has")
    read_azure(state.azure)
    with reading(state.bin / "istioctl"), (state.bin / "istioctl").open("rb") as script:
        if script.read(2) != b"#!" or not os.access(script.name, os.X_OK):
            raise ValueError("it is no program")


def read_azure(path: Path) -> dict[str, str]:
    """Where Azure's control plane is, the token for it, and what it is called there. Raises DamagedError."""
    with reading(path):
        said = json.loads(path.read_text(encoding="utf-8"))
        return {name: text(said[name]) for name in _AZURE}


def _authority_in(kubeconfig: Path, url: str) -> bytes:
    """What the clusters' certificates are trusted by."""
    with reading(kubeconfig):
        content = _content(kubeconfig)
        for context in (PRIMARY, SECONDARY):
            cluster, user = _entry(content, context)
            text(user["token"])
            server = text(cluster["server"])
            if context == PRIMARY and server != url:
                raise ValueError(f"its context {context} leads to {server}, and the sandbox is at {url}")
        cluster, _ = _entry(content, PRIMARY)
        return base64.b64decode(cluster["certificate-authority-data"], validate=True)


def _entry(content: Any, context: str) -> tuple[Any, Any]:
    """The cluster and the user of a context."""
    named = _named(content, "context", context)
    return _named(content, "cluster", named["cluster"]), _named(content, "user", named["user"])


def _named(content: Any, kind: str, name: str) -> Any:
    for item in content[f"{kind}s"]:
        if item["name"] == name:
            return item[kind]
    raise ValueError(f"it has no {kind} {name}")


def _content(kubeconfig: Path) -> Any:
    """The sandbox writes JSON; kubectl, when it changes the file, YAML."""
    text = kubeconfig.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError:
        import yaml

        try:
            return yaml.safe_load(text)  # libyaml's follows any depth, until the process ends
        except yaml.YAMLError as error:
            raise ValueError("it is neither JSON nor YAML") from error


def install_commands(folder: Path) -> None:
    """Put the real kubectl and the sandbox's own istioctl into `folder`, in place of what is there."""
    folder.mkdir(exist_ok=True)
    link = folder / "kubectl"
    link.unlink(missing_ok=True)
    if (found := kubectl()) is not None:
        link.symlink_to(found)
    istioctl = folder / "istioctl"
    python = shlex.quote(sys.executable)
    istioctl.write_text(
        "#!/bin/sh\n"
        f'PYTHONPATH={shlex.quote(str(_ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}" '
        f'exec {python} -m sandbox.istioctl "$@"\n',
        encoding="utf-8",
    )
    istioctl.chmod(0o755)


SAMPLES = _ROOT / "sandbox" / "samples"
"""What a person applies from the folder of that name in a release of Istio: `kubectl apply -f samples/addons`."""


def link_samples(place: Path) -> None:
    """Have them there, in place of what is there."""
    if place.is_symlink() or not place.exists():
        place.unlink(missing_ok=True)
        place.symlink_to(SAMPLES)

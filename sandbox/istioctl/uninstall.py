"""`istioctl uninstall --purge`: everything that `install` has created, but not the namespace, as the real one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.istioctl.client import Client
from sandbox.istioctl.errors import IstioctlError, UsageError
from sandbox.istioctl.manifests import KINDS
from sandbox.istioctl.manifests.common import COMPONENT_LABEL
from sandbox.istioctl.pruning import installed, remove

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

_GONE_SECONDS = 60.0
_POLL_SECONDS = 0.05


def run(invocation: Invocation) -> int:
    if not invocation.arguments.on("purge"):
        raise UsageError("the sandbox has one revision of Istio only: --purge must be set")
    client = invocation.client
    if not invocation.confirmed("All Istio resources will be pruned from the cluster. Proceed?"):
        return 1
    for obj in list(installed(client, KINDS, COMPONENT_LABEL)):
        remove(client, obj)
    _wait_for_the_end(client)
    print("✔ Uninstall complete")
    return 0


def _wait_for_the_end(client: Client) -> None:
    """Until nothing is left: custom objects go before their kind does, in the background."""
    deadline = time.monotonic() + _GONE_SECONDS
    while left := next(installed(client, KINDS, COMPONENT_LABEL), None):
        if time.monotonic() > deadline:
            raise IstioctlError(
                f"{left['kind']} {left['metadata']['name']} is still there after {_GONE_SECONDS:g}s"
            )
        time.sleep(_POLL_SECONDS)

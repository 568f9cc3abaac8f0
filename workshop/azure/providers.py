"""Resource providers: a subscription must have registered one before it can use its kinds.

The SDK registers by itself, but not for the calls that begin long-running operations. So it is done here when Azure
says that it is missing, rather than asked before every change.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from workshop.azure.compare import Object
from workshop.azure.connection import Azure, as_error, as_sent
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NEEDED = (
    "Microsoft.Network",
    "Microsoft.ManagedIdentity",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
)
_LIMIT = 600.0


async def state_of(azure: Azure, namespace: str) -> str:
    """ "Registered", "Registering", "NotRegistered", ..."""

    def look() -> Object:
        found: Any = azure.resources().providers.get(namespace, cls=as_sent)
        return dict(found)

    return str((await azure.call(f"look at the provider {namespace}", look)).get("registrationState", ""))


async def register(run: Run, azure: Azure, namespace: str) -> None:
    """Register it and wait until it is. Raises WorkshopError."""
    tried = f"register the provider {namespace}"
    run.emit(events.Told(run.lab, f"the subscription has not registered {namespace}: registering it"))
    with as_error(azure):
        await azure.call(tried, lambda: azure.resources().providers.register(namespace), looks=True)
    started = time.monotonic()
    while (state := await run.cuttable(state_of(azure, namespace))) != "Registered":
        waited = time.monotonic() - started
        if waited > _LIMIT:
            raise WorkshopError(
                tried,
                f"it is still {state} after {waited:.0f} s",
                cause="Azure takes longer than usual; the same command goes on waiting",
                next_command=azure.advised(f"az provider show --namespace {namespace} --query registrationState"),
            )
        run.emit(events.Waiting(run.lab, f"provider {namespace}", state, waited, _LIMIT))
        await run.cuttable(asyncio.sleep(azure.polling))

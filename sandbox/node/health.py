"""Whether one run of a container is well, by its probes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.core.cluster import Object
from sandbox.node.probes import Prober

Report = Callable[["Health", str, str], None]
"""Gets the kind of probe that failed ("" when one succeeded) and what it said."""


class Health:
    """First `begun` (the startup probe), then `watch`: readiness and liveness until `stop`."""

    def __init__(self, container: Object, prober: Prober, report: Report) -> None:
        self._container, self._prober, self._report = container, prober, report
        self._watches: list[asyncio.Task[None]] = []
        self.ready = not container.get("readinessProbe")

    async def begun(self) -> bool:
        """Wait for the startup probe's verdict."""
        probe = self._container.get("startupProbe")
        if not probe:
            return True
        verdict: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

        def decide(ok: bool, message: str) -> None:
            if not verdict.done():
                verdict.set_result((ok, message))

        watch = asyncio.create_task(self._prober.watch(probe, decide))
        try:
            ok, message = await verdict
        finally:
            watch.cancel()
        if not ok:
            self._report(self, "Startup", message)
        return ok

    def watch(self) -> None:
        for field, report in (("readinessProbe", self._on_readiness), ("livenessProbe", self._on_liveness)):
            if probe := self._container.get(field):
                self._watches.append(asyncio.create_task(self._prober.watch(probe, report)))

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    def _on_readiness(self, ok: bool, message: str) -> None:
        self.ready = ok
        self._report(self, "" if ok else "Readiness", message)

    def _on_liveness(self, ok: bool, message: str) -> None:
        if not ok:
            self._report(self, "Liveness", message)

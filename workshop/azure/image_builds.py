"""Building images in the registry, by ACR Tasks: what `az acr build` does, from a Git repository.

A build is a run that Azure has queued. Its id goes into the journal in the same breath, and whoever comes next
waits for that very run. When there is no id (we were killed before it was written, or the answer was lost), the
registry's own list of runs tells: but a run says which images it has made only at its end. So those that are under
way, and that nobody has written down, are waited for before another one is begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from workshop.azure.connection import (
    ATTEMPTS,
    Azure,
    NotFound,
    Object,
    Unconfirmed,
    as_error,
    gather,
    pause,
    shown_in,
)
from workshop.azure.operations import Accepted, Change
from workshop.azure.registry import BUILD_LIMIT, Build, Registry
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.stop import Stopped

if TYPE_CHECKING:
    from workshop.runbook.run import Run

_QUEUED = 900.0
"""Seconds that a run may wait for its turn, beside those that it may take."""

_UNDER_WAY = ("Queued", "Started", "Running")
_CHANGE = Change("build", "image")
_USUAL = 120.0


class ImageBuilds:
    """On behalf of one step's run."""

    def __init__(self, run: Run, registry: Registry) -> None:
        self._run, self._registry = run, registry
        self._azure, self._journal = run.use(Azure), run.use(Journal)

    async def build(self, builds: Sequence[Build]) -> None:
        """Have all of them in the registry. Raises TasksNotAllowed, or WorkshopError with what Azure says."""
        with shown_in(self._run), as_error(self._azure):
            runs = await self._begun(builds)
            await gather(*(self._finish(build, id_) for build, id_ in runs.items()))

    async def _begun(self, builds: Sequence[Build]) -> dict[Build, str]:
        """The run of each, but for those that have been built already."""
        attempt = 1
        while True:
            runs = {build: id_ for build in builds if (id_ := await self._known(build))}
            missing = [build for build in builds if build not in runs]
            if missing:
                built = await self._built(runs.values())
                missing = [build for build in missing if build.target not in built]
            try:
                return runs | {build: await self._schedule(build) for build in missing}
            except Unconfirmed as error:
                if attempt == ATTEMPTS:
                    raise
                attempt += 1
                await self._run.cuttable(pause(error.delay, error.fault.summary))

    async def _known(self, build: Build) -> str:
        """The id of a run that was begun by an earlier one of ours, unless it came to nothing."""
        known = self._journal.operation(self._key(build))
        if known is None:
            return ""
        try:
            accepted = Accepted.read(known.token)
        except ValueError:
            accepted = Accepted("", "")
        live = await self._look(accepted.token) if accepted.endpoint == self._azure.endpoint else None
        if live is None or _status(live) not in (*_UNDER_WAY, "Succeeded"):
            self._tell(f"what an earlier run had begun to build ({build.target}) came to nothing: beginning anew")
            self._journal.end(known.resource_id, succeeded=False)
            return ""
        if _status(live) in _UNDER_WAY:
            self._tell(f"an earlier run has begun to build {build.target}; waiting for that very run")
        return accepted.token

    async def _built(self, ours: Collection[str]) -> frozenset[str]:
        """The images that runs have made, once those that are not `ours` are over."""
        listed = await self._list()
        others = [id_ for id_, run in listed.items() if _status(run) in _UNDER_WAY and id_ not in ours]
        if others:
            for id_ in others:
                await self._over(f"run {id_} of {self._registry.name}", id_, time.time())
            listed = await self._list()
        succeeded = (run for run in listed.values() if _status(run) == "Succeeded")
        return frozenset(
            f"{image.get('repository')}:{image.get('tag')}"
            for run in succeeded
            for image in run.get("outputImages") or ()
        )

    async def _schedule(self, build: Build) -> str:
        def send() -> str:
            client, registry = self._azure.builds(), self._registry
            begun = client.registries.schedule_run(registry.group, registry.name, build.body())
            id_ = str(_properties(begun)["runId"])
            self._journal.begin(self._key(build), str(_CHANGE), str(Accepted(self._azure.endpoint, id_)))
            return id_

        return await self._azure.call(f"build {build.target} in {self._registry.name}", send, looks=False)

    async def _finish(self, build: Build, id_: str) -> None:
        """Raises WorkshopError for a run that did not succeed."""
        known = self._journal.operation(self._key(build))
        run = await self._over(f"image {build.target}", id_, known.started if known else time.time())
        status = _status(run)
        self._journal.end(self._key(build), succeeded=status == "Succeeded")
        if status == "Succeeded":
            return
        registry, message = self._registry, str(run.get("runErrorMessage") or "")
        raise WorkshopError(
            f"build {build.target} from {build.git}",
            f"the run {id_} ended as {status}" + (f": {message}" if message else ""),
            # The log's link has a signature that lets anybody read it: a secret, which no error may hold.
            cause="a step of its Dockerfile failed, or its sources cannot be had: the log says which",
            next_command=self._azure.advised(f"az acr task logs --registry {registry.name} --run-id {id_}"),
        )

    async def _over(self, what: str, id_: str, started: float) -> Object:
        """The run once it is over."""
        limit = BUILD_LIMIT + _QUEUED
        end = time.monotonic() + limit
        usual = self._journal.usual(str(_CHANGE)) or _USUAL
        try:
            while True:
                run = await self._run.cuttable(self._look(id_))
                status = _status(run or {})
                if run is None or status not in _UNDER_WAY:
                    return run or {}
                if time.monotonic() > end:
                    raise WorkshopError(
                        f"waited {limit / 60:.0f} min for the {what}",
                        f"its run {id_} is still {status}",
                        cause="Azure takes far longer than usual; the same command goes on waiting",
                    )
                text = f"{status}, usually {usual:.0f} s"
                self._run.emit(events.Waiting(self._run.lab, what, text, time.time() - started, limit))
                with self._run.stopwatch.waiting():
                    await self._run.cuttable(asyncio.sleep(self._azure.polling))
        except (asyncio.CancelledError, Stopped):
            self._tell(f"Azure goes on with the {what}; the same command waits for that run")
            raise

    async def _look(self, id_: str) -> Object | None:
        """A run's properties; None when there is none of that id."""

        def look() -> Object:
            found = self._azure.builds().runs.get(self._registry.group, self._registry.name, id_)
            return _properties(found)

        try:
            return await self._azure.call(f"look at the run {id_}", look)
        except NotFound:
            return None

    async def _list(self) -> dict[str, Object]:
        """The properties of all runs of the registry, by their ids."""

        def look() -> dict[str, Object]:
            listed = self._azure.builds().runs.list(self._registry.group, self._registry.name)
            return {str(each.name): _properties(each) for each in listed}

        return await self._azure.call(f"list the runs of {self._registry.name}", look)

    def _key(self, build: Build) -> str:
        return f"{self._registry.id}/builds/{build.target}"

    def _tell(self, text: str) -> None:
        self._run.emit(events.Told(self._run.lab, text))


def _properties(run: object) -> Object:
    """As JSON."""
    content: Object = run.as_dict()  # type: ignore[attr-defined]
    return dict(content.get("properties") or {})


def _status(run: Object) -> str:
    return str(run.get("status") or "gone")

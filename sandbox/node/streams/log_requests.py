"""`kubectl logs`: a container's last lines, and those to come."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from aiohttp import web

from sandbox.node.container_run import ContainerRun
from sandbox.node.logs import ContainerLog
from sandbox.node.pod_run import PodRun
from sandbox.node.streams.request import bad, container, flag

_PARAMETERS = {
    "container",
    "follow",
    "insecureSkipTLSVerifyBackend",
    "limitBytes",
    "pretty",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "tailLines",
    "timestamps",
}
_BATCH = 65536


async def serve_log(request: web.Request, pod: PodRun) -> web.StreamResponse:
    query = request.query
    if unknown := set(query) - _PARAMETERS:
        raise bad(f"not supported by the sandbox: {', '.join(sorted(unknown))}")
    log = _log(pod, container(pod, query.get("container", "")), flag(query, "previous"))
    stamped, limit = flag(query, "timestamps"), _number(query, "limitBytes")
    lines = log.read(tail=_number(query, "tailLines"), since=_since(query), follow=flag(query, "follow"))
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
    await response.prepare(request)
    waiting = bytearray()
    async for line in lines:
        waiting += (line.stamp() + b" " if stamped else b"") + line.text + b"\n"
        if limit is not None and len(waiting) >= limit:
            del waiting[limit:]
            break
        # Line by line when following; else in pieces, unless a limit has to be counted from the start.
        if limit is None and (flag(query, "follow") or len(waiting) > _BATCH):
            await response.write(bytes(waiting))
            waiting.clear()
    if waiting:
        await response.write(bytes(waiting))
    await response.write_eof()
    return response


def _log(pod: PodRun, run: ContainerRun, previous: bool) -> ContainerLog:
    if previous:
        if run.previous_log is None:
            raise bad(f'previous terminated container "{run.name}" in pod "{pod.name}" not found')
        return run.previous_log
    if not run.container_id:
        reason = run.state.get("waiting", {}).get("reason", "ContainerCreating")
        raise bad(f'container "{run.name}" in pod "{pod.name}" is waiting to start: {reason}')
    return run.log


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise bad(f"{name}: Invalid value: {text!r}: must be a whole number, not negative")
    return int(text)


def _since(query: Mapping[str, str]) -> int | None:
    seconds = _number(query, "sinceSeconds")
    if seconds is not None:
        return time.time_ns() - seconds * 1_000_000_000
    if moment := query.get("sinceTime"):
        try:
            return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000_000
        except ValueError:
            raise bad(f"sinceTime: Invalid value: {moment!r}") from None
    return None

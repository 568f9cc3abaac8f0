"""What the streaming requests have in common: which container, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from sandbox.core.cluster import ApiError
from sandbox.node.container_run import ContainerRun
from sandbox.node.pod_run import PodRun


def bad(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def container(pod: PodRun, name: str) -> ContainerRun:
    """The container of this name; without one, the only container. Raises ApiError."""
    if not name:
        names = [run.name for run in pod.containers]
        if len(names) > 1:
            raise bad(f"a container name must be specified for pod {pod.name}, choose one of: [{' '.join(names)}]")
        name = names[0]
    run = pod.find(name)
    if run is None:
        raise bad(f"container {name} is not valid for pod {pod.name}")
    return run


def require_websocket(request: web.Request) -> None:
    """Raises ApiError."""
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        raise bad("unable to upgrade: the sandbox streams over WebSocket only")

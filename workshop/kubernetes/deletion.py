"""What was deleted and does not go: what Kubernetes says of it, who holds it, and what to type.

A finalizer keeps an object until whoever put it there has cleaned up; when that one is gone as well, for ever. A
namespace waits for all that is in it and says so in its conditions. They name kinds and finalizers, not objects,
which are looked for here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.manifests import Object, as_yaml, bare, name_of
from workshop.kubernetes.tool_process import command_line
from workshop.runbook.results import HeldUp

_REMAINING = "NamespaceContentRemaining"
_KIND = re.compile(r"(\S+?)\.? has \d+ resource instances")


def is_terminating(live: Object | None) -> bool:
    return live is not None and "deletionTimestamp" in live["metadata"]


def waits_for(live: Object) -> str:
    """What a live object says of its own deletion: "present" where it is not on its way out."""
    if not is_terminating(live):
        return "present"
    said = [condition["message"] for condition in _conditions(live) if condition["status"] == "True"]
    said += [f"finalizer {finalizer}" for finalizer in _finalizers(live)]
    return f"Terminating: {'; '.join(said)}" if said else "Terminating"


async def held_up(kubectl: Kubectl, objects: Sequence[Object]) -> HeldUp:
    """Who holds the first of `objects` that does not go. Raises KubectlError."""
    for live in await _live(kubectl, objects):
        if not is_terminating(live):
            continue
        holders = [live] if _finalizers(live) else await _holders(kubectl, live)
        for holder in holders:
            return _of(kubectl, holder)
    return HeldUp()


async def delete_and_wait(kubectl: Kubectl, objects: Sequence[Object], *, seconds: float = 120.0) -> None:
    """Delete, and wait until they are gone. Raises KubectlError, with who holds what is not."""
    try:
        await kubectl.delete(objects, seconds=seconds)
    except KubectlError as error:
        if error.reason is not Reason.WAIT_TIMED_OUT:
            raise
        left = [live for live in await _live(kubectl, objects) if is_terminating(live)]
        held = await held_up(kubectl, left)
        said = ", ".join(f"{name_of(live)} ({waits_for(live)})" for live in left)
        raise KubectlError(
            error.tried,
            f"still there after {seconds:g} s: {said or error.came_back}",
            error.status,
            error.reason,
            cause=held.cause,
            next_command=held.next_command,
        ) from error


def _of(kubectl: Kubectl, holder: Object) -> HeldUp:
    finalizers = _finalizers(holder)
    if not finalizers:
        return HeldUp(f"it waits for {name_of(holder)}, which goes by itself or not at all")
    metadata = holder["metadata"]
    where = ("-n", metadata["namespace"]) if metadata.get("namespace") else ()
    one = f"finalizer {finalizers[0]}" if len(finalizers) == 1 else f"finalizers {', '.join(finalizers)}"
    patch = ("--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    resource = f"{holder['kind'].lower()}.{holder['apiVersion'].rpartition('/')[0]}".rstrip(".")
    return HeldUp(
        f"{name_of(holder)} has the {one}: whoever put it there has not cleaned up yet, or is not there any more",
        kubectl.typed(command_line(("kubectl", "patch", resource, metadata["name"], *where, *patch))),
    )


async def _live(kubectl: Kubectl, objects: Sequence[Object]) -> list[Object]:
    """Those of them that are there."""
    if not objects:
        return []
    printed = await kubectl.call(
        "get", "--ignore-not-found", "-o", "json", "-f", "-", stdin=as_yaml(map(bare, objects))
    )
    found: Object = json.loads(printed) if printed.strip() else {"items": []}
    items: list[Object] = found.get("items", [found])
    return items


async def _holders(kubectl: Kubectl, namespace: Object) -> list[Object]:
    """What is left in a namespace, what has a finalizer first; of another object that is left, nothing."""
    said = [condition["message"] for condition in _conditions(namespace) if condition["type"] == _REMAINING]
    kinds = [kind for message in said for kind in _KIND.findall(message.partition(": ")[2])]
    if not kinds:
        return []
    left = await kubectl.get_items(",".join(kinds), "-n", namespace["metadata"]["name"])
    return sorted(left, key=lambda obj: not _finalizers(obj))


def _conditions(live: Object) -> Iterator[Object]:
    """Of a namespace that goes; other objects' conditions say nothing of that."""
    if live["kind"] == "Namespace":
        yield from live.get("status", {}).get("conditions", ())


def _finalizers(live: Object) -> list[str]:
    found: list[str] = live["metadata"].get("finalizers") or []
    return found

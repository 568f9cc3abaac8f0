"""The workshop's own kubeconfig: one entry for each place, with where it came from. Mode 0600, replaced at once."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from workshop.azure.connection import Object
from workshop.kubernetes.kubeconfigs import content_of
from workshop.runbook.errors import UsageError

MODE = "0600"
_EXTENSION = "mesh-workshop"
_LISTS = ("clusters", "users", "contexts")


def read(path: Path) -> Object | None:
    """What is in it, nothing when it is not there. None for a file that is no kubeconfig (any more): whoever writes
    it, writes it anew. Raises UsageError for one that cannot be read at all."""
    try:
        content = content_of(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"read the workshop's kubeconfig {path}",
            str(error.strerror or error),
            cause="it is no file, or somebody else's",
            next_command=shlex.join(["ls", "-ld", str(path)]),
        ) from error
    except ValueError:
        return None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(_is_list(content.get(name, [])) for name in _LISTS):
        return None
    return content


def _is_list(entries: object) -> bool:
    return isinstance(entries, list) and all(isinstance(each, dict) for each in entries)


def mode(path: Path) -> str:
    """ "0600", or what else it is; that also for a file that is not there."""
    with contextlib.suppress(FileNotFoundError):
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    return MODE


def write(path: Path, content: Object) -> None:
    """Replaced as a whole, with its mode; removed when no context is left."""
    if not content.get("contexts"):
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with temporary(path.parent, content) as unfinished:
        unfinished.replace(path)


@contextlib.contextmanager
def temporary(folder: Path, content: Object) -> Iterator[Path]:
    """A file that only this user may read, gone afterwards (unless it was moved)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".kubeconfig-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.dump(content, file, yaml.CSafeDumper, sort_keys=False)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def entry(place: str, content: bytes, origin: str) -> Object:
    """A kubeconfig of one context named `place`, from what Azure sent."""
    sent: Any = yaml.load(content, yaml.CSafeLoader)
    context = next(item for item in sent["contexts"] if item["name"] == sent["current-context"])["context"]
    cluster = next(item for item in sent["clusters"] if item["name"] == context["cluster"])["cluster"]
    user = next(item for item in sent["users"] if item["name"] == context["user"])["user"]
    named = {"cluster": place, "user": place, "extensions": [{"name": _EXTENSION, "extension": {"of": origin}}]}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": place, "cluster": cluster}],
        "users": [{"name": place, "user": user}],
        "contexts": [{"name": place, "context": named}],
        "current-context": place,
    }


def put(content: Object, place: str, new: Object) -> Object:
    """`content` with the entry instead of any other of that name."""
    result = without(content, place)
    for name in _LISTS:
        result[name] = [*result.get(name, []), *new[name]]
    result["current-context"] = content.get("current-context") or place
    return result


def without(content: Object, place: str) -> Object:
    result = {"apiVersion": "v1", "kind": "Config", **content}
    for name in _LISTS:
        result[name] = [item for item in content.get(name, []) if item.get("name") != place]
    if result.get("current-context") == place:
        result["current-context"] = result["contexts"][0]["name"] if result["contexts"] else ""
    return result


def has(content: Object, place: str) -> bool:
    return any(item.get("name") == place for item in content.get("contexts", []))


def origin_of(cluster: Object | None) -> str:
    """What tells a cluster from another one of the same name: empty when there is none."""
    properties = (cluster or {}).get("properties") or {}
    return str(properties.get("resourceUID") or properties.get("fqdn") or "")


def origin_in(content: Object, place: str) -> str | None:
    """Of the entry; None when there is no such entry, or it is not one of the workshop's."""
    for item in content.get("contexts", []):
        if item.get("name") == place:
            for extension in (item.get("context") or {}).get("extensions") or ():
                if extension.get("name") == _EXTENSION:
                    return str((extension.get("extension") or {}).get("of"))
    return None

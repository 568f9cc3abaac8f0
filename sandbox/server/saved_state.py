"""A file with the state of a sandbox: how it is written, and what of one can be trusted to be whole.

It is two lines of JSON, compressed: a head, which tells what the file is without reading the rest of it, and the
state, as the server says it (snapshot.py). The head has the state's digest. A file that was cut off or changed is
refused before anything is ended or started for it.

The state has the Secrets of its clusters, as the API shows them: so nobody but the owner may read the file. Tokens
and private keys of the sandbox itself are not in it, they are made anew at each start.

Importing this is cheap (standard library only), as `launcher.py` is, which it is for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIX = ".json.gz"
FORMAT, VERSION = "mesh-workshop sandbox", 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LONGEST_HEAD = 1 << 20
_COMPRESSION = 6


class UnusableError(Exception):
    """A name that is none, or a file that cannot be loaded (or must not be written over)."""

    def __init__(self, path: Path | None, how: str) -> None:
        super().__init__(f"{path}: {how}" if path else how)
        self.path, self.how = path, how


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says about itself. `saved` is in seconds since the epoch; `clusters` are names and numbers of
    objects, `identities` the uids of their namespaces kube-system, which are the same in every sandbox that is
    loaded with it; `notes` are for whoever saved it, and mean nothing to the sandbox."""

    saved: float
    clusters: Mapping[str, int]
    identities: tuple[str, ...]
    secrets: int
    notes: Mapping[str, Any] = field(default_factory=dict)


def worded(head: Head) -> str:
    """What is in it, and since when."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(head.saved))
    several = ", ".join(f"{count} of {_shown(name)}" for name, count in head.clusters.items()) or "none"
    return f"of {when}; objects: {several}"


def _shown(cluster: str) -> str:
    """Of a managed one the resource group and the name."""
    parts = cluster.split("/")
    return f"{parts[4]}/{parts[-1]}" if len(parts) > 4 else cluster


def warning(head: Head) -> str:
    """What whoever passes it on has to know."""
    return (
        f"in it are the {head.secrets} Secrets of these clusters as plain text: only you may read it (mode 0600); "
        "tokens and keys of the sandbox itself are not"
    )


def place_of(folder: Path, name: str) -> Path:
    """Where a state of this name is, of those that are kept in `folder`. Raises UnusableError."""
    if not _NAME.fullmatch(name):
        said = "1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
        raise UnusableError(None, f"{name!r} is no name for a saved state: {said}")
    return folder / f"{name.removesuffix(SUFFIX)}{SUFFIX}"


def find(folder: Path, wanted: str) -> Path:
    """The file that is meant: by its path, or by the name of one in `folder`. Raises UnusableError."""
    if "/" in wanted or os.sep in wanted or (wanted.endswith(SUFFIX) and Path(wanted).is_file()):
        return Path(wanted).expanduser()
    path = place_of(folder, wanted)
    if not path.exists():
        there = ", ".join(name for name, _ in kept(folder)) or "nothing yet"
        raise UnusableError(None, f"no state {wanted!r} is saved in {folder} ({there}), and no file is called so")
    return path


def kept(folder: Path) -> list[tuple[str, Head]]:
    """The states in a folder that can be loaded, by name, the last one first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        with contextlib.suppress(UnusableError):
            found.append((path.name.removesuffix(SUFFIX), read_head(path)))
    return sorted(found, key=lambda each: -each[1].saved)


def write(path: Path, state: bytes, notes: Mapping[str, Any], *, force: bool) -> Head:
    """All of it or nothing, for its owner alone. Raises UnusableError where one is there, unless `force`."""
    import gzip
    import hashlib

    refuse_to_overwrite(path, force=force)
    told = json.loads(state)
    clusters = {each["name"]: sum(map(len, each["objects"].values())) for each in told["clusters"]}
    secrets = sum(len(each["objects"].get("secrets", ())) for each in told["clusters"])
    identities = tuple(
        namespace["metadata"]["uid"]
        for each in told["clusters"]
        for namespace in each["objects"]["namespaces"]
        if namespace["metadata"]["name"] == "kube-system"
    )
    head = Head(time.time(), clusters, identities, secrets, dict(notes))
    said = {
        "format": FORMAT,
        "version": VERSION,
        "saved": head.saved,
        "digest": hashlib.sha256(state).hexdigest(),
        "clusters": clusters,
        "identities": identities,
        "secrets": secrets,
        "notes": head.notes,
    }
    content = json.dumps(said, separators=(",", ":")).encode() + b"\n" + state + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(gzip.compress(content, _COMPRESSION, mtime=0))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return head


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raises UnusableError."""
    if path.exists() and not force:
        raise UnusableError(path, "it is there already")


def read_head(path: Path) -> Head:
    """Without a look at the state. Raises UnusableError."""
    import gzip

    with _reading(path), gzip.open(path) as file:
        return _head(path, file.readline(_LONGEST_HEAD))[0]


def read(path: Path) -> tuple[Head, bytes]:
    """The head, and the state as JSON. Raises UnusableError unless all of it is as it was written."""
    import gzip
    import hashlib

    with _reading(path):
        with gzip.open(path) as file:
            head, digest = _head(path, file.readline(_LONGEST_HEAD))
            state = file.read()[:-1]
        if hashlib.sha256(state).hexdigest() != digest:
            raise ValueError("its content is not what was saved")
        return head, state


def _head(path: Path, line: bytes) -> tuple[Head, str]:
    said = json.loads(line)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise UnusableError(path, "it is no saved state of a sandbox")
    if said["version"] != VERSION:
        known = f"it has version {said['version']}, and this sandbox reads version {VERSION}"
        raise UnusableError(path, known)
    clusters = {str(name): int(count) for name, count in said["clusters"].items()}
    identities = tuple(map(str, said["identities"]))
    head = Head(float(said["saved"]), clusters, identities, int(said["secrets"]), dict(said["notes"]))
    return head, str(said["digest"])


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    import zlib

    try:
        yield
    except OSError as error:  # gzip's own says so without a number
        how = error.strerror if error.errno else "it is no saved state of a sandbox, or damaged"
        raise UnusableError(path, how or str(error)) from error
    except (EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        raise UnusableError(path, "it is no saved state of a sandbox, or damaged") from error

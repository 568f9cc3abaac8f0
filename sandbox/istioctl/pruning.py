"""Find and remove what istioctl has installed, by the labels it puts on everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.istioctl.client import Client

Object = dict[str, Any]


def installed(client: Client, kinds: Iterable[tuple[str, str]], labels: str) -> Iterator[Object]:
    """Objects of these kinds with these labels, in the order of the kinds."""
    for api_version, kind in kinds:
        yield from client.list(api_version, kind, labels=labels)


def remove(client: Client, obj: Object) -> None:
    """Delete it, and say so."""
    if client.delete(obj):
        metadata, (group, _, version) = obj["metadata"], obj["apiVersion"].rpartition("/")
        kind = f"{group}/{version}" if group else version
        print(
            f"  Removed {kind}, Kind={obj['kind']}/{metadata['name']}.{metadata.get('namespace', '')}".rstrip(".")
        )

"""ServiceEntries as the mesh and the pods' name resolution both need to read them.

A host with no address of its own gets one nobody else has, so that a sidecar can tell where a connection was going.
It follows from the entries alone: who resolves a name and who configures the sidecar agree without asking each
other. Istio takes 240.240.0.0/16; here it is a part of the loopback range where nobody listens, for whatever goes
astray must not leave this machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sandbox.core.cluster import Object
from sandbox.core.istio_exports import by_age, exported_to

RESOURCE = "serviceentries.networking.istio.io"

_AUTOMATIC = "127.250"
_AUTOMATIC_SIZE = 2**16 - 2


@dataclass(frozen=True, slots=True)
class Host:
    """One host of an entry, with the addresses it has; none if connections to it are forwarded as they are."""

    name: str
    entry: Object
    addresses: tuple[str, ...]

    @property
    def namespace(self) -> str:
        return str(self.entry["metadata"]["namespace"])


def hosts(entries: Iterable[Object]) -> Iterator[Host]:
    """Every entry's hosts, the oldest entry first."""
    taken: set[int] = set()
    for entry in by_age(entries):
        spec, metadata = entry["spec"], entry["metadata"]
        for name in spec["hosts"]:
            addresses = tuple(spec.get("addresses") or ())
            if not addresses and spec.get("resolution", "NONE") != "NONE":
                number = zlib.crc32(f"{metadata['namespace']}/{metadata['name']}/{name}".encode()) % _AUTOMATIC_SIZE
                while number in taken:
                    number = (number + 1) % _AUTOMATIC_SIZE
                taken.add(number)
                addresses = (f"{_AUTOMATIC}.{(number + 1) >> 8}.{(number + 1) & 255}",)
            yield Host(name, entry, addresses)


def preferred(found: Iterable[Host], namespace: str) -> Mapping[str, Host]:
    """Of what `namespace` sees of each name: its own entry, else the oldest."""
    chosen: dict[str, Host] = {}
    for host in found:
        if exported_to(host.entry, namespace):
            before = chosen.get(host.name)
            if before is None or (before.namespace != namespace == host.namespace):
                chosen[host.name] = host
    return chosen

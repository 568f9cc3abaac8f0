"""A saved state on its way into a sandbox that is being started; and what a running one tells to be saved.

Addresses are reserved for all clusters before anything is put anywhere: an object of one may name another's. A
state is read once for all folders of a process, and what a cluster has is made of it when that starts: in a class,
with the first connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sandbox.arm.arm_server import ArmServer
from sandbox.server import saved_state
from sandbox.server.snapshot import ClusterNow, Objects, Translation, objects_of, ranges_of, told
from sandbox.server.stacks import KubernetesStack, ManagedStacks, Reservation, reserve

_SETTLED_SECONDS = 20.0
_LOOK_SECONDS = 0.01

Clusters = Mapping[str, KubernetesStack]
"""Those that run: the ready-made by their contexts, the managed ones by their ids in lower case."""


async def state_of(
    arm: ArmServer, account: Mapping[str, str], clusters: Mapping[str, tuple[Reservation, Objects]]
) -> bytes:
    """All there is at this moment, as JSON: clusters by name. Raises ArmError while Azure is at work."""
    azure = msgspec.json.decode(msgspec.json.encode(arm.state.tell()))
    now = [
        ClusterNow(name, reserved.network, reserved.access.authority.decode(), objects)
        for name, (reserved, objects) in clusters.items()
    ]
    return await told(azure, account, now)


@dataclass(frozen=True, slots=True)
class Saved:
    """A state as it is in its file, and what has to be known of it before it can be put anywhere. `networks` and
    `authorities` are those of its clusters, by their names; `wanted` are those in which pods are to run."""

    text: str
    account: Mapping[str, str]
    networks: Mapping[str, Any]
    authorities: Mapping[str, str]
    wanted: frozenset[str]

    @classmethod
    def read(cls, file: Path) -> Saved:
        """Raises UnusableError."""
        _, content = saved_state.read(file)
        said = msgspec.json.decode(content)
        clusters = {cluster["name"]: cluster for cluster in said["clusters"]}
        return cls(
            content.decode(),
            said["account"],
            {name: cluster["network"] for name, cluster in clusters.items()},
            {name: cluster["authority"] for name, cluster in clusters.items()},
            frozenset(name for name, cluster in clusters.items() if cluster["objects"].get("pods")),
        )


class Loading:
    """What to put where in the sandbox of one folder: nothing, unless there is a state."""

    def __init__(self, saved: Saved | None) -> None:
        self._saved = saved
        self.account: Mapping[str, str] = saved.account if saved else {}
        """The subscription and the tenant: they stay what they were, for names have been made of them."""
        self.managed: dict[str, tuple[Path, Reservation]] = {}
        """Where managed clusters will be, by their ids in lower case."""
        self._translation = Translation()

    def reserve(self, ready_made: Mapping[str, Reservation], folder: Path) -> None:
        """Addresses for the managed clusters as well, with their files in `folder`. To be called first."""
        if self._saved is None:
            return
        for number, (name, network) in enumerate(self._saved.networks.items(), 1):
            if (reserved := ready_made.get(name)) is None:
                own = folder / f"loaded-{number}"
                own.mkdir(mode=0o700, parents=True)
                reserved = reserve(own)
                self.managed[name] = (own, reserved)
            self._translation.add_ranges(network, ranges_of(reserved.network))
            self._translation.texts[self._saved.authorities[name]] = reserved.access.authority.decode()

    def _state(self) -> Any:
        assert self._saved is not None
        return msgspec.json.decode(self._translation(self._saved.text))

    def runs_pods(self, name: str) -> bool:
        """Whether pods are to run in a cluster."""
        return self._saved is not None and name in self._saved.wanted

    def objects(self, name: str) -> Objects:
        """Of a cluster."""
        if self._saved is None or name not in self._saved.networks:
            return {}
        found: Objects = next(each["objects"] for each in self._state()["clusters"] if each["name"] == name)
        return found

    def now(
        self, running: Clusters, ready_made: Mapping[str, Reservation]
    ) -> dict[str, tuple[Reservation, Objects]]:
        """What clusters have at this moment: also those of the state that nobody has called yet."""
        found = {name: (stack.reservation, objects_of(stack.cluster)) for name, stack in running.items()}
        waiting = ready_made.keys() & (self._saved.networks if self._saved else {}).keys() - running.keys()
        return {**found, **{name: (ready_made[name], self.objects(name)) for name in sorted(waiting)}}

    def put_back(self, arm: ArmServer, stacks: ManagedStacks) -> None:
        """Into Azure, whose managed clusters then start."""
        if self._saved is None:
            return
        state = self._state()
        arm.state.put_back(state["azure"])
        clusters = {cluster["name"]: cluster["objects"] for cluster in state["clusters"]}
        for id_, (folder, reserved) in self.managed.items():
            pool = arm.state.pool(id_)
            begun = stacks.begin(id_.rpartition("/")[2], pool, folder, reserved, clusters[id_])
            arm.state.stacks[id_] = begun

    async def settled(self, clusters: Callable[[], Clusters]) -> list[str]:
        """Wait until all is again as it was saved; what does not get there in time."""
        wanted = self._saved.wanted if self._saved else ()
        deadline = time.monotonic() + _SETTLED_SECONDS
        while True:
            there = clusters()
            missing = [
                f"{each} of {name}"
                for name in wanted
                for each in (there[name].missing() if name in there else ["all"])
            ]
            if not missing or time.monotonic() > deadline:
                return missing
            await asyncio.sleep(_LOOK_SECONDS)

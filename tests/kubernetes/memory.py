"""A cluster in memory, of which a kubectl does to objects what a real one does: for laws, which need hundreds."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.runs import Recorded
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Object

Key = tuple[str, str, str]


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def server_side_apply(live: Any, wanted: Any) -> Any:
    """As the API server merges a manifest of one of Istio's kinds, whose schema has no list with keys: what is
    wanted wins, and what others have beside it in a mapping stays."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    return {**live, **{name: server_side_apply(live.get(name), value) for name, value in wanted.items()}}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, its section 2 word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


@dataclass(frozen=True)
class Memory(Kubectl):
    """`writes` are the calls that have changed something."""

    binary: Path = Path("kubectl")
    kubeconfig: Path = Path("kubeconfig")
    context: str = "memory"
    cache: Path = Path("cache")
    objects: dict[Key, Object] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def put(self, *objects: Object) -> None:
        self.objects.update({key(obj): copy.deepcopy(obj) for obj in objects})

    async def get_items(self, *args: str, seconds: float = 30.0) -> list[Object]:
        return copy.deepcopy(list(self.objects.values()))

    async def call(self, *args: str, stdin: str = "", seconds: float = 30.0) -> str:
        assert args[0] == "get", args
        return ""

    async def apply(self, objects: Sequence[Object], *, seconds: float = 60.0) -> None:
        self.writes.append("apply")
        for obj in objects:
            self.objects[key(obj)] = server_side_apply(self.objects.get(key(obj)), obj)

    async def merge_patch(self, obj: Object, patch: Mapping[str, Any]) -> None:
        self.writes.append("patch")
        self.objects[key(obj)] = merge_patch(self.objects[key(obj)], dict(patch))

    async def delete(self, objects: Sequence[Object], *, wait: bool = True, seconds: float = 120.0) -> None:
        self.writes.append("delete")
        for obj in objects:
            self.objects.pop(key(obj), None)

    def run(self) -> Recorded:
        """One that uses this."""
        run = Recorded()
        run.toolbox = {Kubectl: self}
        return run

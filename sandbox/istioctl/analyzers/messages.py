"""What analyzers say: Istio's numbered messages, worded as its own messages.yaml words them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandbox.istioctl.resources import Object, namespace_of


class Level(Enum):
    Info = 1
    Warning = 2
    Error = 3


@dataclass(frozen=True, slots=True)
class Message:
    code: str
    level: Level
    obj: Object
    text: str

    @property
    def namespace(self) -> str:
        return namespace_of(self.obj)

    @property
    def origin(self) -> str:
        metadata = self.obj["metadata"]
        if self.obj["kind"] == "Namespace":
            return f"Namespace {metadata['name']}"
        return f"{self.obj['kind']} {self.namespace}/{metadata['name']}"

    @property
    def comparator(self) -> str:
        """What the real one sorts by: the name comes before the namespace."""
        return f"{self.obj['kind']}/{self.obj['metadata']['name']}/{self.namespace}"


def not_found(obj: Object, what: str, name: str) -> Message:
    """IST0101, for whatever an object refers to."""
    return Message("IST0101", Level.Error, obj, f'Referenced {what} not found: "{name}"')

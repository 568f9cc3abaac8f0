"""What a run told whoever listened, in order."""

from __future__ import annotations

from typing import TypeVar

from workshop.runbook.events import Event, Told

E = TypeVar("E")


class Heard:
    events: list[Event]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def told(self) -> list[str]:
        return [event.text for event in self.of(Told)]

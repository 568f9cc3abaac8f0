"""Which objects select given labels: a Deployment its ReplicaSets, a Service its pods, asked the other way round.

Each selector waits under one of the labels it requires, the one that the fewest others wait under, so that a
question looks at those only whose label is there. What requires no label by value is looked at every time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.core.cluster import Object
from sandbox.core.label_selectors import Selector, matches

_Anchor = tuple[str, str] | None
_Place = tuple[str, str]


class SelectorIndex:
    """An observer of the kind whose objects select; `selector_of` is how."""

    def __init__(self, selector_of: Callable[[Object], Selector | None]) -> None:
        self._selector_of = selector_of
        self._anchors: dict[_Place, _Anchor] = {}
        self._waiting: dict[str, dict[_Anchor, dict[str, Selector]]] = {}
        """By namespace, the label that is required, and name."""

    def __call__(self, old: Object | None, new: Object | None) -> None:
        was, now = (self._selector_of(obj) if obj is not None else None for obj in (old, new))
        if old is not None and new is not None and was == now:
            return
        if old is not None and was is not None:
            self._remove(_place(old))
        if new is not None and now is not None:
            self._add(_place(new), now)

    def _add(self, place: _Place, selector: Selector) -> None:
        waiting = self._waiting.setdefault(place[0], {})
        required = (selector.get("matchLabels") or {}).items()
        anchor = min(required, key=lambda label: len(waiting.get(label, ())), default=None)
        waiting.setdefault(anchor, {})[place[1]] = selector
        self._anchors[place] = anchor

    def _remove(self, place: _Place) -> None:
        waiting, anchor = self._waiting[place[0]], self._anchors.pop(place)
        del waiting[anchor][place[1]]
        if not waiting[anchor]:
            del waiting[anchor]
        if not waiting:
            del self._waiting[place[0]]

    def find(self, namespace: str, labels: Mapping[str, str]) -> list[_Place]:
        """Namespace and name of those in `namespace` that select `labels`, in order."""
        waiting = self._waiting.get(namespace, {})
        anchors: list[_Anchor] = [*labels.items(), None]
        return sorted(
            (namespace, name)
            for anchor in anchors
            for name, selector in waiting.get(anchor, {}).items()
            if matches(selector, labels)
        )


def _place(obj: Object) -> _Place:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]

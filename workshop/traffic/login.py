"""How somebody logs in. A declaration: labs import it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A form that is posted to `path`; the cookies of the answer are sent from then on."""

    path: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)

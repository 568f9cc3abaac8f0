"""Where traffic enters, and how somebody logs in there. Declarations only: labs import this."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ingress:
    """The address of the ingress gateway as it is seen from here: `http://ADDRESS:PORT`, without a path."""

    url: str


@dataclass(frozen=True, slots=True)
class Login:
    """A form that is posted to `path`; the cookies of the answer are sent from then on."""

    path: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)

"""Requests that are sent beside those that are measured: one that logs in before them, and controls among them.

Declarations: labs import them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import urlencode

from workshop.runbook.errors import WorkshopError
from workshop.runbook.lazy_dataclass import dataclass


class LoginError(WorkshopError):
    """The log-in was refused or gave no cookie."""


@dataclass(frozen=True, slots=True)
class Login:
    """A form that is posted to `path`; the cookies of the answer are sent from then on."""

    path: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def who(self) -> str:
        """The form's first field."""
        return self.fields[0][1]

    def commands(self, base_url: str) -> tuple[str, ...]:
        """What a person types instead; the cookies are in the file COOKIES then, those of an earlier login gone."""
        form = shlex.quote(urlencode(self.fields))
        return "COOKIES=$(mktemp)", f"curl -s -o /dev/null -c $COOKIES -d {form} {base_url}{self.path}"


@dataclass(frozen=True, slots=True)
class Control:
    """Requests to `path` that nothing delays, sent beside those that are measured, through the same gateway and the
    same first service: a good answer has status 200 and the regular expression `body`. Only while each comes within
    `within` seconds do the times of the others mean anything. Those cross more proxies and services, each as slow:
    so `within` belongs well below what slowness must not add to their times.
    """

    path: str
    within: float
    body: str = ""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        return "good" if status == 200 and re.search(self.body, body.decode(errors="replace")) else None

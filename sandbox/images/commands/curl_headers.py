"""The header lines curl sends: its own, and those of `-H`, each of which comes instead of its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

Headers = list[tuple[str, str]]
"""In order; a name may come several times."""


def sent(found: Mapping[str, Sequence[str]], cookies: Mapping[str, str], *, with_body: bool) -> Headers:
    """For one request of a call with these options."""
    own = {"User-Agent": found.get("A", ["curl/8.16.0"])[-1], "Accept": "*/*"}
    if with_body:
        own["Content-Type"] = "application/json" if "json" in found else "application/x-www-form-urlencoded"
    if "e" in found:
        own["Referer"] = found["e"][-1]
    if "u" in found:
        own["Authorization"] = "Basic " + base64.b64encode(found["u"][-1].encode()).decode()
    if cookies:
        own["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    given = [line for text in found.get("H", ()) if (line := _line(text))]
    named = {name.lower() for name, _ in given}
    headers = [(name, value) for name, value in own.items() if name.lower() not in named]
    # aiohttp keeps several values of a name, but not of two spellings of it.
    spelled: dict[str, str] = {}
    headers += [(spelled.setdefault(name.lower(), name), value) for name, value in given if value is not None]
    return headers


def _line(text: str) -> tuple[str, str | None] | None:
    """`-H 'NAME: VALUE'`; `NAME:` only takes curl's own out (None); `NAME;` sends it empty; others say nothing."""
    name, colon, value = text.partition(":")
    if colon:
        return name.strip(), value.strip() or None
    name, semicolon, rest = text.partition(";")
    return (name.strip(), "") if semicolon and not rest.strip() else None

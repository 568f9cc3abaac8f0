"""What `curl -w` prints after a transfer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

NOTHING: Mapping[str, str] = {
    **dict.fromkeys(("http_code", "response_code"), "000"),
    **dict.fromkeys(("content_type", "redirect_url", "url_effective"), ""),
    **{"http_version": "0", "size_download": "0", "time_total": "0.000000"},
}
"""The variables, as they are of a transfer without an answer."""

_VARIABLE = re.compile(r"%\{(\w+)\}")
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}


def unknown(template: str) -> Iterator[str]:
    """Variables that are not there. The real curl has more."""
    return (name for name in _VARIABLE.findall(template) if name not in NOTHING)


def written(template: str, facts: Mapping[str, str]) -> str:
    for escape, character in _ESCAPES.items():
        template = template.replace(escape, character)
    return _VARIABLE.sub(lambda variable: facts[variable[1]], template)

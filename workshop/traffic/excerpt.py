"""What an answer that nobody expected says, short enough for one line."""

from __future__ import annotations

import html
import re

_LONGEST, _LONGEST_OF_PAGE = 200, 60
"""Characters: a proxy's words end with the cause, while the first ones of a page tell which one it is."""

_PAGE = re.compile(r"\s*<(?:!doctype|html)\b", re.I)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.I | re.S)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.I | re.S)


def excerpt(body: bytes) -> str:
    """A page's title, or its text when it has none; of anything else the beginning."""
    text = body.decode(errors="replace")
    if not _PAGE.match(text):
        return _shortened(text, _LONGEST)
    title = _TITLE.search(text)
    return _shortened(_read(title[1]) if title else "", _LONGEST_OF_PAGE) or _shortened(
        _read(text), _LONGEST_OF_PAGE
    )


def _read(markup: str) -> str:
    return html.unescape(_TAG.sub(" ", markup))


def _shortened(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

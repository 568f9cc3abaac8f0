"""A page that is served and lives: its text, style and script as one answer, with the policy that its browser keeps
to.

It fetches one thing, the events of the server that it came from. What it shows is put into it as text, never as
markup. Its three files stand beside the module that names it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

_LIGHT = """
  --paper: #ffffff; --ink: #1b2027; --dim: #57606a; --line: #d5dbe2; --soft: #f3f5f8; --link: #0a58ca;
  --alarm: #b3261e; --alarm-ink: #ffffff; --alarm-soft: #fceceb; --alarm-text: #9f1d16;
  --work: #1d5fbf; --work-ink: #ffffff; --work-text: #174f9f;
  --warn: #9a5400; --lost: #8a4b00; --warn-ink: #ffffff; --doubt: #fbe6b3; --doubt-ink: #5c3f00;
  --good: #cdebd5; --good-ink: #14562c; --past: #e6f2e9; --past-ink: #33633f;
  --hand: #cce8ee; --hand-ink: #0b4a5c; --odd: #e2e6eb; --odd-ink: #39424c; --none: #757f8a;
"""
_DARK = """
  --paper: #10141a; --ink: #e6ebf1; --dim: #a2adb9; --line: #303842; --soft: #1a2028; --link: #7ab3ff;
  --alarm: #e5534b; --alarm-ink: #180302; --alarm-soft: #331816; --alarm-text: #ff9d95;
  --work: #5b9dff; --work-ink: #03122b; --work-text: #8fbcff;
  --warn: #e39a3b; --lost: #f0b25f; --warn-ink: #221300; --doubt: #4a3a10; --doubt-ink: #f6d67f;
  --good: #1c4a2c; --good-ink: #a4e5b8; --past: #1b3022; --past-ink: #93bd9f;
  --hand: #123e4a; --hand-ink: #9fdceb; --odd: #2d353f; --odd-ink: #c6ced7; --none: #7d8894;
"""


@dataclass(frozen=True, slots=True)
class Document:
    """`policy` is what a browser may do for the page: run its script, use its style, and listen to its server."""

    page: str
    policy: str


def document(module: str) -> Document:
    """Of the .html, .css and .js beside that file of a module."""
    file = Path(module)
    text, style, script = (file.with_suffix(end).read_text(encoding="utf-8") for end in (".html", ".css", ".js"))
    style = style.replace("{{light}}", _LIGHT).replace("{{dark}}", _DARK)
    rules = (
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return Document(text.replace("{{style}}", style).replace("{{script}}", script), "; ".join(rules))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

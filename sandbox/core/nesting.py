"""Bodies of requests that are nested too deep, or stand for too much: refused before anything walks through them.

Everything behind an API follows objects down level by level, and so does Python's own JSON, to some thousand levels
at most. Nobody means more than a hundred: a CRD's schema, the deepest there is, has some forty.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 200
MOST_VALUES = 1_000_000
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def parse(json_text: str | bytes) -> Any:
    """JSON that came inside of something else. Raises ValueError."""
    if too_deep(json_text.encode() if isinstance(json_text, str) else json_text):
        raise ValueError(f"it has more than {DEEPEST} levels")
    return json.loads(json_text)


def too_deep(json_text: bytes) -> bool:
    """Whether JSON has more than `DEEPEST` levels. Of what is no JSON it says nothing."""
    if json_text.count(b"[") + json_text.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for found in _TOKEN.finditer(json_text):
        token = found[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > DEEPEST:
                return True
        elif token in (b"]", b"}"):
            depth -= 1
    return False


def too_much(value: Any) -> bool:
    """The same of a value from YAML, whose anchors may also stand for more values than it has signs."""
    todo, seen = [(value, 1)], 0
    while todo:
        one, depth = todo.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            return True
        if isinstance(one, dict):
            todo += [(each, depth + 1) for each in one.values()]
        elif isinstance(one, list):
            todo += [(each, depth + 1) for each in one]
    return False

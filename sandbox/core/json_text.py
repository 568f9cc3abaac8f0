"""Objects as JSON, the way they go over the wire: compact, and fast, for it is what large lists cost most."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError):  # half a surrogate pair, a number of more than 64 bits
        return json.dumps(value, separators=(",", ":")).encode()

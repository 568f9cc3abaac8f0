"""Regular expressions as Envoy reads them: RE2's, by RE2 itself.

istiod asks Go's `regexp`, which takes the same ones (but for `\\C`) and has words of its own for what is wrong.
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]

LARGEST_PROGRAM = 32768
"""What an expression may compile to. istiod's own limit for sidecars; a webhook with Go's library cannot ask."""

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False

_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
"""From RE2's words to those of Go's library, where they differ."""


def groups(text: str) -> int:
    """How many groups `text` captures. Raises ValueError for what is no expression, or too large a one."""
    try:
        compiled = re2.compile(text, _OPTIONS)
    except re2.error as error:
        raise ValueError(f"error parsing regexp: {_in_gos_words(error.args[0].decode())}") from error
    if compiled.programsize > LARGEST_PROGRAM:
        raise ValueError(f"RE2 program size of {compiled.programsize} > max program size of {LARGEST_PROGRAM}")
    return int(compiled.groups)


def _in_gos_words(words: str) -> str:
    what, colon, where = words.partition(": ")
    return f"{_WORDS.get(what, what)}{f': `{where}`' if colon else ''}"

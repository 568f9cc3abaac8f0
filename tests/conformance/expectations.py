"""Whether a program printed what a case says, but for what differs from cluster to cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SHOWN = 2000
"""Characters of what was printed that a failure shows."""
_ANY = {
    "age": r"(?:\d+[dhms])+",
    "hash": r"[a-z0-9]{5,10}",
    "address": r"\d+\.\d+\.\d+\.\d+",
    "number": r"\d+",
    "any": r"\S+",
}
"""What `<age>` and the others stand for in an expected line."""


def pattern(line: str) -> str:
    """An expected line as a regular expression; runs of blanks are one."""
    words = re.split(rf"<({'|'.join(_ANY)})>", " ".join(line.split()))
    return "".join(_ANY[word] if at % 2 else re.escape(word) for at, word in enumerate(words))


def printed_as_expected(expected: Mapping[str, Any], status: int, out: str, err: str) -> str:
    """What is not as a step says, in words. Output is compared by lines, with runs of blanks as one."""
    got = [" ".join(line.split()) for line in out.splitlines()]
    all_of = "\n".join(got)
    said = "\n".join(" ".join(line.split()) for line in err.splitlines())
    wrong = []
    if status != expected.get("status", 0):
        wrong.append(f"status {status}")
    if "lines" in expected:
        lines = expected["lines"]
        if len(lines) != len(got) or not all(map(re.fullmatch, map(pattern, lines), got)):
            wrong.append("other lines than expected")
    wrong += [f"lacks: {line}" for line in expected.get("has", ()) if not re.search(pattern(line), all_of)]
    wrong += [f"has: {line}" for line in expected.get("lacks", ()) if re.search(pattern(line), all_of)]
    wrong += [f"does not say: {line}" for line in expected.get("says", ()) if not re.search(pattern(line), said)]
    if "json" in expected:
        wrong += _other_values(expected["json"], out)
    return "\n".join([*wrong, "" if "json" in expected else out[:_SHOWN], err]) if wrong else ""


def _other_values(wanted: Mapping[str, Any], out: str) -> list[str]:
    try:
        document = json.loads(out)
    except ValueError:
        return ["no JSON"]
    found = {path: _at(document, path) for path in wanted}
    return [f"{path} is {found[path]}" for path, value in wanted.items() if found[path] != value]


def _at(value: Any, path: str) -> Any:
    """`spec.containers.0.name`; a name with dots in it stands in brackets: `metadata.labels[a.b/c]`. `#` is how
    many there are; None: there is none."""
    for key in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path):
        name = key[0] or key[1]
        if name == "#":
            value = len(value or ())
        elif isinstance(value, list):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value
